//! Recorded sessions of a real Kubernetes, replayed by a real kubectl: what it prints depends on what the controllers write.

use std::path::Path;
use std::process::Command;

use serin_apiserver::{Listener, write_kubeconfig};
use serin_testkit::tools;

use crate::cluster::Cluster;

/// Sessions about workloads. The one with logs needs a node that has some.
const SESSIONS: &[&str] = &["01-deployment", "02-rollout", "03-service", "10-autoscale"];

/// The minor version of kubectl, if there is one.
fn version() -> Option<u32> {
    let output = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
    let version: serde_json::Value = serde_json::from_slice(&output.ok()?.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_sessions_of_workloads_answer_as_a_real_kubernetes() {
    let folder = tools::root().join("../shared/conformance/kubectl");
    if !folder.exists() {
        println!("skipped: there are no recorded sessions beside the checkout");
        return;
    }
    if version().is_none_or(|minor| minor < 32) {
        println!("skipped: the sessions need kubectl 1.32 (Debian: kubernetes-client)");
        return;
    }
    let Some(python) = tools::find("python3") else { return };
    let cluster = Cluster::start().await;
    // As programs do that are asked to end; one command waits for an end that is not there yet.
    cluster.linger(std::time::Duration::from_secs(3));
    let address = ([127, 0, 0, 1], 0).into();
    let listener = Listener::open(cluster.server.clone(), address).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let kubeconfig = scratch.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &cluster.server.access(listener.address())).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(async move { drop(stopped.await) }));
    let replayed = tokio::task::spawn_blocking(move || replay(&python, &folder, &kubeconfig));
    let (success, printed) = replayed.await.unwrap();
    drop(stop);
    cluster.server.stop();
    serving.await.unwrap();
    assert!(success, "{printed}");
}

fn replay(python: &Path, folder: &Path, kubeconfig: &Path) -> (bool, String) {
    let mut command = Command::new(python);
    command.current_dir(folder).args(["transcript.py", "check", "--kubeconfig"]).arg(kubeconfig);
    command.args(SESSIONS.iter().map(|name| format!("sessions/{name}.session")));
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}
