//! `rejoin-bind MODULE FOLDER`: from a module that cargo built, `rejoin_bg.wasm`, `glue.js` and `glue.d.ts` in a folder.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [module, folder] = words.as_slice() else {
        eprintln!("rejoin-bind: takes a module and a folder");
        return ExitCode::from(2);
    };
    match bind(module, Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rejoin-bind: {module}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bind(module: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("rejoin").typescript(true);
    // The package finds the module itself: what the glue names by default is a second copy for some bundlers.
    bindgen.web(true)?.omit_default_module_path(true).remove_producers_section(true);
    bindgen.generate(folder)?;
    for (made, called) in [("rejoin.js", "glue.js"), ("rejoin.d.ts", "glue.d.ts")] {
        fs::rename(folder.join(made), folder.join(called))?;
    }
    Ok(())
}
