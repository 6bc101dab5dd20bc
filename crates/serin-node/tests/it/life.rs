//! What happens to pods between their beginning and their end.

use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn init_containers_come_first_sidecars_stay_and_volumes_are_shared() {
    let Some(world) = World::start().await else { return };
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let container = |name: &str, script: &str| json!({"name": name, "image": "sh:1", "args": [script], "volumeMounts": mounts});
    let mut sidecar = container("side", "echo side >> /shared/log; sleep 1000");
    sidecar["restartPolicy"] = json!("Always");
    let pod = world
        .create(json!({
            "metadata": {"name": "order"},
            "spec": {
                "restartPolicy": "Never",
                "volumes": [{"name": "shared", "emptyDir": {}}],
                "initContainers": [container("one", "echo one >> /shared/log"), sidecar],
                "containers": [container(
                    "main",
                    "until grep -q side /shared/log; do sleep 0.05; done; cat /shared/log"
                )],
            },
        }))
        .await;
    assert_eq!(world.over("order").await, "Succeeded");
    assert_eq!(world.log(&pod, "main", 0), "one\nside");
    let code = world
        .until("order", |pod| {
            pod["status"]["initContainerStatuses"][1]["state"]["terminated"]["exitCode"].as_i64()
        })
        .await;
    assert_eq!(code, 143, "the sidecar is stopped when the others have ended");
}

#[tokio::test]
async fn a_container_whose_liveness_probe_fails_is_restarted_and_readiness_follows_its_probe() {
    let Some(world) = World::start().await else { return };
    let probe = |command: &str| json!({"exec": {"command": ["sh", "-c", command]}, "periodSeconds": 1, "failureThreshold": 1});
    let more = json!({
        "readinessProbe": probe("test -e /tmp/ready"),
        "livenessProbe": probe("test ! -e /tmp/dead"),
    });
    let script = "trap 'exit 0' TERM; sleep 0.2; touch /tmp/ready; sleep 2 & wait; touch /tmp/dead; sleep 1000 & wait";
    world.run("sick", script, more).await;
    world.ready("sick").await;
    world
        .until("sick", |pod| {
            (pod["status"]["containerStatuses"][0]["restartCount"].as_i64()? > 0).then_some(())
        })
        .await;
    let events: Api<Event> = Api::default_namespaced(world.client.clone());
    let reasons = async || {
        let all = events.list(&ListParams::default()).await.unwrap();
        all.items
            .into_iter()
            .map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let told = reasons().await;
    let has = |reason: &str, text: &str| {
        told.iter().any(|(one, message)| one == reason && message.contains(text))
    };
    assert!(has("Scheduled", "Successfully assigned default/sick to serin"), "{told:?}");
    assert!(has("Started", "Started container main"), "{told:?}");
    assert!(has("Unhealthy", "Liveness probe failed"), "{told:?}");
    assert!(has("Killing", "Container main failed liveness probe, will be restarted"), "{told:?}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let Some(world) = World::start().await else { return };
    let waiting = async |name: &str| {
        world
            .until(name, |pod| {
                let state = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
                let reason = state["reason"].as_str()?.to_owned();
                let creating = reason == "ContainerCreating";
                (!creating)
                    .then(|| (reason, state["message"].as_str().unwrap_or_default().to_owned()))
            })
            .await
    };
    let main = |more: Value| {
        let mut container = json!({"name": "main", "image": "sh:1"});
        for (key, value) in more.as_object().unwrap() {
            container[key] = value.clone();
        }
        json!({"containers": [container]})
    };
    let pod = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    world.create(pod("unknown", main(json!({"image": "127.0.0.1:1/nothing:1"})))).await;
    let (reason, message) = waiting("unknown").await;
    assert!(matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff"), "{reason}");
    assert!(message.contains("127.0.0.1:1/nothing:1"), "{message}");
    let env = json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]);
    world.create(pod("unset", main(json!({"args": ["sleep 1000"], "env": env})))).await;
    let expect = ("CreateContainerConfigError".to_owned(), "secret \"none\" not found".to_owned());
    assert_eq!(waiting("unset").await, expect);
    world.create(pod("missing", main(json!({"command": ["/no/such/program"]})))).await;
    let (reason, message) = waiting("missing").await;
    assert!(
        matches!(reason.as_str(), "RunContainerError" | "CrashLoopBackOff"),
        "{reason} {message}"
    );
    world.run("crash", "exit 1", json!({})).await;
    let message = world
        .until("crash", |pod| {
            let state = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            (state["reason"] == "CrashLoopBackOff")
                .then(|| state["message"].as_str().unwrap().to_owned())
        })
        .await;
    assert!(
        message.starts_with("back-off 10s restarting failed container=main pod=crash_default(")
    );
    let spec = json!({"nodeSelector": {"disk": "tape"}});
    world.run("nowhere", "sleep 1", json!({"spec": spec})).await;
    let message = world
        .until("nowhere", |pod| {
            let one = &pod["status"]["conditions"][0];
            (one["reason"] == "Unschedulable").then(|| one["message"].as_str().unwrap().to_owned())
        })
        .await;
    assert!(message.starts_with("0/1 nodes are available: 1 node(s) didn't match"), "{message}");
}

#[tokio::test]
async fn objects_are_seen_as_variables_and_files() {
    let Some(world) = World::start().await else { return };
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client.clone());
    let map = json!({"metadata": {"name": "map"}, "data": {"key": "value", "file.txt": "text"}});
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let more = json!({
        "env": [
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "key"}}},
            {"name": "BOTH", "value": "$(KEY)-2"},
        ],
        "volumeMounts": [
            {"name": "files", "mountPath": "/etc/no/such/folder", "readOnly": true},
            {"name": "files", "mountPath": "/opt/one.txt", "subPath": "file.txt"},
            {"name": "info", "mountPath": "/info"},
        ],
        "spec": {
            "restartPolicy": "Never",
            "volumes": [
                {"name": "files", "configMap": {"name": "map"}},
                {"name": "info", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ],
        },
    });
    let script = "echo $BOTH; cat /etc/no/such/folder/file.txt; echo; cat /opt/one.txt; echo; cat /info/name; echo; \
                  touch /etc/no/such/folder/x 2>/dev/null || echo read-only; id -u; tail -n1 /etc/hosts | cut -f2";
    let pod = world.run("files", script, more).await;
    assert_eq!(world.over("files").await, "Succeeded", "{}", world.log(&pod, "main", 0));
    let log = world.log(&pod, "main", 0);
    assert_eq!(log, "value-2\ntext\ntext\nfiles\nread-only\n0\nfiles");
}

