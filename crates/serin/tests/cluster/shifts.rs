//! The releases of the documents: mirrored, then step by step; between two subsets, with a browser that stays where it was; along
//! a chain of services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::machine::Cluster;
use crate::receiver::Receiver;
use crate::releases::{Users, apply, decisions, gateway, watch};

/// A Deployment with one container of its own name.
fn deployment(name: &str, image: &str, port: u16, environment: &[(&str, &str)]) -> Value {
    let environment = environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 2, "containers": [{
                    "name": name, "image": image, "env": environment.collect::<Vec<_>>(),
                    "ports": [{"containerPort": port}],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

fn canary(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": name}, "spec": spec})
}

fn wait_for_phase(cluster: &Cluster, name: &str, phase: &str) {
    let condition = format!("--for=jsonpath={{.status.phase}}={phase}");
    let resource = format!("canaries.serin.dev/{name}");
    cluster.kubectl(&["wait", &resource, &condition]);
}

fn shown(cluster: &Cluster, name: &str) -> Value {
    let template = "jsonpath={.status.release}";
    let text = cluster.kubectl(&["get", &format!("canaries.serin.dev/{name}"), "-o", template]);
    serde_json::from_str(&text).unwrap()
}

/// The weights in the order in which they were seen, with `m` for mirroring.
fn weights(lines: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, weight, rest @ ..] = &words[..] else { continue };
        let is_mirrored = rest.first().is_some_and(|it| !it.is_empty());
        let weight = format!("{weight}{}", if is_mirrored { "m" } else { "" });
        if seen.last() != Some(&weight) {
            seen.push(weight);
        }
    }
    seen
}

/// Whether events came in this order, with others between them.
fn are_in_order(seen: &[&str], expect: &[&str]) {
    let mut all = seen.iter();
    for event in expect {
        assert!(all.any(|it| it == event), "{event} does not come in its place: {seen:#?}");
    }
}

/// A gateway's VirtualService and HPA beside a Deployment of reviews, and its release with every part that document 001 lists.
fn mirrored_release(receiver: &Receiver) -> Vec<Value> {
    let hook = |name: &str, kind: &str| json!({"name": name, "type": kind, "url": receiver.url(&format!("/{name}"))});
    vec![
        gateway(),
        deployment("reviews", "reviews:v1", 9080, &[]),
        deployment("ratings", "docker.io/istio/examples-bookinfo-ratings-v1:1.18.0", 9080, &[]),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "ratings"},
            "spec": {"selector": {"app": "ratings"}, "ports": [{"name": "http", "port": 9080}]},
        }),
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "reviews"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews"},
                "minReplicas": 1, "maxReplicas": 4,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}}],
            },
        }),
        json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "AlertProvider", "metadata": {"name": "team"},
            "spec": {"type": "webhook", "address": receiver.url("/alerts")},
        }),
        canary(
            "reviews",
            json!({
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews"},
                "autoscalerRef": {
                    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "reviews",
                    "canaryScalerReplicas": {"minReplicas": 1, "maxReplicas": 2},
                    "primaryScalerReplicas": {"minReplicas": 1, "maxReplicas": 3},
                },
                "service": {"port": 9080, "gateways": ["gateway", "mesh"], "hosts": ["hello.example"]},
                "warmUp": {"matchCanary": true},
                "analysis": {
                    "interval": "2s", "threshold": 3, "mirror": true, "iterations": 3,
                    "stepWeights": [20, 40, 60, 80, 100],
                    "metrics": [
                        {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "10s"},
                        {"name": "request-duration", "thresholdRange": {"max": 2000}, "interval": "10s"},
                    ],
                    "webhooks": [
                        hook("acceptance-test", "pre-rollout"), hook("load-test", "rollout"), hook("end", "post-rollout"),
                    ],
                    "alerts": [{"name": "team", "severity": "info", "providerRef": {"name": "team"}}],
                },
            }),
        ),
    ]
}

