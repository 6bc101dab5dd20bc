//! Rules for every text file: no trailing blanks, a final newline, no paths of one machine, no words that the glossary
//! replaces.

use std::path::Path;

/// Words that are never right here, and what to say instead.
const BANNED: &[(&str, &str)] = &[
    (concat!("/", "work/"), "a path of one machine"),
    (concat!("/", "home/"), "a path of one machine"),
    (concat!("/", "root/"), "a path of one machine"),
    (concat!("/", "Users/"), "a path of one machine"),
    (concat!("backend", "_pool"), "say cluster"),
    (concat!("stable", "_weight"), "say primary weight"),
    (concat!("k8s", "_cluster"), "say kube_cluster"),
];

/// The rules that a file breaks. Test data is left as it was found.
pub(super) fn check(file: &Path, content: &str) -> Vec<String> {
    if file.iter().any(|part| part == "testdata" || part == "data") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let mut problem =
            |text: &str| problems.push(format!("{}:{}: {text}", file.display(), index + 1));
        if line.ends_with([' ', '\t', '\r']) {
            problem("blanks at the end of the line");
        }
        for (word, why) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
            problem(&format!("`{word}`: {why}"));
        }
    }
    if !content.is_empty() && !content.ends_with('\n') {
        problems.push(format!("{}: no newline at the end of the file", file.display()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_machine_paths_and_missing_newlines_are_found() {
        let table = |content: &str, expect: &[&str]| {
            assert_eq!(check(Path::new("a.md"), content), expect);
        };
        table("fine\n", &[]);
        table("one \ntwo\n", &["a.md:1: blanks at the end of the line"]);
        table("one", &["a.md: no newline at the end of the file"]);
        let path = concat!("see /", "home/me\n");
        table(path, &[concat!("a.md:1: `/", "home/`: a path of one machine")]);
    }

    #[test]
    fn data_of_tests_is_left_alone() {
        assert!(check(Path::new("crates/a/tests/data/b.yaml"), "a: \n").is_empty());
    }
}
