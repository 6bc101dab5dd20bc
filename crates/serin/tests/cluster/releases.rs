//! Releases as users run them: a manifest, `kubectl set image`, and traffic that goes on.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use serin_testkit::{Process, tools};

use crate::machine::Cluster;
use crate::receiver::Receiver;

/// The host under which the gateway serves the workload.
const HOST: &str = "hello.example";
const IMAGE: &str = "docker.io/istio/examples-helloworld";

/// A workload in its first version behind the gateway, with a release of it that is at rest.
pub(crate) struct Shop {
    pub(crate) cluster: Cluster,
    group: &'static str,
}

/// The workload: 20 ms for an answer, more or less.
pub(crate) fn workload() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {"terminationGracePeriodSeconds": 2, "containers": [{
                    "name": "hello", "image": format!("{IMAGE}-v1:1.0"),
                    "env": [
                        {"name": "SERIN_SAMPLE_DELAY", "value": "20ms"},
                        {"name": "SERIN_SAMPLE_JITTER", "value": "5ms"},
                        {"name": "SERIN_SAMPLE_QUIET", "value": "true"},
                    ],
                    "ports": [{"containerPort": 5000}],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": 5000}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

pub(crate) fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "gateway"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    })
}

/// A Canary of the workload in a group, with these parts of its spec.
pub(crate) fn canary(api_version: &str, more: Value) -> Value {
    let mut spec = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
        "service": {"port": 5000, "gateways": ["gateway", "mesh"], "hosts": [HOST]},
    });
    merge(&mut spec, more);
    json!({"apiVersion": api_version, "kind": "Canary", "metadata": {"name": "hello"}, "spec": spec})
}

fn merge(into: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        into[key] = value.clone();
    }
}

impl Shop {
    /// `None` where this machine has no clusters.
    pub(crate) fn open(canary: Value) -> Option<Self> {
        Some(Self::on(Cluster::start(&[])?, canary))
    }

    /// The same with another workload of the same name.
    pub(crate) fn open_with(workload: Value, canary: Value) -> Option<Self> {
        Some(Self::with(Cluster::start(&[])?, workload, canary))
    }

    /// On a cluster that may be special.
    pub(crate) fn on(cluster: Cluster, canary: Value) -> Self {
        Self::with(cluster, workload(), canary)
    }

    fn with(cluster: Cluster, workload: Value, canary: Value) -> Self {
        cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
        let is_flaggers = canary["apiVersion"] == "flagger.app/v1beta1";
        let group = if is_flaggers { "flagger.app" } else { "serin.dev" };
        let shop = Self { cluster, group };
        shop.apply(vec![gateway(), workload, canary]);
        shop.until("Initialized");
        shop.cluster.wait_live("virtualservice/hello");
        shop
    }

    pub(crate) fn apply(&self, objects: Vec<Value>) {
        apply(&self.cluster, objects);
    }

    fn resource(&self) -> String {
        format!("canaries.{}/hello", self.group)
    }

    /// Waits until the release is in a phase.
    pub(crate) fn until(&self, phase: &str) {
        let condition = format!("--for=jsonpath={{.status.phase}}={phase}");
        self.cluster.kubectl(&["wait", &self.resource(), &condition]);
    }

    /// Waits until a release that began after `before` is over, and tells how it ended, with everything that was decided.
    pub(crate) fn end(&self, before: &Value) -> Value {
        let before = before["startedAt"].as_str().unwrap_or("-");
        let watched = watch(&self.cluster, &self.resource());
        watched.wait_for(|line| {
            let seen: Vec<&str> = line.split(' ').collect();
            matches!(seen[..], ["Succeeded" | "Failed", began, ..] if began != before)
        });
        self.shown()
    }

