use serde_json::{Value, json};

use crate::validation::validate;

/// What is wrong with a Canary of `group` whose spec is a good one with `change` merged in: `severity field`.
#[track_caller]
fn check(group: &str, change: Value, expect: &[&str]) {
    let mut spec = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        "service": {"port": 9898},
        "analysis": {"interval": "1m", "threshold": 10, "maxWeight": 50, "stepWeight": 10},
    });
    merge(&mut spec, change);
    problems(group, "Canary", spec, expect);
}

#[track_caller]
fn problems(group: &str, kind: &str, spec: Value, expect: &[&str]) {
    let object =
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": "podinfo"}, "spec": spec});
    let problems = validate(&object).expect("a kind with rules").expect("an object of its kind");
    let shown: Vec<String> = problems
        .iter()
        .map(|it| format!("{:?} {}", it.severity, it.field).to_lowercase())
        .collect();
    assert_eq!(shown, expect, "{problems:#?}");
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, Value::Null) => *into = Value::Null,
        (into, value) => *into = value,
    }
}

const FLAGGER: &str = "flagger.app/v1beta1";
const SERIN: &str = "serin.dev/v1alpha1";

#[test]
fn a_usual_canary_is_in_order() {
    check(FLAGGER, json!({}), &[]);
    check(SERIN, json!({}), &[]);
    let everything = json!({"analysis": {
        "metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
            {"name": "latency", "templateRef": {"name": "latency"}, "thresholdRange": {"max": 0.5}},
        ],
        "webhooks": [{"name": "load", "url": "http://flagger-loadtester.test/", "timeout": "5s"}],
        "alerts": [{"name": "dev", "severity": "error", "providerRef": {"name": "slack"}}],
        "sessionAffinity": {"cookieName": "flagger-cookie", "maxAge": 21600},
    }});
    check(FLAGGER, everything, &[]);
}

#[test]
fn steps_that_cannot_be_taken_are_told() {
    let none = json!({"analysis": {"stepWeight": null, "maxWeight": null}});
    check(FLAGGER, none, &["error spec.analysis"]);
    let weights =
        json!({"analysis": {"stepWeight": null, "maxWeight": null, "stepWeights": [20, 10, 200]}});
    check(
        FLAGGER,
        weights,
        &["error spec.analysis.stepweights[1]", "error spec.analysis.stepweights[2]"],
    );
    check(
        FLAGGER,
        json!({"analysis": {"stepWeight": 120}}),
        &["error spec.analysis.stepweight", "warning spec.analysis.maxweight"],
    );
    check(FLAGGER, json!({"analysis": {"interval": "5s"}}), &["warning spec.analysis.interval"]);
    check(SERIN, json!({"analysis": {"interval": "5s"}}), &[]);
    check(FLAGGER, json!({"analysis": {"interval": "soon"}}), &["warning spec.analysis.interval"]);
}

#[test]
fn mirroring_before_the_steps_is_ours_and_passed_over_by_flagger() {
    let combined = json!({"analysis": {
        "stepWeight": null, "maxWeight": null, "mirror": true, "iterations": 10, "stepWeights": [20, 40, 60, 80, 100],
    }});
    check(FLAGGER, combined.clone(), &["warning spec.analysis.stepweights"]);
    check(SERIN, combined, &[]);
}

#[test]
fn services_and_targets_that_cannot_be_are_told() {
    check(FLAGGER, json!({"targetRef": {"kind": "StatefulSet"}}), &["error spec.targetref.kind"]);
    check(FLAGGER, json!({"service": {"port": 0}}), &["error spec.service.port"]);
    let delegated = json!({"service": {"delegation": true, "hosts": ["a"], "gateways": ["b"]}});
    check(FLAGGER, delegated, &["error spec.service.hosts", "error spec.service.gateways"]);
    let tcp = json!({"service": {"appProtocol": "TCP", "match": [{"uri": {"prefix": "/"}}]}, "analysis": {"mirror": true}});
    check(FLAGGER, tcp, &["warning spec.service.match", "warning spec.service.appprotocol"]);
    check(FLAGGER, json!({"provider": "linkerd"}), &["warning spec.provider"]);
    check(FLAGGER, json!({"analysis": null}), &["warning spec.analysis"]);
}

