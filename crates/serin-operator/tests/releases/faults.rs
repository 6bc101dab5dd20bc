//! What may go wrong on the way: traffic ends where it should all the same.

use serde_json::{Value, json};
use serin_rollout::statistics::{Counts, Interval};

use crate::receiver::Receiver;
use crate::walkthroughs::vector;
use crate::world::{World, canary, deployment};

fn quick() -> Value {
    json!({"interval": "10s", "threshold": 1, "maxWeight": 50, "stepWeight": 25})
}

/// A release with a ConfigMap, up to its beginning.
async fn begun() -> World {
    let receiver = Receiver::start().await;
    let mut workload = deployment("podinfo");
    workload["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "settings"}}]);
    let canary = canary("flagger.app/v1beta1", json!({"analysis": quick()}));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}});
    World::new(vec![map, workload, canary], receiver).await
}

/// Everything that matters of how a release ended.
async fn end(world: &World) -> Value {
    let route = world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    let map = world.get("v1", "ConfigMap", "settings-primary").await;
    let service = world.get("v1", "Service", "podinfo").await;
    json!({
        "shown": world.shown().await,
        "image": world.image("podinfo-primary").await,
        "replicas": [world.replicas("podinfo").await, world.replicas("podinfo-primary").await],
        "route": route["spec"],
        "map": map["data"],
        "selector": service["spec"]["selector"],
        "condition": world.canary().await["status"]["conditions"][0]["reason"],
    })
}

/// From nothing to the promotion of a second version; the controller dies before the write of this number.
async fn story(cut: Option<i64>) -> (Value, usize) {
    let mut world = begun().await;
    if let Some(cut) = cut {
        world.fuse.cut_after(cut);
    }
    let mut is_changed = false;
    for _ in 0..24 {
        world.tick().await;
        if world.fuse.is_cut() {
            world.restart();
        }
        let phase = world.phase().await;
        if phase == "Initialized" && !is_changed {
            is_changed = true;
            world.merge("v1", "ConfigMap", "settings", json!({"data": {"a": "2"}})).await;
            world.set_image("podinfo:2").await;
        }
        if phase == "Succeeded" {
            world.tick().await;
            break;
        }
    }
    (end(&world).await, world.fuse.writes().len())
}

#[tokio::test]
async fn the_end_is_the_same_wherever_the_controller_dies() {
    let (expect, writes) = story(None).await;
    assert_eq!(expect["shown"], "Succeeded 0");
    assert_eq!(expect["image"], "podinfo:2");
    assert_eq!(expect["replicas"], json!([0, 2]));
    assert!(writes > 20, "{writes}");
    for cut in 1..i64::try_from(writes).unwrap() {
        let (actual, _) = story(Some(cut)).await;
        assert_eq!(actual, expect, "the controller died before its write {cut}");
    }
}

