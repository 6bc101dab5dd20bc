//! Every dependency that a crate declares is used in its sources: each one costs compile time and trust.

use crate::workspace::Workspace;

/// The dependencies that no source of their crate names.
pub(super) fn check(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let files = workspace.files(&["rs"])?;
    let mut problems = Vec::new();
    for package in workspace.members() {
        let folder =
            package.manifest_path.parent().and_then(|p| p.strip_prefix(&workspace.root).ok());
        let Some(folder) = folder else { continue };
        let sources: Vec<String> = files
            .iter()
            .filter(|file| file.starts_with(folder))
            .map(|file| workspace.read(file))
            .collect::<anyhow::Result<_>>()?;
        for dependency in &package.dependencies {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            if !sources.iter().any(|source| names(source, &name)) {
                problems.push(format!(
                    "{folder}/Cargo.toml: {} is declared but not used",
                    dependency.name
                ));
            }
        }
    }
    Ok(problems)
}

/// Whether a source has `word` as a word of its own.
fn names(source: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(word).any(|(at, _)| {
        !source[..at].ends_with(is_part) && !source[at + word.len()..].starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_a_word_of_its_own() {
        assert!(names("use serde::Serialize;", "serde"));
        assert!(!names("use serde_json::Value;", "serde"));
        assert!(!names("let my_serde = 1;", "serde"));
    }
}