#[tokio::test]
async fn a_deleted_pod_may_finish_and_is_killed_when_it_does_not() {
    let Some(world) = World::start().await else { return };
    let hook = json!({"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /shared/log"]}}});
    let more = json!({
        "lifecycle": hook,
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        "spec": {
            "volumes": [{"name": "shared", "hostPath": {"path": world.folder.path()}}],
            "terminationGracePeriodSeconds": 20,
        },
    });
    let script = "trap 'echo term >> /shared/log; exit 0' TERM; touch /shared/up; while :; do sleep 0.05; done";
    world.run("polite", script, more).await;
    world.until("polite", |_| world.folder.path().join("up").exists().then_some(())).await;
    world.delete("polite").await;
    world.gone("polite").await;
    let log = std::fs::read_to_string(world.folder.path().join("log")).unwrap();
    assert_eq!(log, "hook\nterm\n");
    let spec = json!({"terminationGracePeriodSeconds": 1});
    world.run("deaf", "trap '' TERM; while :; do sleep 0.05; done", json!({"spec": spec})).await;
    world.ready("deaf").await;
    world.delete("deaf").await;
    world.gone("deaf").await;
}

#[tokio::test]
async fn pods_that_a_node_left_run_again_with_the_next_one() {
    let Some(world) = World::start().await else { return };
    world.run("stays", "sleep 1000", json!({})).await;
    let address = world.ready("stays").await;
    world.node.stop().await;
    assert!(world.node.network_of(address.parse().unwrap()).is_none());
    let world = world.again().await;
    world
        .until("stays", |pod| {
            let one = &pod["status"]["containerStatuses"][0];
            (one["restartCount"] == 1 && one["ready"] == true).then_some(())
        })
        .await;
    assert_eq!(world.ready("stays").await, address);
}
