use serin_rollout::Span;

use super::*;

const PATIENCE: Patience = Patience { deadline: Span::seconds(600), percent: 100, since: Time(0) };

fn deployment(spec: Value, status: Value) -> Readiness {
    let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
    ready::deployment(&object, &PATIENCE, Time(1_000_000))
}

#[test]
fn a_deployment_is_ready_by_its_counts() {
    let check = |wanted: u32, all: u32, updated: u32, available: u32, expect: &str| {
        let status = json!({
            "observedGeneration": 2, "replicas": all, "updatedReplicas": updated, "availableReplicas": available,
        });
        let actual = match deployment(json!({"replicas": wanted}), status) {
            Readiness::Ready => "ready".to_owned(),
            Readiness::Pending(why) | Readiness::Stuck(why) => why,
        };
        assert_eq!(actual, expect);
    };
    check(2, 2, 2, 2, "ready");
    check(0, 0, 0, 0, "ready");
    check(2, 2, 1, 2, "1 of 2 pods are of the new revision");
    check(2, 3, 2, 2, "1 pods of an older revision are still there");
    check(2, 2, 2, 1, "1 of 2 pods are available");
}

#[test]
fn a_part_of_the_pods_may_be_enough_rounded_down() {
    let check = |percent: u32, available: u32, is_ready: bool| {
        let patience = Patience { percent, ..PATIENCE };
        let status = json!({
            "replicas": 5, "updatedReplicas": 5, "availableReplicas": available,
            "desiredNumberScheduled": 5, "updatedNumberScheduled": 5, "numberAvailable": available,
        });
        let object = json!({"spec": {"replicas": 5}, "status": status});
        let now = Time(1_000);
        let ready = [
            ready::deployment(&object, &patience, now),
            ready::daemon_set(&object, &patience, now),
        ];
        assert_eq!(
            ready.map(|it| it == Readiness::Ready),
            [is_ready; 2],
            "{percent} % {available}"
        );
    };
    check(100, 5, true);
    check(100, 4, false);
    check(90, 4, true);
    check(50, 2, true);
    check(50, 1, false);
    check(0, 0, true);
}

#[test]
fn a_change_that_was_not_taken_up_is_pending() {
    let status = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    assert!(matches!(deployment(json!({"replicas": 1}), status), Readiness::Pending(_)));
}

#[test]
fn missing_pods_are_stuck_after_the_deadline() {
    let status = |since: i64| {
        let since = jiff::Timestamp::from_millisecond(since).unwrap().to_string();
        json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "conditions": [
            {"type": "Progressing", "status": "True"},
            {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "lastUpdateTime": since},
        ]})
    };
    let of = |since| deployment(json!({"replicas": 1}), status(since));
    assert!(matches!(of(500_000), Readiness::Pending(_)));
    assert!(matches!(of(399_000), Readiness::Stuck(_)));
    let exceeded = json!({"observedGeneration": 2, "conditions": [
        {"type": "Progressing", "reason": "ProgressDeadlineExceeded"},
    ]});
    assert!(matches!(deployment(json!({}), exceeded), Readiness::Stuck(_)));
}

#[test]
fn everything_that_pods_use_is_found_and_renamed() {
    let mut pod = json!({
        "containers": [{
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "a"}}}, {"name": "B", "value": "1"}],
            "envFrom": [{"secretRef": {"name": "from"}}],
        }],
        "initContainers": [{"envFrom": [{"configMapRef": {"name": "init"}}]}],
        "volumes": [
            {"name": "a", "configMap": {"name": "files"}},
            {"name": "b", "secret": {"secretName": "keys"}},
            {"name": "c", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "too"}}]}},
            {"name": "d", "emptyDir": {}},
        ],
    });
    let keys: Vec<String> = references(&pod).iter().map(Reference::key).collect();
    assert_eq!(
        keys,
        [
            "configmap/env",
            "configmap/files",
            "configmap/init",
            "configmap/too",
            "secret/from",
            "secret/keys",
            "secret/projected"
        ]
    );
    rename(&mut pod, &|it| it.name != "keys");
    let names: Vec<String> = references(&pod).into_iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        [
            "env-primary",
            "files-primary",
            "init-primary",
            "too-primary",
            "from-primary",
            "keys",
            "projected-primary"
        ]
    );
}

#[test]
fn resting_is_no_new_revision() {
    let of = |selector: Value| {
        let workload = json!({"spec": {"template": {"spec": {"nodeSelector": selector}}}});
        revision(&workload, &BTreeMap::new())
    };
    let rested = json!({NOWHERE: "true", "disk": "ssd"});
    assert_eq!(of(rested), of(json!({"disk": "ssd"})));
    assert_ne!(of(json!({})), of(json!({"disk": "ssd"})));
}
