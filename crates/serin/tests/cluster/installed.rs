//! The controller of releases as a Kubernetes with Istio runs it: in pods or elsewhere, with the rights of its role, by what a
//! Prometheus says; and its dashboard.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serin_testkit::{PATIENCE, Process};

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

/// A dashboard, as a script sees it.
struct Pages {
    origin: String,
    token: String,
}

impl Pages {
    /// The one behind a link in a line.
    fn of(line: &str) -> Self {
        let link = line.split(' ').find(|it| it.contains("/?token=")).unwrap();
        let (origin, token) = link.split_once("/?token=").unwrap();
        Self { origin: origin.to_owned(), token: token.to_owned() }
    }

    /// A page, once it is as it should be.
    fn until(&self, page: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut command = Command::new("curl");
            command.args(["-sS", "-H", &format!("Authorization: Bearer {}", self.token)]);
            command.arg(format!("{}{page}", self.origin));
            let output = command.output().unwrap();
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if is_it(&answer) {
                return answer;
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{page}: {answer:#} {errors}");
            thread::park_timeout(Duration::from_millis(200));
        }
    }
}

/// The dashboard of the pods, which tells what is wrong with their Prometheus.
fn pods_have_a_dashboard(cluster: &Cluster) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command
        .args(["dashboard", "--installed", "--port", "0", "--kubeconfig"])
        .arg(cluster.kubeconfig());
    let brought = Process::start(command.stdin(Stdio::null()));
    let pages = Pages::of(&brought.wait_for(|line| line.starts_with("http://")));
    let overview = pages.until("/index.json", |it| it["unknown"].is_string());
    let why = overview["unknown"].as_str().unwrap();
    assert!(why.starts_with("Prometheus at http://prometheus.istio-system:9090: "), "{why}");
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
    command.args(["-H", "Authorization: Bearer guessed", &pages.origin]);
    assert_eq!(command.output().unwrap().stdout, b"401");
}

/// The dashboard of a controller with a Prometheus: what flows, and by which rules.
fn traffic_is_seen(pages: &Pages) {
    let to_hello = |overview: &Value| -> Option<f64> {
        let flows = overview["traffic"].as_array()?;
        let flow =
            flows.iter().find(|it| it["to"].as_str().is_some_and(|to| to.starts_with("hello")))?;
        flow["rates"]["rate"].as_f64()
    };
    pages.until("/index.json", |it| to_hello(it).is_some_and(|rate| rate > 1.0));
    let rules =
        pages.until("/routing/default/hello.json", |it| it.to_string().contains("hello-primary"));
    assert!(rules.to_string().contains("\"rules\""), "{rules:#}");
    let requests = pages.until("/requests.json", Value::is_object);
    assert_eq!(requests["requests"], Value::Null);
}

/// A controller outside of the cluster, as the service account; and the line that tells where it is.
fn elsewhere(cluster: &Cluster, prometheus: &str) -> (Process, String) {
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
    command.args(["--dashboard-address", "127.0.0.1:0"]);
    let process = Process::start(command.stdin(Stdio::null()));
    let ready = process.wait_for(|line| line.starts_with("ready "));
    (process, ready)
}

#[test]
fn an_installed_controller_does_its_work_with_just_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let image = format!("serin:*={}", program(folder.path()));
    let Some(cluster) = Cluster::start(&["--no-operator", "--image", &image]) else { return };
    install(&cluster);
    let rolled_out = ["rollout", "status", "deployment/serin-operator"];
    cluster.kubectl(&[&["-n", NAMESPACE], &rolled_out[..]].concat());

    let analysis = json!({
        "interval": "3s", "threshold": 2, "stepWeights": [20, 50],
        "metrics": [{"name": "request-success-rate", "interval": "5s", "thresholdRange": {"min": 99}}],
    });
    // One of its two pods acts: the release has its primary.
    let shop = Shop::on(cluster, canary("serin.dev/v1alpha1", json!({"analysis": analysis})));
    let in_pod = holder(&shop.cluster);
    assert!(!in_pod.is_empty());
    pods_have_a_dashboard(&shop.cluster);

    // They go, another comes, which takes the Lease and goes on.
    shop.cluster.kubectl(&["-n", NAMESPACE, "scale", "deployment/serin-operator", "--replicas=0"]);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let Some(prometheus) = Prometheus::start(&shop.cluster, &address) else { return };
    let (operator, ready) = elsewhere(&shop.cluster, &format!("http://{address}"));
    let users = shop.users(50);
    let of_primary = "sum(rate(istio_requests_total{destination_workload=\"hello-primary\"}[5s]))";
    prometheus.ask_until(of_primary, |it| it > 10.0);
    traffic_is_seen(&Pages::of(&ready));
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