#[tokio::test]
async fn routes_that_someone_else_changes_are_set_back_and_it_is_told() {
    let mut world = World::flagger(quick()).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25");
    world.events().await;
    let mut rules =
        world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await["spec"]["http"]
            .clone();
    rules[0]["route"][0]["weight"] = json!(0);
    rules[0]["route"][1]["weight"] = json!(100);
    let patch = json!({"spec": {"http": rules, "exportTo": ["*"]}});
    world.merge("networking.istio.io/v1beta1", "VirtualService", "podinfo", patch).await;
    world.turn().await;
    assert_eq!(world.weights().await, (25, false));
    let events = world.events().await;
    assert!(
        events[0].starts_with("The routes of VirtualService podinfo.test were changed by "),
        "{events:?}"
    );
    // What is no concern of the release stays.
    let route = world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    assert_eq!(route["spec"]["exportTo"], json!(["*"]));
    world.delete("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    world.turn().await;
    assert_eq!(world.weights().await, (25, false));
    assert_eq!(
        world.events().await,
        ["VirtualService podinfo.test was removed by someone else and is made again"]
    );
}

#[tokio::test]
async fn commands_are_obeyed_once() {
    let mut world = World::flagger(quick()).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.command("hold@1").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 0");
    assert!(world.canary().await["metadata"]["annotations"].get("serin.dev/command").is_none());
    world.command("resume@2").await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25");
    world.command("abort").await;
    world.turn().await;
    assert_eq!(world.shown().await, "Failed 0");
    world.command("restart").await;
    world.turn().await;
    assert_eq!(world.shown().await, "Progressing 0");
    world.command("promote").await;
    world.turn().await;
    assert_eq!(world.phase().await, "Promoting");
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
}

#[tokio::test]
async fn a_canary_without_pods_gets_no_traffic_and_is_rolled_back_after_the_deadline() {
    let mut world = World::flagger(quick()).await;
    world.edit(json!({"spec": {"progressDeadlineSeconds": 60}})).await;
    world.broken.push("podinfo".to_owned());
    world.set_image("podinfo:2").await;
    let seen = world.until("Failed").await;
    assert!(seen.iter().all(|it| it.ends_with(" 0")), "{seen:?}");
    assert!((6..=9).contains(&seen.len()), "{seen:?}");
    assert_eq!(world.image("podinfo-primary").await, "podinfo:1");
}

#[tokio::test]
async fn evidence_from_the_proxies_ends_a_bad_release_at_once() {
    let receiver = Receiver::start().await;
    let mut analysis = quick();
    analysis["sequential"] = json!({"unit": "request"});
    let canary = canary("serin.dev/v1alpha1", json!({"analysis": analysis}));
    let mut world = World::new(vec![deployment("podinfo"), canary], receiver).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25");
    let mut interval = Interval::default();
    interval.canary.counts = Counts::new(25, 3);
    interval.primary.counts = Counts::new(75, 0);
    *world.traffic.sample.lock().unwrap() =
        Some(serin_operator::Sample { requests: interval, ..Default::default() });
    for _ in 0..3 {
        world.now = world.now + serin_rollout::Span::seconds(1);
        world.turn().await;
    }
    assert_eq!(world.shown().await, "Failed 0");
    let status = world.canary().await["status"]["release"].clone();
    assert_eq!(status["verdict"], "abort");
    assert!(status["evidence"]["canary"]["errors"].as_u64().unwrap() >= 6, "{status:#}");
}

#[tokio::test]
async fn silence_of_the_api_loses_nothing() {
    let mut world = World::flagger(quick()).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25");
    world.fuse.cut_after(0);
    for _ in 0..6 {
        world.tick().await;
    }
    assert_eq!(world.shown().await, "Progressing 25");
    // The same controller goes on when the API is back.
    world.fuse.cut_after(i64::MAX);
    assert_eq!(world.until("Succeeded").await.first().unwrap(), "Progressing 50");
}

#[tokio::test]
async fn metrics_that_are_gone_late_or_no_number_are_failed_checks() {
    let receiver = Receiver::start().await;
    let mut analysis = quick();
    analysis["threshold"] = json!(10);
    analysis["metrics"] =
        json!([{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "10s"}]);
    let spec = json!({"metricsServer": receiver.address, "analysis": analysis});
    let mut world =
        World::new(vec![deployment("podinfo"), canary("flagger.app/v1beta1", spec)], receiver)
            .await;
    world.receiver.answer("/api/v1/query", 200, &vector(100.0));
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    world.tick().await;
    world.events().await;
    for (status, body) in [
        (200, vector(f64::NAN)),
        (200, crate::walkthroughs::empty_vector()),
        (503, "gone".to_owned()),
        (400, json!({"status": "error", "error": "parse error"}).to_string()),
    ] {
        world.receiver.answer("/api/v1/query", status, &body);
        world.tick().await;
    }
    let events = world.events().await;
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(
        events[0]
            .starts_with("Halt advancement no values found for istio metric request-success-rate"),
        "{events:?}"
    );
    assert!(
        events[1]
            .starts_with("Halt advancement no values found for istio metric request-success-rate"),
        "{events:?}"
    );
    assert!(events[2].contains("status 503: gone"), "{events:?}");
    assert!(events[3].contains("status 400: parse error"), "{events:?}");
}

#[tokio::test]
async fn a_prometheus_that_does_not_answer_is_a_failed_check_and_holds_up_nothing_else() {
    let receiver = Receiver::start().await;
    let mut analysis = quick();
    analysis["threshold"] = json!(10);
    analysis["metrics"] = json!([{"name": "request-success-rate", "interval": "10s"}]);
    let spec = json!({"metricsServer": receiver.address, "analysis": analysis});
    let mut world =
        World::new(vec![deployment("podinfo"), canary("flagger.app/v1beta1", spec)], receiver)
            .await;
    world.receiver.answer("/api/v1/query", 0, "");
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 25");
    // Asked, and not waited for.
    world.now = world.now + serin_rollout::Span::seconds(12);
    world.shared.cluster().refresh().await.unwrap();
    world.release.turn(world.now).await.unwrap();
    assert!(world.release.has_questions());
    world.command("abort").await;
    world.shared.cluster().refresh().await.unwrap();
    world.release.turn(world.now).await.unwrap();
    assert_eq!(world.shown().await, "Failed 0");
}

#[tokio::test]
async fn a_phase_has_begun_at_a_time_from_the_first() {
    let receiver = Receiver::start().await;
    let canary = canary("flagger.app/v1beta1", json!({"analysis": quick()}));
    let mut world = World::new(vec![deployment("podinfo"), canary], receiver).await;
    world.broken.push("podinfo-primary".to_owned());
    world.tick().await;
    let status = world.canary().await["status"].clone();
    assert_eq!(status["phase"], "Initializing");
    for time in [&status["lastTransitionTime"], &status["conditions"][0]["lastTransitionTime"]] {
        assert!(time.as_str().unwrap().starts_with("2026-"), "{status:#}");
    }
}

#[tokio::test]
async fn sessions_are_asked_for_by_the_plan_or_by_what_the_routes_say() {
    let receiver = Receiver::start().await;
    let mut analysis = quick();
    analysis["sequential"] = json!({"minRequests": 10});
    let canary = canary("serin.dev/v1alpha1", json!({"analysis": analysis}));
    let mut world = World::new(vec![deployment("podinfo"), canary], receiver).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    let asked = |world: &World| world.traffic.asked.lock().unwrap().clone().unwrap().session;
    assert_eq!(asked(&world), "");
    let annotations = json!({"metadata": {"annotations": {"serin.dev/cohort": "cookie:user"}}});
    world.merge("networking.istio.io/v1beta1", "VirtualService", "podinfo", annotations).await;
    world.turn().await;
    assert_eq!(asked(&world), "cookie:user");
    let named = json!({"spec": {"analysis": {"sequential": {"session": "header:x-user, client"}}}});
    world.edit(named).await;
    world.turn().await;
    assert_eq!(asked(&world), "header:x-user, client");
    // One session that fails ten times is one bad unit; each request of nobody's is one of its own.
    let mut sessions = serin_operator::Sessions::default();
    let session = |id, failed| serin_rollout::statistics::Session { id, failed, latency: None };
    sessions.canary = (0..30).map(|id| session(id, id == 7)).collect();
    sessions.primary = (100..130).map(|id| session(id, false)).collect();
    sessions.alone.canary.counts = Counts::new(2, 0);
    let mut sample = serin_operator::Sample { sessions: Some(sessions), ..Default::default() };
    sample.requests.canary.counts = Counts::new(302, 10);
    *world.traffic.sample.lock().unwrap() = Some(sample);
    // Evidence is stored every few seconds.
    for _ in 0..9 {
        world.now = world.now + serin_rollout::Span::seconds(1);
        world.turn().await;
    }
    let status = world.canary().await["status"]["release"].clone();
    assert_eq!(status["evidence"]["canary"]["errors"], 1, "{status:#}");
    let exposed = status["exposed"].as_u64().unwrap();
    assert!(exposed > 0 && exposed.is_multiple_of(302), "{status:#}");
}

#[tokio::test]
async fn nobody_counts_for_a_release_whose_object_goes_in_the_middle_of_a_run() {
    let mut world = World::flagger(quick()).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    let is_asked = |world: &World| world.traffic.asked.lock().unwrap().is_some();
    assert!(is_asked(&world));
    world.delete("flagger.app/v1beta1", "Canary", "podinfo").await;
    world.turn().await;
    assert!(!is_asked(&world));
}

/// What nobody may do any more, until it is taken back.
fn forbid(what: &str) -> [Value; 2] {
    let rule = json!({
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [what],
    });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "not here", "reason": "Forbidden"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no"},
        "spec": {"policyName": "no", "validationActions": ["Deny"]},
    });
    [policy, binding]
}

#[tokio::test]
async fn what_the_api_refuses_is_told_to_the_author_of_the_release_and_goes_on_when_it_is_allowed()
{
    let mut world = World::flagger(quick()).await;
    for object in forbid("controllerrevisions") {
        world.create_in("", object).await;
    }
    world.set_image("podinfo:2").await;
    for _ in 0..8 {
        world.tick().await;
    }
    let status = world.canary().await["status"].clone();
    let condition = &status["conditions"][0];
    assert_eq!(condition["reason"], "Blocked", "{status:#}");
    let why = condition["message"].as_str().unwrap();
    assert!(why.starts_with("create ControllerRevision test/podinfo-primary-former:"), "{why}");
    assert!(why.contains("not here"), "{why}");
    let events = world.events().await;
    assert_eq!(events.iter().filter(|it| *it == why).count(), 1, "{events:#?}");
    for name in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
        world.delete_in("", "admissionregistration.k8s.io/v1", name, "no").await;
    }
    world.until("Succeeded").await;
    assert_eq!(world.phase().await, "Succeeded");
    assert_ne!(world.canary().await["status"]["conditions"][0]["reason"], "Blocked");
}
