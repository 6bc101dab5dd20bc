//! What events say, word by word: people and programs look for these texts. The Canary and its workload have different names
//! here, of which each event names the one that Flagger's names.

use serde_json::{Value, json};

use super::*;

/// A new version of the workload `podinfo` of the Canary `shop`.
fn shop(spec: Value) -> Release {
    let mut value = object("flagger.app/v1beta1", spec);
    value["metadata"]["name"] = json!("shop");
    let plan = Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&value).unwrap());
    Release::changed(plan)
}

fn hook(kind: &str) -> Value {
    json!({"name": kind, "type": kind, "url": "http://tester/"})
}

/// Events, of which those that are warnings begin with an exclamation mark.
fn told(release: &Release) -> Vec<String> {
    let mark = |is_warning: bool| if is_warning { "! " } else { "" };
    release.state.history.iter().map(|it| format!("{}{}", mark(it.is_warning), it.event)).collect()
}

#[test]
fn a_promotion_names_the_workload_and_its_steps_the_canary() {
    let hooks = ["confirm-rollout", "pre-rollout", "confirm-traffic-increase", "confirm-promotion"];
    let analysis = json!({"interval": "1m", "threshold": 2, "stepWeights": [50], "stepWeightPromotion": 30,
        "webhooks": hooks.map(hook)});
    let mut release = shop(json!({"analysis": analysis}));
    release.until(Phase::Succeeded);
    assert_eq!(
        told(&release),
        [
            "Confirm-rollout check confirm-rollout passed",
            "New revision detected! Scaling up podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Pre-rollout check pre-rollout passed",
            "Confirm-traffic-increase check confirm-traffic-increase passed",
            "Advance shop.test canary weight 50",
            "Confirm-promotion check confirm-promotion passed",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Advance shop.test primary weight 80",
            "Advance shop.test primary weight 100",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
}

#[test]
fn going_back_names_the_canary() {
    let analysis = json!({"interval": "1m", "threshold": 1, "stepWeight": 20,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}]});
    let mut release = shop(json!({"analysis": analysis}));
    (0..2).for_each(|_| release.tick());
    release.world.target.revision = "v3".to_owned();
    (0..3).for_each(|_| release.tick());
    release.say("request-success-rate", Answer::Value(69.171));
    release.until(Phase::Failed);
    assert_eq!(
        told(&release)[3..],
        [
            "New revision detected! Restarting analysis for podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Advance shop.test canary weight 20",
            "Advance shop.test canary weight 40",
            "! Halt shop.test advancement success rate 69.17% < 99%",
            "! Rolling back shop.test failed checks threshold reached 1",
            "! Canary failed! Scaling down shop.test",
        ]
    );

    let analysis = json!({"interval": "1m", "stepWeight": 20, "webhooks": [hook("rollback")]});
    let mut release = shop(json!({"analysis": analysis}));
    release.say("rollback", Answer::No("no".to_owned()));
    (0..2).for_each(|_| release.tick());
    release.say("rollback", Answer::Yes);
    release.until(Phase::Failed);
    assert_eq!(
        told(&release)[3..],
        [
            "! Rollback check rollback passed",
            "! Rolling back shop.test manual webhook invoked",
            "! Canary failed! Scaling down shop.test",
        ]
    );
}

#[test]
fn what_is_not_analysed_is_approved_and_copied_all_the_same() {
    let analysis =
        json!({"interval": "1m", "stepWeight": 20, "webhooks": [hook("confirm-rollout")]});
    let mut release = shop(json!({"skipAnalysis": true, "analysis": analysis}));
    release.say("confirm-rollout", Answer::No("not yet".to_owned()));
    release.tick();
    assert_eq!(release.shown(), "Waiting 0");
    release.say("confirm-rollout", Answer::Yes);
    release.until(Phase::Succeeded);
    assert_eq!(
        told(&release),
        [
            "! Halt shop.test advancement waiting for approval confirm-rollout",
            "Confirm-rollout check confirm-rollout passed",
            "New revision detected! Scaling up podinfo.test",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Promotion completed! Canary analysis was skipped for podinfo.test",
        ]
    );
}

