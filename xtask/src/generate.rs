//! The files of the repository that are made from code: written by `generate`, compared by `generate --check`.
//!
//! A file is either made as a whole or holds a generated part between two marker lines, so that hand-written text can
//! stand around a table.

mod fields;
mod metrics;
mod picture;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use serin_api::{CodeInfo, Severity};
use serin_translate::codes;

use crate::steps::Outcome;
use crate::workspace::Workspace;

/// One generated file, or the generated part of one.
struct Output {
    /// Relative to the root of the workspace.
    file: &'static str,
    /// The name between the markers; `None` when the whole file is generated.
    part: Option<&'static str>,
    /// What belongs there.
    text: String,
}

/// Everything that is generated.
fn outputs() -> Vec<Output> {
    vec![
        Output { file: "docs/check.md", part: Some("findings"), text: findings_table() },
        Output { file: "docs/fields.md", part: Some("fields"), text: fields::of_releases() },
        Output { file: "docs/images/evidence.svg", part: None, text: picture::of_evidence() },
        Output { file: "docs/metrics.md", part: Some("metrics"), text: metrics::reference() },
        Output { file: "manifests/crds.yaml", part: None, text: serin_api::crd::render_yaml() },
    ]
}

/// The reference of all codes.
fn findings_table() -> String {
    let mut table = String::from("\n| code | severity | name | meaning |\n|---|---|---|---|\n");
    for CodeInfo { code, severity, name, summary } in codes::every() {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        table.push_str(&format!("| {code} | {severity} | {name} | {summary} |\n"));
    }
    table.push('\n');
    table
}

/// Writes what differs, or with `check` says what would be written.
pub(crate) fn run(workspace: &Workspace, check: bool) -> anyhow::Result<Outcome> {
    let mut stale = Vec::new();
    for output in outputs() {
        let path = workspace.root.join(output.file);
        let present = read_if_present(&path)?;
        let wanted = match output.part {
            None => output.text,
            Some(part) => replace_part(&present, part, &output.text)
                .with_context(|| format!("cannot place {part} in {}", output.file))?,
        };
        if wanted == present {
            continue;
        }
        if check {
            stale.push(format!("{} is out of date: run `cargo xtask generate`", output.file));
        } else {
            println!("    wrote {}", output.file);
            write(&path, &wanted)?;
        }
    }
    Ok(stale.into())
}

/// The text with everything between the markers of `part` replaced.
fn replace_part(text: &str, part: &str, with: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- generated: {part} -->\n"), format!("<!-- end of {part} -->"));
    let Some((before, rest)) = text.split_once(&begin) else {
        bail!("the line {begin:?} is missing")
    };
    let Some((_, after)) = rest.split_once(&end) else { bail!("the line {end:?} is missing") };
    Ok(format!("{before}{begin}{with}{end}{after}"))
}

fn read_if_present(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_is_replaced() {
        let text = "above\n<!-- generated: codes -->\nold\n<!-- end of codes -->\nbelow\n";
        assert_eq!(
            replace_part(text, "codes", "new\n").unwrap(),
            "above\n<!-- generated: codes -->\nnew\n<!-- end of codes -->\nbelow\n"
        );
        assert!(replace_part("no markers", "codes", "new\n").is_err());
    }
}