#[test]
fn a_release_mirrors_then_steps_and_shows_each_of_its_nineteen_steps() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let receiver = Receiver::start();
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    apply(&cluster, mirrored_release(&receiver));
    wait_for_phase(&cluster, "reviews", "Initialized");
    cluster.wait_live("virtualservice/reviews");
    let users = Users::at(&cluster, "/reviews/0", 50);
    let watched = watch(&cluster, "canaries.serin.dev/reviews");
    let of_scaler = |name: &str| {
        let template = "jsonpath={.spec.minReplicas} {.spec.maxReplicas}";
        cluster.kubectl(&["get", "hpa", name, "-o", template])
    };
    cluster.kubectl(&["set", "image", "deployment/reviews", "reviews=reviews:v2"]);
    watched.wait_for(|line| line.starts_with("Progressing ") && line.contains(" 20 "));
    // 3: the autoscaler of the new version.
    assert_eq!(of_scaler("reviews"), "1 2");
    watched.wait_for(|line| line.starts_with("Succeeded"));
    // 1, 2, 4 to 6, 8 to 14, 17, 18: what was decided.
    let release = shown(&cluster, "reviews");
    let steps = [
        "New revision detected! Scaling up reviews.default",
        "Starting canary analysis for reviews.default",
        "Pre-rollout check acceptance-test passed",
        "Advance reviews.default canary iteration 1/3",
        "Advance reviews.default canary iteration 2/3",
        "Advance reviews.default canary iteration 3/3",
        "Advance reviews.default canary weight 20",
        "Advance reviews.default canary weight 40",
        "Advance reviews.default canary weight 60",
        "Advance reviews.default canary weight 80",
        "Advance reviews.default canary weight 100",
        "Copying reviews.default template spec to reviews-primary.default",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down reviews.default",
    ];
    are_in_order(&decisions(&release), &steps);
    let template = "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}";
    let events = "involvedObject.kind=Canary";
    let events = cluster.kubectl(&["get", "events", "--field-selector", events, "-o", template]);
    assert!(steps.iter().all(|step| events.lines().any(|it| it == *step)), "{events}");
    assert_eq!(weights(&watched.output()), ["0", "0m", "20", "40", "60", "80", "100", "0"]);
    // 7: the load test with each check.
    assert!(receiver.heard("/load-test").len() >= 8);
    // 15, 16: the primary's autoscaler, and the primary itself.
    assert_eq!(of_scaler("reviews-primary"), "1 3");
    let image = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}";
    assert_eq!(
        cluster.kubectl(&["get", "deployment", "reviews-primary", "-o", image]),
        "reviews:v2 1"
    );
    cluster.kubectl(&["wait", "deployment/reviews", "--for=jsonpath={.spec.replicas}=0"]);
    // 19: those who want to know.
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");
    let alerts = receiver.heard("/alerts");
    let last = alerts.last().unwrap();
    assert_eq!(last["message"], "Canary analysis completed successfully, promotion finished.");
    assert_eq!(receiver.heard("/end")[0]["phase"], "Succeeded");
}

/// Rules of a user's own, which send everybody to v1.
fn own_rules() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "reviews"},
        "spec": {
            "hosts": ["*"], "gateways": ["reviews-gateway"],
            "http": [{
                "name": "everyone",
                "route": [
                    {"destination": {"host": "reviews", "subset": "v1"}, "weight": 100},
                    {"destination": {"host": "reviews", "subset": "v2"}, "weight": 0},
                ],
            }],
        },
    })
}

#[test]
fn a_browser_that_has_seen_the_new_version_stays_with_it_until_the_release_is_over() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let Some(mut browser) = Browser::start() else { return };
    let receiver = Receiver::start();
    // Each step is allowed by the test.
    receiver.answer("/increase", 403);
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&[
        "samples/bookinfo/workloads.yaml",
        "samples/session-affinity/mended/destination-rule.yaml",
        "samples/session-affinity/mended/gateway.yaml",
    ]);
    cluster.wait_available();
    apply(&cluster, vec![own_rules()]);
    cluster.wait_live("virtualservice/reviews");
    let release = canary(
        "reviews",
        json!({
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews-v2"},
            "service": {"name": "reviews", "port": 9080},
            "versions": {"primary": "v1", "canary": "v2", "virtualService": "reviews"},
            "analysis": {
                "interval": "1s", "threshold": 1, "stepWeights": [20, 40, 60, 80, 100],
                "sessionAffinity": {"cookieName": "reviews-cookie", "maxAge": 21600},
                "webhooks": [{"name": "increase", "type": "confirm-traffic-increase", "url": receiver.url("/increase")}],
            },
        }),
    );
    apply(&cluster, vec![release]);
    // Port 80 of the gateway's Service leads to its port 8080.
    let url = format!("http://{}/reviews/0", cluster.gateway);
    let is_second = |page: &str| page.contains("reviews-v2-");
    let steps = ["20", "40", "60", "80", "100"];
    for (index, weight) in steps.into_iter().enumerate() {
        receiver.answer_first("/increase", 1, 200, 403);
        let at = format!("--for=jsonpath={{.status.canaryWeight}}={weight}");
        cluster.kubectl(&["wait", "canaries.serin.dev/reviews", &at]);
        if index == 4 {
            // The release is soon over.
            break;
        }
        cluster.wait_live("virtualservice/reviews");
        if index == 0 {
            // One visit in five leads there: after 200 without it something is wrong (2e-20).
            let met = (0..200).any(|_| is_second(&browser.read(&url)));
            assert!(met, "nobody is led to v2");
            assert!(browser.cookie(&url, "reviews-cookie").is_some());
        }
        for _ in 0..10 {
            let page = browser.read(&url);
            assert!(is_second(&page), "it falls back at {weight} %: {page}");
        }
    }
    wait_for_phase(&cluster, "reviews", "Succeeded");
    cluster.wait_live("virtualservice/reviews");
    assert!(is_second(&browser.read(&url)), "everybody has v2");
    assert_eq!(browser.cookie(&url, "reviews-cookie"), None, "it is free again");
    let first = cluster.get(&[], "/reviews/0");
    assert!(is_second(&first) && !first.contains("set-cookie"), "{first}");
}

