use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::plan::{Plan, Write, plan};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}

/// A Deployment of `replicas` whose template is version `new`.
fn deployment(replicas: i32, spec: Value) -> Deployment {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("new"),
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
        },
        "status": {"observedGeneration": 1},
    });
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// A ReplicaSet of a version: how many pods it is to have, and how many are available; all others are there. It belongs to a
/// Deployment that had `desired` replicas and could have `most`.
fn set(
    version: &str,
    revision: i64,
    (replicas, available): (i32, i32),
    (desired, most): (i32, i32),
) -> Arc<ReplicaSet> {
    let object = json!({
        "metadata": {
            "name": format!("web-{version}"),
            "uid": version,
            "namespace": "n",
            "generation": 1,
            "creationTimestamp": now() - SignedDuration::from_secs(1000 - revision),
            "annotations": {
                "deployment.kubernetes.io/revision": revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": desired.to_string(),
                "deployment.kubernetes.io/max-replicas": most.to_string(),
            },
        },
        "spec": {"replicas": replicas, "selector": {}, "template": template(version)},
        "status": {
            "replicas": replicas,
            "readyReplicas": available,
            "availableReplicas": available,
            "observedGeneration": 1,
        },
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// What a plan writes, as `web-new 1 -> 3`, `create 2` or `delete web-old`.
fn writes(plan: &Plan) -> Vec<String> {
    let text = |write: &Write| match write {
        Write::Create(set) => format!("create {}", super::sets::replicas(set)),
        Write::Delete(set) => format!("delete {}", set.metadata.name.clone().unwrap()),
        Write::Change { set, replicas, .. } => {
            let name = set.metadata.name.clone().unwrap();
            match replicas {
                Some(to) => format!("{name} {} -> {to}", super::sets::replicas(set)),
                None => format!("{name} is told"),
            }
        }
    };
    plan.writes.iter().map(text).collect()
}

fn check(deployment: &Deployment, sets: &[Arc<ReplicaSet>], expect: &[&str]) {
    let plan = plan(deployment, sets, &[], now());
    assert_eq!(writes(&plan), expect);
}

#[test]
fn a_rolling_update_moves_as_surge_and_unavailability_allow() {
    let four = deployment(4, json!({}));
    let size = (4, 5);
    check(&four, &[], &["create 4"]);
    check(&four, &[set("old", 1, (4, 4), size)], &["create 1"]);
    // With the new one still unavailable, one old pod may go.
    check(&four, &[set("old", 1, (4, 4), size), set("new", 2, (1, 0), size)], &["web-old 4 -> 3"]);
    check(&four, &[set("old", 1, (3, 3), size), set("new", 2, (1, 0), size)], &["web-new 1 -> 2"]);
    check(&four, &[set("old", 1, (3, 3), size), set("new", 2, (2, 0), size)], &[]);
    check(&four, &[set("old", 1, (3, 3), size), set("new", 2, (2, 2), size)], &["web-old 3 -> 1"]);
    check(&four, &[set("old", 1, (1, 1), size), set("new", 2, (4, 4), size)], &["web-old 1 -> 0"]);
}

#[test]
fn pods_that_are_not_available_go_first_and_count_for_nothing() {
    let four = deployment(4, json!({}));
    let size = (4, 5);
    let broken = set("broken", 2, (2, 0), size);
    check(
        &four,
        &[set("old", 1, (3, 3), size), broken, set("new", 3, (0, 0), size)],
        &["web-broken 2 -> 0"],
    );
}

#[test]
fn limits_are_numbers_or_percentages_and_never_both_nothing() {
    let strategy = |surge: Value, unavailable: Value| {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        deployment(10, json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}))
    };
    let old = || set("old", 1, (10, 10), (10, 10));
    check(&strategy(json!(3), json!(0)), &[old()], &["create 3"]);
    check(&strategy(json!("15%"), json!(0)), &[old()], &["create 2"]);
    let nothing = set("new", 2, (0, 0), (10, 10));
    check(&strategy(json!(0), json!("39%")), &[old(), nothing.clone()], &["web-old 10 -> 7"]);
    check(&strategy(json!(0), json!("5%")), &[old(), nothing.clone()], &["web-old 10 -> 9"]);
    check(&strategy(json!("200%"), json!(0)), &[old(), nothing], &["web-new 0 -> 10"]);
}

#[test]
fn a_scaled_deployment_keeps_the_shares_of_its_versions() {
    let size = (10, 13);
    let sets = [set("old", 1, (8, 8), size), set("new", 2, (5, 2), size)];
    let told = ["web-old 8 -> 12", "web-new 5 -> 7"];
    check(&deployment(15, json!({})), &sets, &told);
    let told = ["web-old 8 -> 4", "web-new 5 -> 3"];
    check(&deployment(5, json!({})), &sets, &told);
    check(&deployment(0, json!({})), &sets, &["web-old 8 -> 0", "web-new 5 -> 0"]);
    // One alone takes all.
    check(&deployment(3, json!({})), &[set("new", 1, (10, 10), size)], &["web-new 10 -> 3"]);
}

#[test]
fn a_paused_deployment_makes_nothing_new() {
    let paused = deployment(2, json!({"paused": true}));
    check(&paused, &[], &[]);
    check(&paused, &[set("old", 1, (2, 2), (2, 3))], &[]);
    let plan = plan(&paused, &[set("old", 1, (2, 2), (2, 3))], &[], now());
    let reasons: Vec<_> =
        plan.status.conditions.unwrap().into_iter().filter_map(|it| it.reason).collect();
    assert_eq!(reasons, ["DeploymentPaused", "MinimumReplicasAvailable"]);
}

#[test]
fn recreate_waits_for_the_end_of_the_last_old_pod() {
    let recreate = deployment(2, json!({"strategy": {"type": "Recreate"}}));
    let size = (2, 2);
    check(&recreate, &[set("old", 1, (2, 2), size)], &["web-old 2 -> 0"]);
    let old = set("old", 1, (0, 0), size);
    let pod = |phase: &str| -> Arc<Pod> {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-old", "uid": "old", "controller": true});
        let pod = json!({"metadata": {"ownerReferences": [owner]}, "status": {"phase": phase}});
        Arc::new(serde_json::from_value(pod).unwrap())
    };
    let planned =
        |phase| writes(&plan(&recreate, std::slice::from_ref(&old), &[pod(phase)], now()));
    assert_eq!(planned("Running"), Vec::<String>::new());
    assert_eq!(planned("Failed"), ["create 2"]);
    check(&recreate, &[old], &["create 2"]);
}

/// The condition Progressing after a look at `sets`, when before it the status was `before`.
fn progressing(before: Value, sets: &[Arc<ReplicaSet>]) -> (String, String, Option<i64>) {
    let mut four = deployment(4, json!({}));
    four.status = serde_json::from_value(before).unwrap();
    let plan = plan(&four, sets, &[], now());
    let conditions = plan.status.conditions.unwrap();
    let found = conditions.into_iter().find(|it| it.type_ == "Progressing").unwrap();
    let again = plan.again.map(|again| i64::try_from(again.as_secs()).unwrap());
    (found.status, found.reason.unwrap(), again)
}

fn before(seconds: i64, updated: i32, reason: &str) -> Value {
    let at = now() - SignedDuration::from_secs(seconds);
    json!({
        "observedGeneration": 1, "replicas": 5, "updatedReplicas": updated, "readyReplicas": 4, "availableReplicas": 4,
        "conditions": [{"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": at, "lastTransitionTime": at}],
    })
}

#[test]
fn a_deployment_that_does_not_get_on_is_late_and_one_that_is_done_never() {
    let size = (4, 5);
    let stuck = [set("old", 1, (3, 3), size), set("new", 2, (2, 1), size)];
    let is = |status: &str, reason: &str, again: Option<i64>| {
        (status.to_owned(), reason.to_owned(), again)
    };
    // It got on: a pod more is updated than before.
    let seen = progressing(before(700, 1, "ReplicaSetUpdated"), &stuck);
    assert_eq!(seen, is("True", "ReplicaSetUpdated", Some(601)));
    let seen = progressing(before(590, 2, "ReplicaSetUpdated"), &stuck);
    assert_eq!(seen, is("True", "ReplicaSetUpdated", Some(11)));
    let seen = progressing(before(600, 2, "ReplicaSetUpdated"), &stuck);
    assert_eq!(seen, is("False", "ProgressDeadlineExceeded", None));
    let done = [set("new", 2, (4, 4), size)];
    let seen = progressing(before(700, 4, "ReplicaSetUpdated"), &done);
    assert_eq!(seen, is("True", "NewReplicaSetAvailable", None));
    // A pod that is lost later makes no rollout of it.
    let seen = progressing(
        json!({"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4,
            "conditions": before(9000, 4, "NewReplicaSetAvailable")["conditions"]}),
        &[set("new", 2, (4, 3), size)],
    );
    assert_eq!(seen, is("True", "NewReplicaSetAvailable", None));
}

#[test]
fn only_the_oldest_without_pods_leave_the_history() {
    let mut one = deployment(1, json!({"revisionHistoryLimit": 1}));
    one.status = serde_json::from_value(json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    }))
    .unwrap();
    let size = (1, 2);
    let sets = [
        set("a", 1, (0, 0), size),
        set("b", 2, (0, 0), size),
        set("c", 3, (0, 0), size),
        set("new", 4, (1, 1), size),
    ];
    check(&one, &sets, &["delete web-a", "delete web-b"]);
}

#[test]
fn an_old_version_that_is_used_again_becomes_the_latest_revision() {
    let two = deployment(2, json!({}));
    let size = (2, 3);
    let plan = plan(&two, &[set("new", 1, (0, 0), size), set("old", 2, (2, 2), size)], &[], now());
    assert_eq!(plan.revision, Some(3));
    let Write::Change { annotations, replicas, .. } = &plan.writes[0] else { panic!("{plan:?}") };
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(*replicas, Some(1));
}