#[test]
fn what_cannot_be_had_without_routes_is_told_as_the_analysis_begins() {
    let analysis =
        json!({"interval": "1m", "stepWeight": 20, "match": [{"headers": {"a": {"exact": "b"}}}]});
    let mut release = shop(json!({"provider": "kubernetes", "analysis": analysis}));
    release.until(Phase::Succeeded);
    let mut expect = vec![
        "New revision detected! Scaling up podinfo.test".to_owned(),
        "Starting canary analysis for podinfo.test".to_owned(),
        "! A/B testing is not supported when using the kubernetes provider".to_owned(),
        "! Progressive traffic is not supported when using the kubernetes provider".to_owned(),
        "! Setting canaryAnalysis.iterations: 10".to_owned(),
    ];
    expect.extend((1..=10).map(|it| format!("Advance shop.test canary iteration {it}/10")));
    assert_eq!(told(&release)[..15], expect);
}

#[test]
fn a_metric_that_does_not_pass_says_which_and_those_of_templates_come_last() {
    let metrics = json!([
        {"name": "template", "templateRef": {"name": "t"}, "thresholdRange": {"min": 10, "max": 500}},
        {"name": "query", "query": "up", "threshold": 500},
        {"name": "request-success-rate", "threshold": 99},
        {"name": "request-duration", "thresholdRange": {"min": 1, "max": 500}},
    ]);
    let mut release = shop(
        json!({"analysis": {"interval": "1m", "threshold": 100, "stepWeight": 1, "metrics": metrics}}),
    );
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.asked, ["query", "request-success-rate", "request-duration", "template"]);
    let mut check = |name: &str, answer: Answer, expect: &str| {
        release.say(name, answer);
        release.tick();
        assert_eq!(release.events().last(), Some(&expect));
        release.say(name, Answer::Value(if name == "request-success-rate" { 100.0 } else { 99.5 }));
    };
    let failed = || Answer::Failed("no route".to_owned());
    let silent = "Halt advancement no values found for";
    check("template", Answer::Value(500.125), "Halt shop.test advancement template 500.12 > 500");
    check("template", Answer::Value(9.0), "Halt shop.test advancement template 9.00 < 10");
    check(
        "template",
        Answer::NoValue,
        &format!("{silent} custom metric: template: no values found"),
    );
    check("template", failed(), "Metric query failed for template: no route");
    check("query", Answer::Value(501.0), "Halt shop.test advancement query 501.00 > 500");
    check("query", Answer::NoValue, &format!("{silent} metric: query"));
    check("query", failed(), "Prometheus query failed for query: no route");
    let rate = "request-success-rate";
    check(rate, Answer::Value(98.999), "Halt shop.test advancement success rate 99.00% < 99%");
    let receives = "probably podinfo.test is not receiving traffic";
    check(rate, Answer::NoValue, &format!("{silent} istio metric {rate} {receives}"));
    check(rate, failed(), "Prometheus query failed: no route");
    let duration = "request-duration";
    check(
        duration,
        Answer::Value(515.0),
        "Halt shop.test advancement request duration 515ms > 500ms",
    );
    check(duration, Answer::Value(0.5), "Halt shop.test advancement request duration 0.5ms < 1ms");
    check(duration, Answer::NoValue, &format!("{silent} istio metric {duration} {receives}"));
}

#[test]
fn what_keeps_a_release_is_told_once_with_the_reason() {
    let mut release = shop(json!({"analysis": {"interval": "1m", "stepWeight": 20}}));
    release.tick();
    release.world.target.readiness = Readiness::Pending("1 of 2 pods are available".to_owned());
    (0..3).for_each(|_| release.tick());
    assert_eq!(
        told(&release).last().unwrap(),
        "! canary deployment podinfo.test not ready: 1 of 2 pods are available"
    );
    let count = told(&release).len();
    release.tick();
    assert_eq!(told(&release).len(), count);
    release.plan.is_suspended = true;
    (0..2).for_each(|_| release.tick());
    assert_eq!(told(&release)[count..], ["skipping canary run as object is suspended"]);
    assert!(release.state.waits_for.is_some());
}

#[test]
fn nothing_is_waited_for_once_it_is_there() {
    let mut release = Release::new(flagger(json!({"interval": "1m", "stepWeight": 20})));
    release.plan.is_suspended = true;
    release.tick();
    assert!(release.state.waits_for.is_some());
    release.plan.is_suspended = false;
    release.tick();
    assert_eq!(release.state.waits_for, None);
}
