use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::rates::Memory;
use super::usage::{self, Sample, Samples, Situation, Subject, Target, Tolerances};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A pod that asks for 100m of CPU: `running`, `starting` (not ready for long enough), `silent` (no metrics), `pending` or
/// `ending`; and what it uses, in thousandths of a core.
fn pod(name: &str, state: &str) -> Pod {
    let (start, ready_since) = if state == "starting" { (20, 10) } else { (3600, 3500) };
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {
            "phase": if state == "pending" { "Pending" } else { "Running" },
            "startTime": ago(start),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready_since)}],
        },
    });
    if state == "ending" {
        pod["metadata"]["deletionTimestamp"] = json!(ago(1));
    }
    serde_json::from_value(pod).unwrap()
}

/// Checks what pods, written as `state use`, come to when half of what they ask for is wanted.
fn check(replicas: i32, states: &[&str], expect: Result<(i32, i32), &str>) {
    let mut samples = Samples::new();
    let mut pods = Vec::new();
    for (index, text) in states.iter().enumerate() {
        let name = format!("pod-{index}");
        let (state, value) = text.split_once(' ').unwrap_or((text, "0"));
        pods.push(Arc::new(pod(&name, state)));
        if !matches!(state, "silent" | "pending") {
            let window = std::time::Duration::from_secs(15);
            samples.insert(name, Sample { value: value.parse().unwrap(), at: ago(5), window });
        }
    }
    let tolerances = Tolerances { up: 0.1, down: 0.1 };
    let situation = Situation { replicas, pods: &pods, tolerances, now: now() };
    let subject = Subject { resource: "cpu", container: None };
    let wanted = usage::wanted(&situation, &samples, subject, Target::Utilization(50));
    let wanted = wanted.map(|wanted| (wanted.replicas, wanted.utilization.unwrap()));
    assert_eq!(wanted, expect.map_err(str::to_owned), "{states:?}");
}

#[test]
fn replicas_follow_the_ratio_of_use_to_target() {
    check(2, &["running 100", "running 100"], Ok((4, 100)));
    check(2, &["running 80", "running 80"], Ok((4, 80)));
    check(2, &["running 20", "running 20"], Ok((1, 20)));
    check(2, &["running 0", "running 0"], Ok((0, 0)));
    check(4, &["running 300"; 4], Ok((24, 300)));
}

#[test]
fn a_small_difference_is_none() {
    check(2, &["running 54", "running 55"], Ok((2, 54)));
    check(2, &["running 56", "running 56"], Ok((3, 56)));
    check(3, &["running 46"; 3], Ok((3, 46)));
}

#[test]
fn pods_that_say_nothing_count_against_the_decision() {
    // Alone, 100 % would double; with one that uses nothing it is 67 % of three.
    check(3, &["running 100", "running 100", "silent"], Ok((4, 100)));
    // 20 % would halve; with one at 100 % it is 47 % of three: within the tolerance.
    check(3, &["running 20", "running 20", "silent"], Ok((3, 20)));
    // The direction does not turn.
    check(3, &["running 60", "silent", "silent"], Ok((3, 60)));
    check(
        2,
        &["silent", "silent"],
        Err("did not receive metrics for targeted pods (pods might be unready)"),
    );
}

#[test]
fn pods_that_begin_do_not_blow_up_and_those_that_end_do_not_count() {
    check(2, &["running 100", "starting 500"], Ok((2, 100)));
    check(2, &["running 100", "pending"], Ok((2, 100)));
    check(2, &["running 20", "pending"], Ok((1, 20)));
    check(1, &["running 100", "ending 0"], Ok((2, 100)));
    check(1, &[], Err("no pods returned by selector while calculating replica count"));
}

