//! Sessions of kubectl, command by command.

use std::process::Command;

use serin_testkit::tools;

use crate::server::{Server, kubectl};

/// Sessions whose every command answers as a real Kubernetes does. Those of workloads wait for their controllers.
const SESSIONS: &[&str] =
    &["04-metadata", "05-apply", "06-errors", "07-istio", "08-custom-resources", "09-discovery"];

#[test]
fn recorded_sessions_answer_as_a_real_kubernetes() {
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
    command.arg("--kubectl").arg(kubectl).arg("check");
    command.args(SESSIONS.iter().map(|name| format!("sessions/{name}.session")));
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
