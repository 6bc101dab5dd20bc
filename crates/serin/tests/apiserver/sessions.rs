//! Sessions of kubectl, command by command: those that were recorded against a real Kubernetes, and those beside this file,
//! which go on where they end.

use std::path::{Path, PathBuf};
use std::process::Command;

use serin_testkit::tools;

use crate::server::{Server, kubectl};

/// Sessions whose every command answers as a real Kubernetes does. Those of workloads wait for their controllers.
const SESSIONS: &[&str] =
    &["04-metadata", "05-apply", "06-errors", "07-istio", "08-custom-resources", "09-discovery"];

/// Runs sessions and compares what is printed.
fn check(sessions: impl FnOnce(&Path) -> Vec<PathBuf>) {
    let Some(kubectl) = kubectl() else { return };
    let folder = tools::root().join("../shared/conformance/kubectl");
    if !folder.exists() {
        println!("skipped: there are no recorded sessions beside the checkout");
        return;
    }
    let version = Command::new(&kubectl).args(["version", "--client", "-o", "json"]).output();
    let version: serde_json::Value = serde_json::from_slice(&version.unwrap().stdout).unwrap();
    let minor = version["clientVersion"]["minor"].as_str().unwrap().trim_end_matches('+');
    if minor.parse::<u32>().unwrap() < 32 {
        println!("skipped: kubectl 1.{minor} words its output differently; the sessions need 1.32");
        return;
    }
    let Some(python) = tools::find("python3") else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let mut command = Command::new(python);
    command.current_dir(&folder).args(["transcript.py", "--kubeconfig"]).arg(server.kubeconfig());
    command.arg("--kubectl").arg(kubectl).arg("check").args(sessions(&folder));
    let output = command.env("SESSIONS", own()).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The sessions beside this file.
fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apiserver/sessions")
}

#[test]
fn recorded_sessions_answer_as_a_real_kubernetes() {
    check(|folder| {
        SESSIONS.iter().map(|name| folder.join(format!("sessions/{name}.session"))).collect()
    });
}

#[test]
fn sessions_of_our_own_answer_as_they_should() {
    check(|_| {
        let files = std::fs::read_dir(own()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|it| it == "session")).collect()
    });
}
