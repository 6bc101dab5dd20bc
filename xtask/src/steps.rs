//! Named steps of a task: each is announced, timed and remembered, and the last line sums up what really happened.
//!
//! A failed step does not stop the ones after it: one run shows everything that is wrong.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

/// What a step found out.
pub(crate) enum Outcome {
    /// In order.
    Passed,
    /// Things to mend, one sentence each; empty when the step has printed them itself.
    Failed(Vec<String>),
    /// Not done, and why.
    Skipped(String),
}

impl From<Vec<String>> for Outcome {
    /// A list of problems; none means that the step passed.
    fn from(problems: Vec<String>) -> Self {
        if problems.is_empty() { Self::Passed } else { Self::Failed(problems) }
    }
}

/// The steps done so far.
pub(crate) struct Steps {
    started: Instant,
    passed: usize,
    failed: Vec<String>,
    tests: Option<TestCounts>,
}

/// How many tests ran, added up over all runners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TestCounts {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), passed: 0, failed: Vec::new(), tests: None }
    }

    /// Runs one step and prints how it went.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<Outcome>) {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = step().unwrap_or_else(|error| Outcome::Failed(vec![format!("{error:#}")]));
        let took = seconds(started.elapsed());
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("    {name}: passed in {took}");
            }
            Outcome::Skipped(reason) => println!("    {name}: skipped, {reason}"),
            Outcome::Failed(problems) => {
                for problem in &problems {
                    println!("    {problem}");
                }
                println!("    {name}: FAILED in {took}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Adds tests to the count of the last line.
    pub(crate) fn count_tests(&mut self, counts: TestCounts) {
        let total = self.tests.get_or_insert_default();
        total.passed += counts.passed;
        total.failed += counts.failed;
    }

    /// Prints the last line; true when no step failed.
    pub(crate) fn finish(self) -> bool {
        if !self.failed.is_empty() {
            println!("failed steps: {}", self.failed.join(", "));
        }
        let (passed, failed) = (self.passed, self.failed.len());
        println!("steps: {passed} passed, {failed} failed in {}", seconds(self.started.elapsed()));
        if let Some(TestCounts { passed, failed }) = self.tests {
            println!("tests: {passed} passed, {failed} failed");
        }
        self.failed.is_empty()
    }
}

/// Runs a command with its output shown.
pub(crate) fn command(command: &mut Command) -> anyhow::Result<Outcome> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed(Vec::new()) })
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:.0} s", duration.as_secs() / 60, seconds % 60.0)
    }
}
