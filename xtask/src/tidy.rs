//! House rules that neither the compiler nor clippy checks. Each rule is a function from a file to problems.

mod dependencies;
mod documents;
mod rust;
mod settings;
mod text;

use crate::workspace::Workspace;

/// Everything that breaks a rule, one sentence each, beginning with the place.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in workspace.files(&["rs"])? {
        let source = workspace.read(&file)?;
        problems.extend(rust::check(&file, &source));
    }
    for file in workspace.files(&["rs", "md", "toml", "yaml", "yml", "json"])? {
        let content = workspace.read(&file)?;
        problems.extend(text::check(&file, &content));
    }
    problems.extend(documents::check(workspace)?);
    problems.extend(settings::check(workspace)?);
    problems.extend(dependencies::check(workspace)?);
    Ok(problems)
}