#[test]
fn metrics_hooks_and_alerts_that_say_nothing_are_told() {
    let of = |key: &str, value: Value| json!({"analysis": {key: [value]}});
    check(
        FLAGGER,
        of("metrics", json!({"name": "x", "thresholdRange": {"max": 1}})),
        &["error spec.analysis.metrics[0]"],
    );
    let range = json!({"name": "request-duration", "thresholdRange": {"min": 2, "max": 1}});
    check(FLAGGER, of("metrics", range), &["error spec.analysis.metrics[0].thresholdrange"]);
    let old = json!({"name": "x", "query": "up", "threshold": 1});
    check(
        FLAGGER,
        of("metrics", old),
        &["warning spec.analysis.metrics[0].query", "warning spec.analysis.metrics[0].threshold"],
    );
    let hook = json!({"name": "x", "url": "load", "timeout": "5"});
    check(
        FLAGGER,
        of("webhooks", hook),
        &["error spec.analysis.webhooks[0].url", "error spec.analysis.webhooks[0].timeout"],
    );
    check(
        FLAGGER,
        of("alerts", json!({"name": "x"})),
        &["error spec.analysis.alerts[0].providerref"],
    );
    let cookies =
        json!({"analysis": {"sessionAffinity": {"cookieName": "a", "primaryCookieName": "a"}}});
    check(FLAGGER, cookies, &["error spec.analysis.sessionaffinity.primarycookiename"]);
}

#[test]
fn extensions_are_within_their_limits() {
    let sequential = |value: Value| json!({"analysis": {"sequential": value}});
    check(
        SERIN,
        sequential(json!({"alpha": 0.05, "gate": {"ratio": 1.5}, "quantiles": [0.5]})),
        &[],
    );
    check(
        SERIN,
        sequential(json!({"alpha": 1.0})),
        &["error spec.analysis.sequential.alpha", "warning spec.analysis.sequential.alpha"],
    );
    let bounds =
        json!({"tolerance": 0.5, "gate": {"ratio": 1}, "quantiles": [99], "errorCeiling": 0});
    let expect = [
        "error spec.analysis.sequential.errorceiling",
        "error spec.analysis.sequential.tolerance",
        "error spec.analysis.sequential.gate.ratio",
        "error spec.analysis.sequential.quantiles[0]",
    ];
    check(SERIN, sequential(bounds), &expect);
    let tolerated = json!({"tolerance": 3, "gate": {"ratio": 2}});
    check(SERIN, sequential(tolerated), &["error spec.analysis.sequential.gate.ratio"]);
    check(
        SERIN,
        json!({"versions": {"primary": "v1", "canary": "v1"}}),
        &["error spec.versions.canary"],
    );
    check(SERIN, json!({"analysis": {"maxExposure": {}}}), &["error spec.analysis.maxexposure"]);
    check(
        SERIN,
        json!({"analysis": {"maxExposure": {"users": 0}}}),
        &["error spec.analysis.maxexposure.users"],
    );
    check(SERIN, json!({"scaleDownDelay": "later"}), &["error spec.scaledowndelay"]);
}

#[test]
fn templates_and_alert_providers_are_complete() {
    let template = |query: &str| json!({"provider": {"type": "prometheus", "address": "http://prometheus:9090"}, "query": query});
    problems(
        FLAGGER,
        "MetricTemplate",
        template("rate(x{ns=\"{{ namespace }}\"}[{{interval}}]) > {{ variables.limit }}"),
        &[],
    );
    problems(FLAGGER, "MetricTemplate", template("{{ pod }}"), &["error spec.query"]);
    problems(SERIN, "MetricTemplate", template("{{ name"), &["error spec.query"]);
    problems(
        SERIN,
        "MetricTemplate",
        json!({"provider": {"type": "prometheus"}, "query": "up"}),
        &["error spec.provider.address"],
    );
    problems(
        FLAGGER,
        "MetricTemplate",
        json!({"provider": {"type": "cloudwatch", "region": "eu"}, "query": "[]"}),
        &[],
    );
    problems(
        FLAGGER,
        "MetricTemplate",
        json!({"provider": {"type": "cloudwatch"}, "query": "[]"}),
        &["error spec.provider.region"],
    );
    let with_headers = json!({"type": "newrelic", "headers": {"x-scope-orgid": ["a"]}});
    problems(FLAGGER, "MetricTemplate", json!({"provider": with_headers, "query": "q"}), &[]);
    problems(FLAGGER, "AlertProvider", json!({"type": "slack"}), &["error spec.address"]);
    problems(
        FLAGGER,
        "AlertProvider",
        json!({"type": "slack", "secretRef": {"name": "on-call"}}),
        &[],
    );
}
