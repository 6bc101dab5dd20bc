//! Writing, reading, access, and what a crash leaves.

use std::process::Command;

use serin_testkit::tools;

use crate::server::{Server, kubectl};

#[test]
fn kubectl_creates_shows_changes_and_deletes_objects() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let says = |args: &[&str]| server.says(&kubectl, args);
    assert_eq!(says(&["create", "configmap", "a", "--from-literal=k=v"]), "configmap/a created\n");
    assert_eq!(
        says(&["create", "configmap", "a"]),
        "error: failed to create configmap: configmaps \"a\" already exists\n"
    );
    assert_eq!(says(&["get", "configmap", "a", "-o", "jsonpath={.data.k}"]), "v");
    assert_eq!(says(&["label", "configmap", "a", "x=y"]), "configmap/a labeled\n");
    assert_eq!(says(&["get", "configmap", "-l", "x=y", "-o", "name"]), "configmap/a\n");
    assert_eq!(says(&["delete", "configmap", "a"]), "configmap \"a\" deleted\n");
    let missing = says(&["get", "configmap", "a"]);
    assert_eq!(missing, "Error from server (NotFound): configmaps \"a\" not found\n");
}

#[test]
fn a_write_that_was_acknowledged_survives_a_kill() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    for name in ["a", "b", "c"] {
        let made = server.kubectl(&kubectl, &["create", "configmap", name]);
        assert!(made.status.success(), "{made:?}");
    }
    let deleted = server.kubectl(&kubectl, &["delete", "configmap", "b"]);
    assert!(deleted.status.success(), "{deleted:?}");
    let server = server.crash_and_restart();
    let left = server.says(&kubectl, &["get", "configmaps", "-o", "name"]);
    assert_eq!(left, "configmap/a\nconfigmap/c\nconfigmap/kube-root-ca.crt\n");
}

#[test]
fn the_kubeconfig_is_its_owners_only_and_who_has_none_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let Some(curl) = tools::find("curl") else { return };
    let mut server = Server::start(tempfile::tempdir().unwrap());
    let mode = std::fs::metadata(server.kubeconfig()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(server.kubeconfig()).unwrap();
    let url = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
    let url = format!("{}/api/v1/namespaces", url.trim_matches('"'));
    let code = |header: &str| {
        let mut command = Command::new(&curl);
        command.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, &url]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(code("X-Nothing: here"), "401");
    assert_eq!(code("Authorization: Bearer wrong"), "401");
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    assert_eq!(code(&format!("Authorization: Bearer {}", token.trim_matches('"'))), "200");
    server.process.signal("TERM");
    assert!(server.process.wait().success());
}
