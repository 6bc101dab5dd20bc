//! Clients of other people: Python's, JavaScript's, Helm, and what charts and kustomize do by kubectl.

use std::path::Path;
use std::process::Command;

use serin_testkit::tools;

use crate::server::{Server, kubectl};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apiserver");

/// Runs a script that ends with 0 when everything it checked holds.
fn holds(command: &mut Command) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn pythons_client_finds_a_kubernetes() {
    let Some(python) = tools::find("python") else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    holds(Command::new(python).arg(Path::new(HERE).join("python.py")).arg(server.kubeconfig()));
}

#[test]
fn javascripts_client_finds_a_kubernetes() {
    let Some(node) = tools::find("node") else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let mut command = Command::new(node);
    command.arg(Path::new(HERE).join("node.mjs")).arg(server.kubeconfig());
    holds(command.env("TOOLS", tools::root().join("target/tools/node")));
}

#[test]
fn helm_installs_upgrades_rolls_back_and_uninstalls_a_chart() {
    let Some(python) = tools::find("python") else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let mut command = Command::new(python);
    command.arg(Path::new(HERE).join("helm.py")).arg(server.kubeconfig());
    holds(command.arg(server.folder.path()));
}

/// The words after the names in what kubectl says of many objects.
fn verdicts(text: &str) -> Vec<&str> {
    let mut all: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(' ').map_or(line, |(_, verdict)| verdict))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_chart_is_applied_once_and_changes_nothing_the_second_time() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let part = std::fs::read_to_string(Path::new(HERE).join("chart.yaml")).unwrap();
    let parts: Vec<String> =
        ["shop", "cart"].iter().map(|name| part.replace("PART", name)).collect();
    let file = server.folder.path().join("chart.yaml");
    std::fs::write(&file, parts.join("\n---\n")).unwrap();
    let chart = file.to_str().unwrap();
    let says = |args: &[&str]| server.says(&kubectl, args);
    // Where the server fills in elements of lists that are compared as a whole, kubectl sends a patch that changes nothing.
    for (namespace, ways, first, again) in [
        ("client", &[][..], "created", &["configured", "unchanged"][..]),
        ("server", &["--server-side"][..], "serverside-applied", &["serverside-applied"][..]),
    ] {
        says(&["create", "namespace", namespace]);
        let apply = [&["-n", namespace, "apply", "-f", chart], ways].concat();
        let text = says(&apply);
        assert_eq!((verdicts(&text), text.lines().count()), (vec![first], 34), "{text}");
        let list = [
            "-n",
            namespace,
            "get",
            "-f",
            chart,
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ];
        let before = says(&list);
        let text = says(&apply);
        assert_eq!(verdicts(&text), again, "{text}");
        assert_eq!(says(&list), before, "what was applied again changed");
        let diff =
            server.kubectl(&kubectl, &[&["-n", namespace, "diff", "-f", chart], ways].concat());
        assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
        let text = says(&["-n", namespace, "delete", "-f", chart]);
        assert!(verdicts(&text).iter().all(|it| it.ends_with("deleted")), "{text}");
    }
}

#[test]
fn kustomize_builds_upon_a_base() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let folder = server.folder.path().join("overlay");
    std::fs::create_dir(&folder).unwrap();
    let base = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: red}\n";
    std::fs::write(folder.join("base.yaml"), base).unwrap();
    let overlay = "namePrefix: dev-\ncommonAnnotations: {team: shop}\nresources: [base.yaml]\n\
        configMapGenerator: [{name: made, literals: [a=1]}]\n\
        patches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/data/size\", \"value\": \"s\"}]'}]\n";
    std::fs::write(folder.join("kustomization.yaml"), overlay).unwrap();
    let folder = folder.to_str().unwrap();
    let says = |args: &[&str]| server.says(&kubectl, args);
    let text = says(&["apply", "-k", folder]);
    assert_eq!(verdicts(&text), ["created"], "{text}");
    assert_eq!(verdicts(&says(&["apply", "-k", folder])), ["unchanged"]);
    let data = says(&[
        "get",
        "configmap",
        "dev-settings",
        "-o",
        "jsonpath={.data} {.metadata.annotations.team}",
    ]);
    assert_eq!(data, r#"{"color":"red","size":"s"} shop"#);
    let text = says(&["delete", "-k", folder]);
    assert_eq!(text.matches("deleted").count(), 2, "{text}");
}