/// A link of a chain with its release: `appa` by weights; `appb` for those who come from the new `appa`.
fn link(name: &str, order: i32, upstream: &[(&str, &str)], more: Value) -> Vec<Value> {
    let mut environment = vec![("app", name), ("version", "v1")];
    environment.extend(upstream);
    let mut service = json!({"port": 8000});
    if name == "appa" {
        service["gateways"] = json!(["gateway", "mesh"]);
        service["hosts"] = json!(["hello.example"]);
    }
    let mut analysis = json!({"interval": "1s", "threshold": 2});
    for (key, value) in more.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    vec![
        deployment(name, "example/go-http-sample:1.0", 8000, &environment),
        canary(
            name,
            json!({
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "service": service, "group": {"name": "chain", "order": order}, "analysis": analysis,
            }),
        ),
    ]
}

#[test]
fn releases_of_a_group_step_together_along_a_lane_and_go_back_together() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    let upstream = [("upstream_url", "http://appb:8000/")];
    let from_new = json!({
        "iterations": 3, "match": [{"sourceLabels": {"app": "appa"}}],
        // Only this one judges; the other goes with it.
        "sequential": {"unit": "request", "minRequests": 20, "gate": {"disabled": true}, "quantiles": []},
    });
    let mut objects = vec![gateway()];
    objects.extend(link("appb", 0, &[], from_new));
    let receiver = Receiver::start();
    // At 60 it stays until what users get there was looked at.
    receiver.answer_first("/increase", 2, 200, 403);
    let steps = json!({
        "stepWeights": [20, 60, 80],
        "webhooks": [{"name": "increase", "type": "confirm-traffic-increase", "url": receiver.url("/increase")}],
    });
    objects.extend(link("appa", 1, &upstream, steps));
    apply(&cluster, objects);
    for name in ["appa", "appb"] {
        wait_for_phase(&cluster, name, "Initialized");
        cluster.wait_live(&format!("virtualservice/{name}"));
    }
    let users = Users::at(&cluster, "/", 50);
    let release = |version: &str, errors: &str| {
        for name in ["appb", "appa"] {
            let deployment = format!("deployment/{name}");
            let version = format!("version={version}");
            let errors = if name == "appb" { errors } else { "0" };
            let errors = format!("SERIN_SAMPLE_ERRORS={errors}");
            cluster.kubectl(&["set", "env", &deployment, &version, &errors]);
        }
    };
    let watched = watch(&cluster, "canaries.serin.dev/appa");
    release("v2", "0");
    watched.wait_for(|line| line.starts_with("Progressing") && line.contains(" 60 "));
    cluster.wait_live("virtualservice/appa");
    let host = ["-H", "host: hello.example"];
    let mut chains = BTreeSet::new();
    for _ in 0..40 {
        let answer = cluster.get(&host, "/");
        chains.insert(answer.lines().last().unwrap_or_default().to_owned());
    }
    let lanes = ["appa-v1 ==> appb-v1", "appa-v2 ==> appb-v2"].map(str::to_owned);
    assert_eq!(chains, BTreeSet::from(lanes.clone()), "nobody changes lanes, and there are two");
    receiver.answer("/increase", 200);
    for name in ["appa", "appb"] {
        wait_for_phase(&cluster, name, "Succeeded");
    }
    let answer = cluster.get_until(&host, "/", |answer| answer.ends_with(&lanes[1]));
    assert!(answer.contains("200 OK"), "{answer}");
    let outcome = users.stop();
    assert_eq!(outcome["failed"], 0, "{outcome:#}");

    // The second link of the next version fails: both go back.
    let users = Users::at(&cluster, "/", 50);
    release("v3", "30%");
    for name in ["appa", "appb"] {
        wait_for_phase(&cluster, name, "Failed");
    }
    let outcome = users.stop();
    let failed = outcome["failed"].as_u64().unwrap();
    assert!((1..=60).contains(&failed), "{outcome:#}");
    for (name, event) in [
        ("appb", "Rolling back appb.default by evidence"),
        ("appa", "Rolling back appa.default with its group"),
    ] {
        let release = shown(&cluster, name);
        assert!(decisions(&release).contains(&event), "{event}: {release:#}");
    }
    cluster.get_until(&host, "/", |answer| answer.ends_with(&lanes[1]));
}