    pub(crate) fn shown(&self) -> Value {
        let text = self.serin(&["canary", "show", "hello", "--output", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// `kubectl set env`: another version that is the same program.
    pub(crate) fn set_variable(&self, name: &str, value: &str) {
        let variable = format!("{name}={value}");
        self.cluster.kubectl(&["set", "env", "deployment/hello", &variable]);
    }

    pub(crate) fn serin(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.args(arguments).arg("--kubeconfig").arg(self.cluster.kubeconfig());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// `kubectl set image` to a version, with variables by which it behaves otherwise. Tells how the release was before.
    pub(crate) fn release(&self, version: &str, variables: &[(&str, &str)]) -> Value {
        let before = self.shown();
        let mut pod = workload()["spec"]["template"]["spec"].clone();
        pod["containers"][0]["image"] = json!(format!("{IMAGE}-{version}:1.0"));
        for (name, value) in variables {
            let all = pod["containers"][0]["env"].as_array_mut().unwrap();
            all.retain(|it| it["name"] != *name);
            all.push(json!({"name": name, "value": value}));
        }
        let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
        self.cluster.kubectl(&["patch", "deployment", "hello", "--type=merge", "-p", &patch]);
        before
    }

    /// How many seconds a version has to begin.
    fn gives_pods(&self, seconds: u32) {
        let patch = json!({"spec": {"progressDeadlineSeconds": seconds}}).to_string();
        self.cluster.kubectl(&["patch", &self.resource(), "--type=merge", "-p", &patch]);
    }

    /// Users, so many requests a second, until they are stopped.
    pub(crate) fn users(&self, rate: u32) -> Users {
        Users::at(&self.cluster, "/hello", rate)
    }

    /// Which versions answer: of so many requests.
    fn versions(&self, count: usize) -> BTreeSet<String> {
        let host = format!("host: {HOST}");
        (0..count)
            .map(|_| {
                let answer = self.cluster.get(&["-H", &host], "/hello");
                let version = answer.split("version: ").nth(1).unwrap_or(&answer);
                version.split(',').next().unwrap().to_owned()
            })
            .collect()
    }

    /// All users are with the primary, which is of this version, and every proxy knows it.
    pub(crate) fn is_with_primary(&self, version: &str) {
        let template = "jsonpath={range .spec.http[*].route[*]}{.destination.host}={.weight} {end}";
        let weights = self.cluster.kubectl(&["get", "virtualservice", "hello", "-o", template]);
        assert_eq!(weights, "hello-primary=100 hello-canary= ", "{:#}", self.shown()["decisions"]);
        self.cluster.wait_live("virtualservice/hello");
        assert_eq!(self.versions(20), BTreeSet::from([version.to_owned()]));
    }
}

/// Applies objects that are written here.
pub(crate) fn apply(cluster: &Cluster, objects: Vec<Value>) {
    let file = cluster.folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    fs::write(&file, list.to_string()).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
}

/// Follows a release: a line with phase, beginning, weight and mirrored share for each change.
pub(crate) fn watch(cluster: &Cluster, resource: &str) -> Process {
    let status = "{.status.phase} {.status.release.startedAt} {.status.canaryWeight} {.status.release.mirrorWeight}";
    let format = format!("jsonpath={status}{{\"\\n\"}}");
    let mut command = Command::new(tools::find("kubectl").unwrap());
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    Process::start(command.args(["get", resource, "--watch", "-o", &format]))
}

/// Everything that was decided, as text.
pub(crate) fn decisions(shown: &Value) -> Vec<&str> {
    let all = shown["decisions"].as_array().unwrap().iter();
    all.map(|it| it["event"].as_str().unwrap()).collect()
}

/// `serin load`, which goes on until it is stopped.
pub(crate) struct Users(Process);

impl Users {
    pub(crate) fn at(cluster: &Cluster, path: &str, rate: u32) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.arg("load").arg(format!("http://{}{path}", cluster.gateway));
        command.args([
            "--header",
            &format!("host: {HOST}"),
            "--duration",
            "10m",
            "--output",
            "json",
        ]);
        command.args(["--rate", &rate.to_string()]);
        Self(Process::start(&mut command))
    }

    /// What became of their requests.
    pub(crate) fn stop(mut self) -> Value {
        self.0.signal("INT");
        self.0.wait();
        serde_json::from_str(&self.0.output()).unwrap()
    }
}

/// Decides by evidence and quickly: what is decided in minutes for users takes seconds here.
fn by_evidence() -> Value {
    json!({
        "interval": "2s", "threshold": 2, "stepWeights": [20, 50, 100],
        "sequential": {"unit": "request", "minRequests": 50, "gate": {"disabled": true}},
    })
}

#[test]
fn flaggers_canary_is_promoted_when_it_is_good_and_goes_back_at_its_threshold() {
    let metric =
        json!({"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "10s"});
    let analysis = json!({
        "interval": "10s", "threshold": 1, "stepWeight": 50, "maxWeight": 50, "metrics": [metric],
    });
    let Some(shop) = Shop::open(canary("flagger.app/v1beta1", json!({"analysis": analysis})))
    else {
        return;
    };
    let users = shop.users(50);
    let before = shop.release("v2", &[]);
    shop.until("Promoting");
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Succeeded", "{shown:#}");
    shop.is_with_primary("v2");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");
    let seen = decisions(&shown);
    for event in [
        "Initialization done! hello.default",
        "New revision detected! Scaling up hello.default",
        "Starting canary analysis for hello.default",
        "Advance hello.default canary weight 50",
        "Copying hello.default template spec to hello-primary.default",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down hello.default",
    ] {
        assert!(seen.contains(&event), "{event}: {seen:?}");
    }

    let users = shop.users(50);
    let before = shop.release("v3", &[("SERIN_SAMPLE_ERRORS", "10%")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    shop.is_with_primary("v2");
    let outcome = users.stop();
    // Two intervals at a half of 50 a second, of which a tenth fails: 50, and what a busy machine takes for its looks.
    let failed = outcome["failed"].as_u64().unwrap();
    assert!((1..=150).contains(&failed), "{outcome:#}");
    let seen = decisions(&shown);
    assert!(
        seen.iter().any(|it| it.starts_with("Halt hello.default advancement success rate")),
        "{seen:?}"
    );
}

#[test]
fn a_version_that_is_worse_goes_back_by_evidence() {
    let receiver = Receiver::start();
    let mut analysis = by_evidence();
    // On a busy machine few requests come to an answer in two seconds, and the first fifty do not count.
    analysis["interval"] = json!("5s");
    analysis["webhooks"] = json!([{
        "name": "acceptance", "type": "pre-rollout", "url": receiver.url("/acceptance"), "abortOnFailure": true,
    }]);
    let Some(shop) = Shop::open(canary("serin.dev/v1alpha1", json!({"analysis": analysis}))) else {
        return;
    };

    // Not accepted: no user ever meets it.
    receiver.answer("/acceptance", 500);
    let users = shop.users(100);
    let before = shop.release("v2", &[]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    assert_eq!(receiver.heard("/acceptance")[0]["phase"], "Progressing");
    receiver.answer("/acceptance", 200);

    // Never ready: no user ever meets it, either.
    shop.gives_pods(4);
    let before = shop.release("v3", &[("SERIN_SAMPLE_READY", "false")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    shop.gives_pods(120);
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");

    // Every tenth answer is an error.
    let users = shop.users(100);
    let before = shop.release("v4", &[("SERIN_SAMPLE_ERRORS", "10%")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    assert_eq!(shown["verdict"], "abort", "{shown:#}");
    let outcome = users.stop();
    // Five or six are enough for the verdict; those under way in the seconds until it is live come on top.
    let failed = outcome["failed"].as_u64().unwrap();
    assert!((1..=30).contains(&failed), "{outcome:#}\n{shown:#}");
    shop.is_with_primary("v1");

    // Ten times as slow, which is seen on the busiest machine.
    let users = shop.users(100);
    let before = shop.release("v5", &[("SERIN_SAMPLE_DELAY", "200ms")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    let reason = shown["decisions"].as_array().unwrap().iter().rev();
    let reason = reason.map(|it| it["reason"].as_str().unwrap()).find(|it| it.contains("evidence"));
    assert!(reason.unwrap().contains("of its answers take longer than"), "{shown:#}");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");
    shop.is_with_primary("v1");
}

#[test]
fn a_version_that_is_mirrored_first_goes_back_before_any_user_has_met_it() {
    let mut analysis = by_evidence();
    merge(&mut analysis, json!({"mirror": true, "iterations": 60}));
    let Some(shop) = Shop::open(canary("serin.dev/v1alpha1", json!({"analysis": analysis}))) else {
        return;
    };
    let users = shop.users(100);
    let before = shop.release("v2", &[("SERIN_SAMPLE_ERRORS", "10%")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    assert_eq!(shown["verdict"], "abort", "{shown:#}");
    let tests = shown["evidence"]["tests"].as_array().unwrap();
    let of =
        |name: &str| tests.iter().find(|it| it["name"] == name).unwrap()["logE"].as_f64().unwrap();
    assert!(of("mirroredErrors") > 4.6, "{tests:#?}");
    assert_eq!(of("errors"), 0.0, "no user has met it: {tests:#?}");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");
    shop.is_with_primary("v1");
}

#[test]
fn a_release_through_the_gateway_api_is_promoted_and_one_that_crashes_goes_back() {
    let Some(cluster) = Cluster::start(&["--image", "crashing:*=/bin/false"]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web"},
        "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    let canary = canary(
        "serin.dev/v1alpha1",
        json!({
            "provider": "gatewayapi:v1",
            "service": {"port": 5000, "hosts": [HOST], "gatewayRefs": [{"name": "web"}]},
            "analysis": {
                "interval": "2s", "threshold": 2, "stepWeights": [30, 60],
                "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "10s"}],
            },
        }),
    );
    let shop = Shop { cluster, group: "serin.dev" };
    shop.apply(vec![gateway, workload(), canary]);
    shop.until("Initialized");
    let host = format!("host: {HOST}");
    shop.cluster.get_until(&["-H", &host], "/hello", |answer| answer.contains("version: v1,"));

    let users = shop.users(50);
    let before = shop.release("v2", &[]);
    let watched = watch(&shop.cluster, &shop.resource());
    watched.wait_for(|line| line.starts_with("Progressing") && line.contains(" 60 "));
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Succeeded", "{shown:#}");
    shop.cluster.get_until(&["-H", &host], "/hello", |answer| answer.contains("version: v2,"));

    // Its program ends as soon as it has begun.
    let before = shop.shown();
    shop.gives_pods(4);
    let image = "hello=crashing:1";
    shop.cluster.kubectl(&["set", "image", "deployment/hello", image]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    let deadline = "Rolling back hello.default progress deadline exceeded";
    assert!(decisions(&shown).iter().any(|it| it.starts_with(deadline)), "{shown:#}");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");
    assert_eq!(shop.versions(20), BTreeSet::from(["v2".to_owned()]));
    let template = "jsonpath={range .spec.rules[*].backendRefs[*]}{.name}={.weight} {end}";
    let weights = shop.cluster.kubectl(&["get", "httproute", "hello", "-o", template]);
    assert_eq!(weights, "hello-primary=100 hello-canary=0 ");
}
