//! How a cluster starts and ends.

use std::process::Command;

use crate::machine::Cluster;

#[test]
fn a_pod_runs_has_an_address_logs_and_can_be_entered() {
    let Some(cluster) =
        Cluster::start(&["--image", "talker:*=sh -c 'echo hello from $HOSTNAME; exec sleep 1000'"])
    else {
        return;
    };
    cluster.kubectl(&["run", "talker", "--image=talker:1"]);
    cluster.kubectl(&["wait", "pod/talker", "--for=condition=Ready", "--timeout=60s"]);
    let address = cluster.kubectl(&["get", "pod", "talker", "-o", "jsonpath={.status.podIP}"]);
    assert!(address.starts_with("10.244."), "{address}");
    assert_eq!(cluster.kubectl(&["logs", "talker"]), "hello from talker\n");
    assert_eq!(cluster.kubectl(&["exec", "talker", "--", "hostname"]), "talker\n");
    cluster.kubectl(&["delete", "pod", "talker"]);
    assert_eq!(cluster.kubectl(&["get", "pods"]), "");
}

#[test]
fn what_a_killed_cluster_left_is_gone_after_the_next_start() {
    let mark = format!("serin-left-{}", std::process::id());
    let image = format!("left:*=sh -c 'exec -a {mark} sleep 1000'");
    let image = image.replace("sh -c", "bash -c");
    let arguments = ["--image", &image];
    let Some(mut cluster) = Cluster::start(&arguments) else { return };
    let running = || {
        let output = Command::new("pgrep").args(["-f", &format!("^{mark}")]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    cluster.kubectl(&["run", "left", "--image=left:1"]);
    cluster.kubectl(&["wait", "pod/left", "--for=condition=Ready", "--timeout=60s"]);
    assert_eq!(running(), 1);
    cluster.process.signal("KILL");
    cluster.process.wait();
    let mut cluster = cluster.start_again(&arguments);
    cluster.kubectl(&["wait", "pod/left", "--for=condition=Ready", "--timeout=60s"]);
    assert_eq!(running(), 1, "the pod runs once");
    cluster.process.signal("TERM");
    assert!(cluster.process.wait().success());
    assert_eq!(running(), 0, "nothing is left");
}
