//! Every session that the documents show is run with the real binary and must print what is shown.
//!
//! A session is a fenced block marked `console`: lines that begin with `$ ` are commands (a backslash at the end continues
//! one), the lines below them are what it prints, errors last, and `(exit code 1)` if the command does not end with 0. Commands
//! run in the root of the repository. With `UPDATE_TRANSCRIPTS=1` the documents are rewritten instead.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The documents with sessions.
fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut found = vec![root.join("README.md")];
    for folder in ["docs", "samples", "crates/serin/tests/transcripts"] {
        collect(&root.join(folder), &mut found);
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The document with the output of every session replaced by what the commands print.
fn replayed(document: &str) -> String {
    let mut result = String::new();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        result.push_str(line);
        result.push('\n');
        if line != "```console" {
            continue;
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            if let Some(first) = line.strip_prefix("$ ") {
                let mut command = first.to_owned();
                result.push_str(line);
                result.push('\n');
                while command.ends_with('\\') {
                    let next = lines.next().unwrap_or_default();
                    command.pop();
                    command.push_str(next);
                    result.push_str(next);
                    result.push('\n');
                }
                result.push_str(&run(&command));
            }
        }
    }
    result
}

/// Runs one command line and gives what it prints.
fn run(command: &str) -> String {
    let mut words = words(command).into_iter();
    assert_eq!(words.next().as_deref(), Some("serin"), "sessions run serin only: {command}");
    let output = Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(words)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    match output.status.code() {
        Some(0) => {}
        code => text.push_str(&format!("(exit code {})\n", code.unwrap_or(-1))),
    }
    // Blanks at the ends of lines are nothing to see, and no file of the repository has them.
    text.lines().fold(String::new(), |shown, line| shown + line.trim_end() + "\n")
}

/// Splits at blanks outside quotes, as a shell does for plain words.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn documents_show_what_the_command_prints() {
    let update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    let mut wrong = Vec::new();
    let mut sessions = 0;
    for path in documents() {
        let shown = fs::read_to_string(&path).unwrap();
        sessions += shown.matches("\n$ serin").count();
        let real = replayed(&shown);
        if shown == real {
            continue;
        }
        if update {
            fs::write(&path, real).unwrap();
        } else {
            let first = shown.lines().zip(real.lines()).position(|(a, b)| a != b);
            let line = first.unwrap_or_else(|| shown.lines().count().min(real.lines().count()));
            wrong.push(format!(
                "{}:{}:\n  shown:  {}\n  prints: {}",
                path.display(),
                line + 1,
                shown.lines().nth(line).unwrap_or("(nothing)"),
                real.lines().nth(line).unwrap_or("(nothing)")
            ));
        }
    }
    assert!(sessions > 0, "no document shows a session");
    assert!(wrong.is_empty(), "{}\nUPDATE_TRANSCRIPTS=1 rewrites them", wrong.join("\n"));
}
