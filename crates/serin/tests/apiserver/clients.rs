//! Clients of other people: Python's, JavaScript's, Helm.

use std::path::Path;
use std::process::Command;

use serin_testkit::tools;

use crate::server::Server;

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
