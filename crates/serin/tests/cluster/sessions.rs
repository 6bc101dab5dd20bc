//! Recorded sessions of a real Kubernetes, against the whole cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serin_testkit::tools;

use crate::machine::Cluster;

#[test]
fn recorded_sessions_of_workloads_answer_as_a_real_kubernetes() {
    let folder = tools::root().join("../shared/conformance/kubectl");
    if !folder.exists() {
        println!("skipped: there are no recorded sessions beside the checkout");
        return;
    }
    let (Some(python), Some(kubectl)) = (tools::find("python3"), tools::find("kubectl")) else {
        return;
    };
    let Some(cluster) = Cluster::start(&[]) else { return };
    let sessions = without_the_wait_for_pods(&folder, cluster.folder.path());
    let mut command = Command::new(python);
    command.current_dir(&folder).args(["transcript.py", "--kubeconfig"]).arg(cluster.kubeconfig());
    command.arg("--kubectl").arg(kubectl).arg("check");
    let output = command.args(sessions).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Copies of the sessions. Whether `kubectl wait --for=delete` still finds a pod that it could wait for is a matter of moments.
fn without_the_wait_for_pods(folder: &Path, copies: &Path) -> Vec<PathBuf> {
    let mut sessions = Vec::new();
    for entry in fs::read_dir(folder.join("sessions")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut blocks: Vec<&str> = text.split("\n$ ").collect();
        blocks.retain(|block| !block.starts_with("kubectl wait --for=delete"));
        let copy = copies.join(path.file_name().unwrap());
        fs::write(&copy, blocks.join("\n$ ") + "\n").unwrap();
        sessions.push(copy);
    }
    sessions.sort();
    sessions
}
