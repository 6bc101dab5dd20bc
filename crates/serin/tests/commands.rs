//! What is common to all commands: exit codes, pipes, colours.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

#[path = "commands/completion.rs"]
mod completion;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn serin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = serin(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs no input may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A subset that no DestinationRule defines.
const WRONG: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v9}
";

#[test]
fn the_exit_code_says_whether_something_reached_the_threshold() {
    let check = |arguments: &[&str], input: &str, expect: i32| {
        let output = with_input(arguments, input);
        assert_eq!(output.status.code(), Some(expect), "{arguments:?}: {output:?}");
    };
    check(&["check", "-"], "", 0);
    check(&["check", "-"], WRONG, 1);
    check(&["check", "-"], "a: b: c\n", 1);
    check(&["check", "no-such-folder"], "", 2);
    check(&["check"], "", 2);
    check(&["check", "--output", "xml", "-"], "", 2);
    check(&["explain", "-f", "-"], WRONG, 2);
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let mut child =
        serin(&["check", "samples", "--output", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 1]).unwrap();
    drop(out);
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
}

#[test]
fn colours_are_used_when_asked_for_and_not_in_a_pipe() {
    let colored = |arguments: &[&str]| with_input(arguments, WRONG).stdout.contains(&0x1b);
    assert!(!colored(&["check", "-"]));
    assert!(colored(&["check", "--color", "always", "-"]));
    assert!(!colored(&["check", "--color", "never", "-"]));
}

#[test]
fn standard_input_is_called_a_dash() {
    let output = with_input(&["check", "-o", "json", "-"], WRONG);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files: Vec<_> =
        value["findings"].as_array().unwrap().iter().map(|f| f["file"].as_str()).collect();
    assert!(!files.is_empty() && files.iter().all(|file| *file == Some("-")), "{files:?}");
}

#[test]
fn every_output_is_complete_json_when_json_is_asked_for() {
    for format in ["json", "sarif"] {
        let output = with_input(&["check", "-o", format, "samples"], "");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(value.is_object(), "{format}");
    }
}
