use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{availability, sort_for_deletion};

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
