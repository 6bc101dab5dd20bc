//! Rules for the documents: ARCHITECTURE.md names every crate and none that does not exist, links lead somewhere, and
//! decisions are numbered without gaps.

use std::collections::BTreeSet;
use std::path::Path;

use crate::workspace::Workspace;

/// The rules that the documents break.
pub(super) fn check(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let architecture = workspace.read("ARCHITECTURE.md")?;
    let mut problems = crates_named(&architecture, &workspace.member_names());
    let mut decisions = Vec::new();
    for file in workspace.files(&["md"])? {
        let text = workspace.read(&file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        for target in links(&text) {
            if !workspace.root.join(folder).join(&target).exists() {
                problems.push(format!("{}: the link to {target} leads nowhere", file.display()));
            }
        }
        if file.starts_with("docs/decisions") {
            decisions.push(file.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    for (index, name) in decisions.iter().enumerate() {
        let number = format!("{:04}-", index + 1);
        if !name.starts_with(&number) {
            problems.push(format!("docs/decisions/{name}: expected the number {number}"));
        }
    }
    Ok(problems)
}

/// Compares the crates that a text names with those that exist. A crate's name stands in backquotes.
fn crates_named(text: &str, members: &BTreeSet<&str>) -> Vec<String> {
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).collect();
    let missing = members
        .iter()
        .filter(|name| !named.contains(**name))
        .map(|name| format!("ARCHITECTURE.md does not name the crate {name}"));
    let unknown = named
        .iter()
        .filter(|name| is_crate_name(name) && !members.contains(**name))
        .map(|name| format!("ARCHITECTURE.md names {name}, which does not exist"));
    missing.chain(unknown).collect()
}

fn is_crate_name(word: &str) -> bool {
    word.strip_prefix("serin-").is_some_and(|rest| {
        rest.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit())
    })
}

/// The files that a text links to, without fragments; links to other sites are left out.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| {
            !target.contains("://")
                && !target.starts_with('#')
                && !target.contains(char::is_whitespace)
        })
        .filter_map(|target| target.split('#').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_map_and_the_crates_agree() {
        let members = BTreeSet::from(["serin", "serin-api"]);
        let check = |text: &str, expect: &[&str]| {
            assert_eq!(crates_named(text, &members), expect, "{text}")
        };
        check("`serin` and `serin-api`", &[]);
        check("`serin`", &["ARCHITECTURE.md does not name the crate serin-api"]);
        check(
            "`serin`, `serin-api`, `serin-old`",
            &["ARCHITECTURE.md names serin-old, which does not exist"],
        );
        check("`serin`, `serin-api`, `serin check`", &[]);
    }

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md#part) [b](https://example.com/x.md) [c](#here) f[x](y z)";
        assert_eq!(links(text), ["docs/a.md"]);
    }
}
