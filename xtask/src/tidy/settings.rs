//! docs/settings.md and the code name the same labels, annotations and fields of the mesh configuration.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::schema_for;
use serin_api::mesh_config::MeshConfig;

use crate::workspace::Workspace;

const PAGE: &str = "docs/settings.md";
/// The ends of the domains whose keys are told; what is Istio's own affair, or names a controller, is not.
const DOMAINS: [&str; 4] = ["istio.io", "serin.dev", "flagger.app", "flagger.kubernetes.app"];
const INTERNAL: &str = "internal.istio.io/";
const CONTROLLERS: [&str; 2] = ["-controller", "unmanaged-gateway"];

/// What the page leaves out or has too much.
pub(super) fn check(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let page = workspace.read(PAGE)?;
    let mut keys = BTreeSet::new();
    let mut sources = String::new();
    for file in workspace.files(&["rs"])? {
        if is_source(&file) {
            let source = workspace.read(&file)?;
            keys.extend(source.lines().filter_map(constant).map(str::to_owned));
            sources.push_str(&source);
        }
    }
    let schema = schema_for!(MeshConfig);
    let fields = schema.as_value()["properties"].as_object();
    let is_field = |name: &str| fields.is_some_and(|it| it.contains_key(name));
    Ok(compare(&page, &keys, &sources, is_field))
}

/// What the crates are made of, without what checks manifests by a list of all keys that Istio ever had.
fn is_source(file: &Path) -> bool {
    let is = |part: &str| file.components().any(|it| it.as_os_str() == part);
    is("crates") && is("src") && !is("tests") && !file.ends_with("analysis/annotations.rs")
}

/// The key that a line such as `const NAME: &str = "serin.dev/command";` defines.
fn constant(line: &str) -> Option<&str> {
    let (_, value) = line.trim().split_once("const ")?.1.split_once(": &str = \"")?;
    let key = value.strip_suffix("\";")?;
    is_told(key).then_some(key)
}

fn is_told(key: &str) -> bool {
    let Some((domain, name)) = key.split_once('/') else { return false };
    let is_ours = DOMAINS.iter().any(|it| {
        domain.strip_suffix(it).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    });
    is_ours
        && !key.starts_with(INTERNAL)
        && !CONTROLLERS.iter().any(|it| name.ends_with(it))
        && !name.starts_with("v1")
}

fn compare(
    page: &str,
    keys: &BTreeSet<String>,
    sources: &str,
    is_field: impl Fn(&str) -> bool,
) -> Vec<String> {
    let quoted: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let missing = keys.iter().filter(|key| !quoted.contains(key.as_str()));
    let missing = missing.map(|key| format!("{PAGE}: {key} is read or written, and not told"));
    let strange =
        quoted.iter().filter(|key| is_told(key) && !sources.contains(&format!("\"{key}\"")));
    let strange = strange.map(|key| format!("{PAGE}: no code knows {key}"));
    let mesh = page.split("\n## ").find(|it| it.starts_with("The mesh configuration"));
    let rows = mesh
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let unknown =
        rows.flat_map(|cell| cell.split('`')).filter(|it| it.starts_with(char::is_alphabetic));
    let unknown = unknown.filter(|it| !is_field(it.split('.').next().unwrap_or_default()));
    let unknown = unknown.map(|it| format!("{PAGE}: the mesh configuration has no field {it}"));
    missing.chain(strange).chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_constants() {
        let check = |line: &str, expect: Option<&str>| assert_eq!(constant(line), expect, "{line}");
        check("pub const COMMAND: &str = \"serin.dev/command\";", Some("serin.dev/command"));
        check(
            "    const A: &str = \"traffic.sidecar.istio.io/x\";",
            Some("traffic.sidecar.istio.io/x"),
        );
        check("const A: &str = \"internal.istio.io/parents\";", None);
        check("const A: &str = \"istio.io/mesh-controller\";", None);
        check("const A: &str = \"kubernetes.io/service-name\";", None);
        check("const A: &str = \"notistio.io/name\";", None);
        check("let key = \"serin.dev/command\";", None);
    }

    #[test]
    fn the_page_and_the_code_agree_or_not() {
        let keys = BTreeSet::from(["serin.dev/command".to_owned(), "serin.dev/new".to_owned()]);
        let page = "`serin.dev/command` `serin.dev/gone`\n## The mesh configuration\n| `rootNamespace`, `roots` | x |\n## Next\n| `other` | y |";
        let problems =
            compare(page, &keys, "\"serin.dev/command\"", |name| name == "rootNamespace");
        assert_eq!(
            problems,
            [
                "docs/settings.md: serin.dev/new is read or written, and not told",
                "docs/settings.md: no code knows serin.dev/gone",
                "docs/settings.md: the mesh configuration has no field roots",
            ]
        );
    }
}
