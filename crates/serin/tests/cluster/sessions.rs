//! Recorded sessions of a real Kubernetes, against the whole cluster.

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
    let mut command = Command::new(python);
    command.current_dir(&folder).args(["transcript.py", "--kubeconfig"]).arg(cluster.kubeconfig());
    command.arg("--kubectl").arg(kubectl).arg("check");
    let mut sessions: Vec<_> =
        std::fs::read_dir(folder.join("sessions")).unwrap().map(|it| it.unwrap().path()).collect();
    sessions.sort();
    let output = command.args(sessions).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
