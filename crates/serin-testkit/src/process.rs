//! Processes that end with their test, and whose output can be waited for.

#![expect(clippy::panic, clippy::expect_used, reason = "a test cannot go on without its processes")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::PATIENCE;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    lines: Vec<String>,
    ended: usize,
}

impl Process {
    /// Starts a program without input.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::<Output>::default();
        output.follow(child.stdout.take());
        output.follow(child.stderr.take());
        Self { child, output }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its output (standard output or error) that `is_it` recognises, and gives it back.
    ///
    /// # Panics
    /// The output ends without such a line, or it does not come in [`PATIENCE`].
    pub fn wait_for(&self, mut is_it: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.output.text.lock().expect("no reader panics");
        let mut seen = 0;
        loop {
            if let Some(line) = text.lines[seen..].iter().find(|line| is_it(line)) {
                return line.clone();
            }
            seen = text.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || text.ended == 2 {
                panic!("the line does not come; the output is:\n{}", text.lines.join("\n"));
            }
            text = self.output.changed.wait_timeout(text, left).expect("no reader panics").0;
        }
    }

    /// Everything that it has printed so far.
    ///
    /// # Panics
    /// Never: no reader of the output panics.
    pub fn output(&self) -> String {
        self.output.text.lock().expect("no reader panics").lines.join("\n")
    }

    /// Sends a signal by its name (`TERM`, `HUP`).
    ///
    /// # Panics
    /// There is no `kill` program.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &id]).status().expect("every Unix has kill");
    }

    /// Waits until it has ended, which closes its output.
    ///
    /// # Panics
    /// It has not within [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        let text = self.output.text.lock().expect("no reader panics");
        let going = |text: &mut Text| text.ended < 2;
        let waited = self.output.changed.wait_timeout_while(text, PATIENCE, going);
        let (text, waited) = waited.expect("no reader panics");
        assert!(!waited.timed_out(), "it does not end:\n{}", text.lines.join("\n"));
        drop(text);
        self.child.wait().expect("it is our child")
    }
}

impl Output {
    fn follow(self: &Arc<Self>, from: Option<impl Read + Send + 'static>) {
        let (output, from) = (Arc::clone(self), from.expect("the output is piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                output.text.lock().expect("no reader panics").lines.push(line);
                output.changed.notify_all();
            }
            output.text.lock().expect("no reader panics").ended += 1;
            output.changed.notify_all();
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
