//! Sizes: what does not fit is cut along a seam, not squeezed.

use crate::code;
use crate::tree::{File, Finding, places, plant};

/// The median of well-read Rust projects lies at 200; past 600 a module holds more than one noun.
const FILE_LINES: usize = 600;
/// A function that does not fit on a screen is read in pieces; then it can be written in pieces.
const FUNCTION_LINES: usize = 70;

pub(crate) fn check_files(tree: &[File]) -> Vec<Finding> {
    let long = |file: &&File| file.is_rust() && file.text.lines().count() > FILE_LINES;
    let report = |file: &File| {
        let lines = file.text.lines().count();
        let problem =
            format!("{lines} lines, at most {FILE_LINES}: move one of its nouns to a module of its own");
        Finding::new(&file.path, FILE_LINES + 1, problem)
    };
    tree.iter().filter(long).map(report).collect()
}

pub(crate) fn check_functions(tree: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust()) {
        for function in functions(&file.text) {
            if function.lines > FUNCTION_LINES {
                let (name, lines) = (&function.name, function.lines);
                let problem = format!(
                    "fn {name} has {lines} lines, at most {FUNCTION_LINES}: name a part and take it out"
                );
                findings.push(Finding::new(&file.path, function.line, problem));
            }
        }
    }
    findings
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body, nested ones too. Its lines run from `fn` to the closing brace.
fn functions(text: &str) -> Vec<Function> {
    let blanked = code::blank(text);
    let tokens = code::tokens(&blanked);
    let mut found = Vec::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        // `fn(u8) -> u8` is a type.
        if pair[0].text != "fn" || pair[1].text == "(" {
            continue;
        }
        let Some(open) = body(&tokens, index) else { continue };
        let line = code::line_of(text, pair[0].at);
        let last = code::line_of(text, tokens[code::closing(&tokens, open)].at);
        found.push(Function { name: pair[1].text.to_owned(), line, lines: last - line + 1 });
    }
    found
}

/// The index of the brace that opens the body; `None` for a declaration in a trait.
fn body(tokens: &[code::Token<'_>], start: usize) -> Option<usize> {
    let mut index = start;
    while index < tokens.len() {
        match tokens[index].text {
            ";" => return None,
            // `Array<{ N + 1 }>` in a signature is no body.
            "{" if tokens[index - 1].text != "<" => return Some(index),
            "(" | "[" | "{" => index = code::closing(tokens, index) + 1,
            _ => index += 1,
        }
    }
    None
}

#[test]
fn a_long_file_is_found() {
    let (fits, long) = ("\n".repeat(FILE_LINES), "\n".repeat(FILE_LINES + 1));
    let tree = plant(&[("src/fits.rs", &fits), ("src/long.rs", &long), ("docs/long.md", &long)]);
    assert_eq!(places(&check_files(&tree)), ["src/long.rs:601"]);
}

#[test]
fn a_long_function_is_found() {
    let with_lines = |lines: usize| {
        format!("impl A {{\n    fn f(\n        &self,\n    ) {{\n{}    }}\n}}\n", "\n".repeat(lines - 4))
    };
    let (fits, long) = (with_lines(FUNCTION_LINES), with_lines(FUNCTION_LINES + 1));
    let tree = plant(&[("src/fits.rs", &fits), ("src/long.rs", &long)]);
    assert_eq!(places(&check_functions(&tree)), ["src/long.rs:2"]);
}

#[test]
fn braces_in_text_and_types_do_not_end_a_function() {
    let text = "trait T { fn a(&self) -> [u8; 4]; }
fn b<F: Fn()>(g: fn(u8)) -> A<{ 1 }>
where
    F: Copy,
{
    // }
    \"}\";
    '}';
}
";
    assert_eq!(functions(text), [Function { name: "b".to_owned(), line: 2, lines: 8 }]);
}
