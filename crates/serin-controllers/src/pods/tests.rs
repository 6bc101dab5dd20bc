use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{availability, least_missed, sort_for_deletion};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn pod(name: &str, change: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": now() - SignedDuration::from_secs(1000), "annotations": {}},
        "spec": {"containers": [], "nodeName": "serin"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now() - SignedDuration::from_secs(900)}],
            "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0}],
        },
    });
    for (path, value) in change.as_object().unwrap() {
        let (parent, last) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[last] = value.clone();
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

#[test]
fn those_go_first_that_are_missed_least() {
    let ago = |seconds: i64| json!(now() - SignedDuration::from_secs(seconds));
    let cost = json!({"controller.kubernetes.io/pod-deletion-cost": "-5"});
    let mut pods = vec![
        pod("old", json!({})),
        pod("young", json!({"/metadata/creationTimestamp": ago(100)})),
        pod(
            "restarted",
            json!({"/status/containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3}]}),
        ),
        pod(
            "lately-ready",
            json!({"/status/conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(3)}]}),
        ),
        pod("cheap", json!({"/metadata/annotations": cost})),
        pod("unready", json!({"/status/conditions": []})),
        pod("pending", json!({"/status/phase": "Pending"})),
        pod("unplaced", json!({"/spec/nodeName": ""})),
    ];
    sort_for_deletion(&mut pods, &HashMap::new(), now());
    let order: Vec<_> = pods.iter().map(|pod| pod.name_any()).collect();
    assert_eq!(
        order,
        ["unplaced", "pending", "unready", "cheap", "lately-ready", "restarted", "young", "old"]
    );
}

#[test]
fn pods_of_all_ages_have_one_order() {
    // Different times of one magnitude, equal times, and different restarts, under uids that say something else.
    let restarted = |count: i32| json!([{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": count}]);
    let ago = |seconds: i64| json!(now() - SignedDuration::from_secs(seconds));
    let ready = |seconds: i64| json!([{"type": "Ready", "status": "True", "lastTransitionTime": ago(seconds)}]);
    let mut pods = Vec::new();
    for (number, ready_for) in [40, 41, 40, 41, 100].into_iter().enumerate() {
        for (created, restarts) in [(50, 0), (110, 0), (50, 2)] {
            let name = format!("{}-{created}-{restarts}", "cabed".as_bytes()[number]);
            let change = json!({
                "/metadata/creationTimestamp": ago(created), "/status/conditions": ready(ready_for),
                "/status/containerStatuses": restarted(restarts),
            });
            pods.push(pod(&name, change));
        }
    }
    let siblings = HashMap::new();
    let before = |one: &Pod, other: &Pod| least_missed(one, other, &siblings, now()).is_lt();
    for one in &pods {
        for other in &pods {
            assert_eq!(
                before(one, other),
                one.name_any() != other.name_any() && !before(other, one)
            );
            for third in &pods {
                let names = [one, other, third].map(|pod| pod.name_any());
                assert!(
                    !(before(one, other) && before(other, third)) || before(one, third),
                    "{names:?}"
                );
            }
        }
    }
}

#[test]
fn a_pod_is_available_when_it_was_ready_for_long_enough() {
    let ready = pod("a", json!({}));
    assert_eq!(availability(&ready, 0, now()), Ok(()));
    assert_eq!(availability(&ready, 900, now()), Ok(()));
    assert_eq!(availability(&ready, 910, now()), Err(Some(Duration::from_secs(10))));
    let early = now() - SignedDuration::from_secs(3600);
    assert_eq!(
        availability(&ready, 10, early),
        Err(Some(Duration::from_secs(10))),
        "the clock was set back"
    );
    assert_eq!(availability(&pod("b", json!({"/status/conditions": []})), 0, now()), Err(None));
}
