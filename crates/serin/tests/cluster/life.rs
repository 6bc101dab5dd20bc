//! How a cluster starts and ends.

use std::process::Command;
use std::time::Instant;

use serin_testkit::PATIENCE;

use crate::machine::Cluster;

#[test]
fn a_pod_runs_has_an_address_logs_and_can_be_entered() {
    let Some(cluster) =
        Cluster::start(&["--image", "talker:*=sh -c 'echo hello from $HOSTNAME; exec sleep 1000'"])
    else {
        return;
    };
    cluster.kubectl(&["run", "talker", "--image=talker:1"]);
    cluster.kubectl(&["wait", "pod/talker", "--for=condition=Ready"]);
    let address = cluster.kubectl(&["get", "pod", "talker", "-o", "jsonpath={.status.podIP}"]);
    assert!(address.starts_with("10.244."), "{address}");
    assert_eq!(cluster.kubectl(&["logs", "talker"]), "hello from talker\n");
    assert_eq!(cluster.kubectl(&["exec", "talker", "--", "hostname"]), "talker\n");
    cluster.kubectl(&["delete", "pod", "talker"]);
    assert_eq!(cluster.kubectl(&["get", "pods"]), "");
    // Arguments take the place of the server that an image is for.
    let said = ["--rm", "--attach", "--quiet", "--restart=Never", "--", "echo", "hi"];
    let said = cluster.kubectl(&[&["run", "said", "--image=nginx"], &said[..]].concat());
    assert_eq!(said, "hi\n");
    // One of its containers has ended.
    let two = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec": {"restartPolicy": "Never", "containers": [
        {"name": "runs", "image": "talker:1"}, {"name": "ended", "image": "nginx", "args": ["true"]}]}}"#;
    let file = cluster.folder.path().join("two.json");
    std::fs::write(&file, two).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    let ended = "--for=jsonpath={.status.containerStatuses[?(@.name==\"ended\")].state.terminated.exitCode}=0";
    cluster.kubectl(&["wait", "pod/two", ended]);
    for command in
        [&["attach", "two", "-c", "ended"][..], &["exec", "two", "-c", "ended", "--", "ls"]]
    {
        let refused = String::from_utf8(cluster.try_kubectl(command).stderr).unwrap();
        let why = "error: unable to upgrade connection: container not found (\"ended\")\n";
        assert!(refused.ends_with(why), "{refused}");
    }
}

#[test]
fn a_container_that_is_added_looks_into_a_pod_and_resources_change_while_it_runs() {
    let images = ["--image", "talker:*=sh -c 'exec sleep 1000'", "--image", "look:*=sh"];
    let Some(cluster) = Cluster::start(&images) else { return };
    cluster.kubectl(&["run", "talker", "--image=talker:1"]);
    cluster.kubectl(&["wait", "pod/talker", "--for=condition=Ready"]);
    let debug = ["debug", "talker", "--image=look:1", "--profile=general", "-c", "look"];
    let looks = ["--target=talker", "--", "sh", "-c", "hostname; cat /proc/1/cmdline; sleep 1000"];
    cluster.kubectl(&[&debug[..], &looks[..]].concat());
    let state = "jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}";
    cluster.kubectl(&["wait", "pod/talker", &format!("--for={state}")]);
    cluster.kubectl(&["exec", "talker", "-c", "look", "--", "true"]);
    let log = cluster.kubectl(&["logs", "talker", "-c", "look"]);
    assert!(log.starts_with("talker\n"), "{log}");
    let restarts = "jsonpath={.status.ephemeralContainerStatuses[0].restartCount}";
    assert_eq!(cluster.kubectl(&["get", "pod", "talker", "-o", restarts]), "0");

    let given = "{.status.containerStatuses[0].resources}";
    let known = cluster.kubectl(&["get", "pod", "talker", "-o", &format!("jsonpath={given}")]);
    if known.is_empty() {
        println!("skipped: resources of containers cannot be limited on this machine");
        return;
    }
    let sized = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"sized"},"spec":{"containers":[
        {"name":"sized","image":"talker:1","resources":{"requests":{"cpu":"10m"},"limits":{"cpu":"100m"}}}]}}"#;
    let file = cluster.folder.path().join("sized.json");
    std::fs::write(&file, sized).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    cluster.kubectl(&["wait", "pod/sized", "--for=condition=Ready"]);
    let patch = |cpu: &str, limit: &str| {
        let resources = format!(r#"{{"requests":{{"cpu":"{cpu}"}},"limits":{{"cpu":"{limit}"}}}}"#);
        let patch =
            format!(r#"{{"spec":{{"containers":[{{"name":"sized","resources":{resources}}}]}}}}"#);
        cluster.kubectl(&["patch", "pod", "sized", "--subresource=resize", "-p", &patch]);
    };
    patch("20m", "200m");
    let wanted = "--for=jsonpath={.status.containerStatuses[0].resources.limits.cpu}=200m";
    cluster.kubectl(&["wait", "pod/sized", wanted]);
    // More than the machine has is told and leaves the container as it is.
    patch("1000", "1000");
    cluster.kubectl(&["wait", "pod/sized", "--for=condition=PodResizePending"]);
    let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
    assert_eq!(cluster.kubectl(&["get", "pod", "sized", "-o", restarts]), "0");
}

#[test]
fn a_signal_ends_a_cluster_that_is_not_ready_yet() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: never}, spec: {containers: [{name: never, image: 'nowhere.invalid/never:1', \
               imagePullPolicy: Never}]}}";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("never.yaml");
    std::fs::write(&file, pod).unwrap();
    let arguments = ["-f", file.to_str().unwrap()];
    let Some(mut cluster) = Cluster::begin_in(&folder.path().join("data"), &arguments) else {
        return;
    };
    let until = Instant::now() + PATIENCE;
    while !cluster.try_kubectl(&["get", "pod", "never"]).status.success() {
        assert!(Instant::now() < until, "{}", cluster.process.output());
    }
    cluster.process.signal("INT");
    assert!(cluster.process.wait().success());
    let output = cluster.process.output();
    assert!(!output.lines().any(|line| line.starts_with("ready")), "{output}");
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
    cluster.kubectl(&["wait", "pod/left", "--for=condition=Ready"]);
    assert_eq!(running(), 1);
    cluster.process.signal("KILL");
    cluster.process.wait();
    let mut cluster = cluster.start_again(&arguments);
    cluster.kubectl(&["wait", "pod/left", "--for=condition=Ready"]);
    assert_eq!(running(), 1, "the pod runs once");
    cluster.process.signal("TERM");
    assert!(cluster.process.wait().success());
    assert_eq!(running(), 0, "nothing is left");
}
