//! A command as one line of text, so that what is shown, what runs and what can be pasted into a shell are the same.
//!
//! The form is a small part of a shell's: words divided by spaces, settings (`NAME=value`) before the program, no
//! quotes. What needs a quote is passed with [`Line::arguments`].

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// A command: settings for its environment, the program, its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    settings: Vec<(String, String)>,
    program: String,
    arguments: Vec<String>,
}

impl Line {
    /// Reads a line such as `RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps`.
    pub(crate) fn parse(text: &str) -> Line {
        let mut words = text.split_whitespace().peekable();
        let mut settings = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            settings.push((name.to_owned(), value.to_owned()));
            words.next();
        }
        let program = words.next().unwrap_or_default().to_owned();
        Line { settings, program, arguments: words.map(str::to_owned).collect() }
    }

    /// Adds arguments as they are; they may hold spaces.
    pub(crate) fn arguments(mut self, more: &[&str]) -> Line {
        self.arguments.extend(more.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Runs it to its end in `folder`, with its output on ours.
    pub(crate) fn start(&self, folder: &Path) -> Result<ExitStatus, String> {
        self.command(folder).status().map_err(|error| format!("cannot start `{self}`: {error}"))
    }

    /// Runs it to its end in `folder`; whether it went well, and all that it printed.
    pub(crate) fn capture(&self, folder: &Path) -> Result<(bool, String), String> {
        let output =
            self.command(folder).output().map_err(|error| format!("cannot start `{self}`: {error}"))?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(folder);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.settings {
            write!(out, "{name}={value} ")?;
        }
        out.write_str(&self.program)?;
        for word in &self.arguments {
            let bare =
                !word.is_empty() && !word.contains([' ', '\'', '"', '$', '*', ';', '&', '|', '(', ')']);
            match bare {
                true => write!(out, " {word}")?,
                false => write!(out, " '{}'", word.replace('\'', r"'\''"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_it_was_written() {
        let text = "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps";
        let line = Line::parse(text);
        assert_eq!(line.settings, [("RUSTDOCFLAGS".to_owned(), "-Dwarnings".to_owned())]);
        assert_eq!(line.program, "cargo");
        assert_eq!(line.to_string(), text);
    }

    #[cfg(unix)]
    #[test]
    fn what_was_printed_is_captured() {
        let line = Line::parse("NAME=it sh -c").arguments(&["echo $NAME; echo too >&2; exit 3"]);
        assert_eq!(line.capture(Path::new(".")), Ok((false, "it\ntoo\n".to_owned())));
    }

    #[test]
    fn an_equals_sign_after_the_program_is_an_argument() {
        let line = Line::parse("cargo run --seed=7");
        assert!(line.settings.is_empty());
        assert_eq!(line.arguments, ["run", "--seed=7"]);
    }

    #[test]
    fn added_arguments_are_quoted_for_a_shell() {
        let line = Line::parse("sim").arguments(&["two words", "it's"]);
        assert_eq!(line.to_string(), r"sim 'two words' 'it'\''s'");
    }
}
