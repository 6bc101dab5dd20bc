//! Rules for Rust sources: the shape of a module, its length, and the purity of the crates that only decide.

use std::path::Path;

use crate::tiers::is_pure;

/// Lines of a file before its tests.
const MAX_LINES: usize = 500;
/// Lines of tests inside the file that they test; longer ones go to `foo/tests.rs`.
const MAX_INLINE_TESTS: usize = 150;
/// States, with a reason, that a file is longer on purpose: a table does not get better by being cut.
const LONG_MARKER: &str = "// tidy: long because ";

/// What gives away that a source reads a clock, the environment, files or sockets.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::env",
    "std::fs",
    "std::thread",
    "std::process",
    "TcpStream",
    "UdpSocket",
];

/// What makes a test hard to read or to trust.
const BAD_IN_TESTS: &[(&str, &str)] = &[
    ("fn test_", "name the behaviour, without `test_`"),
    ("#[ignore", "a test that does not run cannot fail"),
    ("#[should_panic", "assert on the error instead"),
    ("thread::sleep", "tests do not depend on timing"),
];

/// The rules that a source file breaks.
pub(super) fn check(file: &Path, source: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut problem =
        |line: usize, text: String| problems.push(format!("{}:{line}: {text}", file.display()));
    if file.file_name().is_some_and(|name| name == "mod.rs") {
        problem(1, "a module `foo` lives in foo.rs, its parts in foo/".to_owned());
    }
    // What `foo/tests.rs` is for, its name says.
    if !source.starts_with("//!") && !file.ends_with("tests.rs") {
        problem(1, "the module does not say what it is for: begin with `//!`".to_owned());
    }
    let only_tests = is_test_file(file);
    let code = source.lines().take_while(|line| only_tests || *line != "#[cfg(test)]").count();
    if !only_tests && code > MAX_LINES && !source.contains(LONG_MARKER) {
        problem(
            MAX_LINES,
            format!("{code} lines: split the file at a concept (limit {MAX_LINES})"),
        );
    }
    let inline_tests = source.lines().count() - code;
    if inline_tests > MAX_INLINE_TESTS {
        problem(
            code + 1,
            format!("{inline_tests} lines of tests: move them to a file tests.rs of their own"),
        );
    }
    let pure = pure_source(file);
    for (index, line) in source.lines().enumerate() {
        let words = line.split("//").next().unwrap_or_default();
        if pure && index < code && !only_tests {
            for impure in IMPURE.iter().filter(|impure| words.contains(**impure)) {
                problem(
                    index + 1,
                    format!("{impure} in a crate that is pure: let the caller bring it"),
                );
            }
        }
        if is_ours_to_judge(file) {
            for (bad, why) in BAD_IN_TESTS.iter().filter(|(bad, _)| words.contains(bad)) {
                problem(index + 1, format!("`{bad}`: {why}"));
            }
        }
    }
    problems
}

/// Whether the file is part of a crate that only decides.
fn pure_source(file: &Path) -> bool {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    matches!(&parts[..], [crates, name, src, ..] if crates == "crates" && src == "src" && is_pure(name))
}

/// This file names what it forbids, and benchmarks do depend on time.
fn is_ours_to_judge(file: &Path) -> bool {
    !file.ends_with("tidy/rust.rs") && !file.iter().any(|part| part == "benches")
}

fn is_test_file(file: &Path) -> bool {
    file.ends_with("tests.rs") && file.components().count() > 3
        || file.iter().any(|part| part == "tests" || part == "benches")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, source: &str, expect: &[&str]) {
        assert_eq!(super::check(Path::new(file), source), expect);
    }

    #[test]
    fn a_module_begins_with_what_it_is_for() {
        check("crates/a/src/b.rs", "//! B.\nfn f() {}\n", &[]);
        check(
            "crates/a/src/b.rs",
            "fn f() {}\n",
            &["crates/a/src/b.rs:1: the module does not say what it is for: begin with `//!`"],
        );
        check(
            "crates/a/src/b/mod.rs",
            "//! B.\n",
            &["crates/a/src/b/mod.rs:1: a module `foo` lives in foo.rs, its parts in foo/"],
        );
    }

    #[test]
    fn long_files_are_split_unless_they_say_why_not() {
        let long = format!("//! B.\n{}", "fn f() {}\n".repeat(500));
        check(
            "crates/a/src/b.rs",
            &long,
            &["crates/a/src/b.rs:500: 501 lines: split the file at a concept (limit 500)"],
        );
        check("crates/a/src/b.rs", &format!("{long}{LONG_MARKER}it is a table\n"), &[]);
        check("crates/a/tests/b.rs", &long, &[]);
    }

    #[test]
    fn pure_crates_read_no_clock_outside_tests() {
        let source = "//! B.\nlet now = Instant::now(); // why\n// Instant::now\n#[cfg(test)]\nInstant::now();\n";
        check(
            "crates/serin-routing/src/b.rs",
            source,
            &[
                "crates/serin-routing/src/b.rs:2: Instant::now in a crate that is pure: let the caller bring it",
            ],
        );
        check("crates/serin/src/b.rs", source, &[]);
    }

    #[test]
    fn tests_are_named_for_behaviour() {
        check(
            "crates/a/src/b.rs",
            "//! B.\nfn test_b() {}\n",
            &["crates/a/src/b.rs:2: `fn test_`: name the behaviour, without `test_`"],
        );
    }
}
