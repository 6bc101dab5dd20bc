//! The controller of releases as a Kubernetes with Istio runs it: in pods or elsewhere, with the rights of its role, by what a
//! Prometheus says.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use serin_testkit::Process;

use crate::machine::Cluster;
use crate::releases::{Shop, canary};
use crate::scraped::Prometheus;

const NAMESPACE: &str = "serin-system";

/// A copy of the program that every user may run.
fn program(folder: &Path) -> String {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("serin");
    fs::copy(env!("CARGO_BIN_EXE_serin"), &program).unwrap();
    program.display().to_string()
}

/// Applies what `serin install` prints.
fn install(cluster: &Cluster) {
    let mut install = Command::new(env!("CARGO_BIN_EXE_serin"));
    let printed = install.args(["install", "--image", "serin:test"]).output().unwrap();
    assert!(printed.status.success());
    let file = cluster.folder.path().join("install.yaml");
    fs::write(&file, printed.stdout).unwrap();
    cluster.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]);
}

/// Who acts at present.
fn holder(cluster: &Cluster) -> String {
    let holder = "jsonpath={.spec.holderIdentity}";
    cluster.kubectl(&["-n", NAMESPACE, "get", "lease", "serin-operator", "-o", holder])
}

/// A controller outside of the cluster, as the service account.
fn elsewhere(cluster: &Cluster, prometheus: &str) -> Process {
    let token = cluster.kubectl(&["-n", NAMESPACE, "create", "token", "serin-operator"]);
    let file = cluster.folder.path().join("operator");
    fs::copy(cluster.kubeconfig(), &file).unwrap();
    let file = file.display().to_string();
    let config = |more: &[&str]| {
        let output = cluster.try_kubectl(&[&["--kubeconfig", &file, "config"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    config(&["set-credentials", "operator", "--token", token.trim()]);
    config(&["set-context", "--current", "--user=operator"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args(["operator", "--kubeconfig", &file, "--metrics-server", prometheus]);
    command.args(["--lease", &format!("{NAMESPACE}/serin-operator"), "--listen", "127.0.0.1:0"]);
    let process = Process::start(command.stdin(Stdio::null()));
    process.wait_for(|line| line.starts_with("ready "));
    process
}

#[test]
fn an_installed_controller_does_its_work_with_just_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let image = format!("serin:*={}", program(folder.path()));
    let Some(cluster) = Cluster::start(&["--no-operator", "--image", &image]) else { return };
    install(&cluster);
    let rolled_out = ["rollout", "status", "deployment/serin-operator", "--timeout=60s"];
    cluster.kubectl(&[&["-n", NAMESPACE], &rolled_out[..]].concat());

    let analysis = json!({
        "interval": "3s", "threshold": 2, "stepWeights": [20, 50],
        "metrics": [{"name": "request-success-rate", "interval": "5s", "thresholdRange": {"min": 99}}],
    });
    // One of its two pods acts: the release has its primary.
    let shop = Shop::on(cluster, canary("serin.dev/v1alpha1", json!({"analysis": analysis})));
    let in_pod = holder(&shop.cluster);
    assert!(!in_pod.is_empty());

    // They go, another comes, which takes the Lease and goes on.
    shop.cluster.kubectl(&["-n", NAMESPACE, "scale", "deployment/serin-operator", "--replicas=0"]);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let Some(prometheus) = Prometheus::start(&shop.cluster, &address) else { return };
    let operator = elsewhere(&shop.cluster, &format!("http://{address}"));
    let users = shop.users(50);
    let of_primary = "sum(rate(istio_requests_total{destination_workload=\"hello-primary\"}[5s]))";
    prometheus.ask_until(of_primary, |it| it > 10.0);
    let before = shop.release("v2", &[]);
    assert_eq!(shop.end(&before)["phase"], "Succeeded", "{}", operator.output());
    let before = shop.release("v3", &[("SERIN_SAMPLE_ERRORS", "30%")]);
    assert_eq!(shop.end(&before)["phase"], "Failed", "{}", operator.output());
    users.stop();
    shop.is_with_primary("v2");
    assert_ne!(holder(&shop.cluster), in_pod);
    // Nothing was refused to it.
    assert!(!operator.output().contains("forbidden"), "{}", operator.output());
}
