//! Runs steps one after the other, says what it does, and stops at the first that fails.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::steps::Step;

/// Runs all steps in `top`. On a failure the error says how to repeat the step alone.
pub(crate) fn all(top: &Path, steps: &[Step]) -> Result<(), String> {
    let mut taken = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n==> {} of {}: {}\n    {}", index + 1, steps.len(), step.name, step.line);
        let begin = Instant::now();
        let status = step.line.start(top);
        let time = begin.elapsed();
        taken.push((step.name.as_str(), time));
        let problem = match status {
            Ok(status) if status.success() => {
                println!("<== {}: ok after {:.1} s", step.name, time.as_secs_f64());
                continue;
            }
            Ok(status) => format!("`{}` failed ({status})", step.name),
            Err(problem) => problem,
        };
        println!("<== {}: FAILED after {:.1} s", step.name, time.as_secs_f64());
        println!("\n{}", table(&taken));
        let left = steps.len() - taken.len();
        return Err(format!("{problem}; {left} steps were not run. To repeat it:\n\n    {}\n", step.line));
    }
    println!("\n{}\nall {} steps passed", table(&taken), steps.len());
    Ok(())
}

/// Step and seconds, aligned, with the sum below.
fn table(taken: &[(&str, Duration)]) -> String {
    let sum: Duration = taken.iter().map(|(_, time)| *time).sum();
    let width =
        taken.iter().map(|(name, _)| name.len()).chain(["step".len(), "sum".len()]).max().unwrap_or(0);
    let mut text = format!("{:<width$}  seconds\n", "step");
    for (name, time) in taken.iter().copied().chain([("sum", sum)]) {
        text.push_str(&format!("{name:<width$}  {:>7.1}\n", time.as_secs_f64()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Line;

    fn step(name: &str, line: &str) -> Step {
        Step { name: name.to_owned(), line: Line::parse(line) }
    }

    #[cfg(unix)]
    #[test]
    fn the_first_failure_ends_the_run_and_names_its_command() {
        let steps = [step("good", "true"), step("bad", "false --of course"), step("never", "false")];
        let problem = all(Path::new("."), &steps).expect_err("the second step fails");
        assert!(problem.contains("`bad` failed"), "{problem}");
        assert!(problem.contains("1 steps were not run"), "{problem}");
        assert!(problem.contains("    false --of course\n"), "{problem}");
    }

    #[test]
    fn a_program_that_is_missing_is_a_failure() {
        let problem =
            all(Path::new("."), &[step("lost", "no-such-program-anywhere")]).expect_err("it is missing");
        assert!(problem.contains("cannot start `no-such-program-anywhere`"), "{problem}");
    }

    #[test]
    fn the_table_sums_up() {
        let text = table(&[("a", Duration::from_millis(1500)), ("longer", Duration::from_millis(500))]);
        assert_eq!(text, "step    seconds\na           1.5\nlonger      0.5\nsum         2.0\n");
    }
}