#[test]
fn without_a_request_there_is_no_percentage() {
    let mut lacking = pod("a", "running");
    lacking.spec.as_mut().unwrap().containers[0].resources = None;
    let pods = [Arc::new(lacking)];
    let sample = Sample { value: 5, at: now(), window: std::time::Duration::ZERO };
    let samples = Samples::from([("a".to_owned(), sample)]);
    let tolerances = Tolerances { up: 0.1, down: 0.1 };
    let situation = Situation { replicas: 1, pods: &pods, tolerances, now: now() };
    let subject = Subject { resource: "cpu", container: None };
    let wanted = |target| usage::wanted(&situation, &samples, subject, target);
    let why = wanted(Target::Utilization(50)).unwrap_err();
    assert_eq!(why, "missing request for cpu in container c of Pod a");
    assert_eq!(wanted(Target::Average(2)).unwrap().replicas, 3);
}

fn spec(value: Value) -> HorizontalPodAutoscalerSpec {
    let mut spec =
        json!({"maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": "web"}});
    for (name, value) in value.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// Checks a row of looks: seconds since the one before, what is recommended, and how many replicas follow, with the reasons
/// of AbleToScale and ScalingLimited.
fn check_rates(behavior: Value, first: i32, looks: &[(i64, i32, i32, &str, &str)]) {
    let spec = spec(behavior);
    let mut memory = Memory::default();
    let mut at = now();
    let mut current = first;
    memory.begin(current, at);
    for (seconds, recommended, expect, able, limited) in looks {
        at += SignedDuration::from_secs(*seconds);
        let decision = memory.decide(&spec, current, *recommended, at);
        let got = (decision.replicas, decision.able.0, decision.limited.1);
        assert_eq!(got, (*expect, *able, *limited), "{recommended} after {seconds} s");
        if decision.replicas != current {
            memory.note_change(decision.replicas - current, at);
        }
        current = decision.replicas;
    }
}

#[test]
fn fewer_replicas_wait_for_five_minutes_and_more_do_not_wait() {
    check_rates(
        json!({}),
        2,
        &[
            (15, 4, 4, "ReadyForNewScale", "DesiredWithinRange"),
            (15, 2, 4, "ScaleDownStabilized", "DesiredWithinRange"),
            (280, 2, 4, "ScaleDownStabilized", "DesiredWithinRange"),
            (15, 2, 2, "ReadyForNewScale", "DesiredWithinRange"),
        ],
    );
}

#[test]
fn growth_is_limited_and_so_are_least_and_most() {
    check_rates(
        json!({"minReplicas": 2, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}),
        2,
        &[
            (15, 50, 6, "ReadyForNewScale", "ScaleUpLimit"),
            (15, 50, 10, "ReadyForNewScale", "TooManyReplicas"),
            (15, 0, 2, "ReadyForNewScale", "TooFewReplicas"),
        ],
    );
    check_rates(json!({}), 1, &[(15, 9, 4, "ReadyForNewScale", "ScaleUpLimit")]);
}

#[test]
fn policies_count_what_was_done_within_their_period() {
    let behavior = json!({"behavior": {
        "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
    }});
    check_rates(
        behavior,
        4,
        &[
            (15, 9, 6, "ReadyForNewScale", "ScaleUpLimit"),
            (15, 9, 6, "ReadyForNewScale", "ScaleUpLimit"),
            (46, 9, 8, "ReadyForNewScale", "ScaleUpLimit"),
            (61, 1, 4, "ReadyForNewScale", "ScaleDownLimit"),
            (15, 1, 4, "ReadyForNewScale", "ScaleDownLimit"),
            (46, 1, 2, "ReadyForNewScale", "ScaleDownLimit"),
        ],
    );
}

#[test]
fn a_window_for_more_takes_the_lowest_recommendation_and_a_direction_can_be_off() {
    check_rates(
        json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 30}, "scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}}}),
        2,
        &[
            (15, 5, 2, "ScaleUpStabilized", "DesiredWithinRange"),
            (15, 4, 4, "ReadyForNewScale", "DesiredWithinRange"),
            (60, 1, 4, "ReadyForNewScale", "ScaleDownLimit"),
        ],
    );
}
