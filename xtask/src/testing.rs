//! Runs every test and counts them from what the runners print.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::steps::{Outcome, Steps, TestCounts};
use crate::tools;
use crate::workspace::Workspace;

/// Unit, integration and documentation tests of the whole workspace, and before them the programs that they talk to.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) {
    steps.run("tools", || tools::ensure(workspace));
    let mut tests = if workspace.has_subcommand("nextest") {
        // Tests of whole programs wait more than they compute.
        let threads = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut tests = workspace.cargo(&["nextest", "run", "--locked", "--workspace"]);
        tests.args(["--no-fail-fast", "--test-threads", &threads.to_string()]);
        tests
    } else {
        let mut tests = workspace.cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]);
        tests.args(["--lib", "--bins", "--tests"]);
        tests
    };
    tests.env("SERIN_TOOLS", "required");
    counted(steps, "tests", tests);
    counted(
        steps,
        "documentation tests",
        workspace.cargo(&["test", "--locked", "--workspace", "--doc"]),
    );
}

fn counted(steps: &mut Steps, name: &str, mut command: Command) {
    let mut counts = TestCounts::default();
    steps.run(name, || {
        let passed = watch(&mut command, &mut counts)?;
        Ok(if passed { Outcome::Passed } else { Outcome::Failed(Vec::new()) })
    });
    steps.count_tests(counts);
}

/// Shows the output of a runner while it runs and adds up the summaries in it.
fn watch(command: &mut Command, counts: &mut TestCounts) -> anyhow::Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (from_out, from_err) = std::thread::scope(|scope| {
        let err = scope.spawn(|| echo(err, std::io::stderr()));
        let out = echo(out, std::io::stdout());
        (out, err.join().unwrap_or_default())
    });
    for part in [from_out, from_err] {
        counts.passed += part.passed;
        counts.failed += part.failed;
    }
    Ok(child.wait()?.success())
}

fn echo(from: Option<impl Read>, mut to: impl Write) -> TestCounts {
    let mut counts = TestCounts::default();
    let Some(from) = from else { return counts };
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        // A closed output is no reason to stop the tests.
        let _ = writeln!(to, "{line}");
        if let Some(found) = summary(&line) {
            counts.passed += found.passed;
            counts.failed += found.failed;
        }
    }
    counts
}

/// Reads `test result: ok. 3 passed; 0 failed; …` of cargo and `Summary [ 1.2s] 3 tests run: 3 passed, 0 skipped` of
/// nextest.
fn summary(line: &str) -> Option<TestCounts> {
    let line = line.trim_start();
    let cargo = line.starts_with("test result:");
    let nextest = line.starts_with("Summary [") && line.contains(" run: ");
    if !cargo && !nextest {
        return None;
    }
    let words: Vec<&str> = line.split([' ', ';', ',', '(', ')']).collect();
    let before = |word: &str| {
        words
            .windows(2)
            .find(|pair| pair[1] == word)
            .and_then(|pair| pair[0].parse().ok())
            .unwrap_or(0)
    };
    Some(TestCounts { passed: before("passed"), failed: before("failed") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_runners_are_counted() {
        let check = |line: &str, expect: Option<(usize, usize)>| {
            assert_eq!(summary(line).map(|c| (c.passed, c.failed)), expect, "{line}");
        };
        check("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured", Some((3, 0)));
        check("test result: FAILED. 2 passed; 1 failed; 0 ignored", Some((2, 1)));
        check("     Summary [   0.014s] 12 tests run: 12 passed, 0 skipped", Some((12, 0)));
        check(
            "     Summary [   0.014s] 5 tests run: 3 passed (1 slow), 2 failed, 0 skipped",
            Some((3, 2)),
        );
        check("running 3 tests", None);
    }
}
