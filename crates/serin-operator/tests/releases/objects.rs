//! What a release makes, copies, follows and gives back.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{World, canary, deployment};

fn quick() -> Value {
    json!({"interval": "10s", "threshold": 1, "stepWeight": 50})
}

#[tokio::test]
async fn the_primary_is_a_copy_with_labels_and_configuration_of_its_own() {
    let mut workload = deployment("podinfo");
    let pod = &mut workload["spec"]["template"]["spec"];
    pod["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]);
    pod["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "podinfo"}}},
    ]}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
        "data": {"a": "1"}, "binaryData": {"logo": "AAAA"}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"k": "1"}});
    let service = json!({"port": 80, "targetPort": 9898, "portName": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}},
        "hosts": ["shop.example"], "gateways": ["public"], "timeout": "5s"});
    let canary = canary("flagger.app/v1beta1", json!({"service": service, "analysis": quick()}));
    let mut world = World::new(vec![map, secret, workload, canary], Receiver::start().await).await;
    world.initialise().await;

    let primary = world.get("apps/v1", "Deployment", "podinfo-primary").await;
    assert_eq!(primary["spec"]["selector"], json!({"matchLabels": {"app": "podinfo-primary"}}));
    assert_eq!(primary["metadata"]["ownerReferences"][0]["kind"], "Canary");
    assert!(primary["metadata"]["labels"].get("team").is_none());
    let template = &primary["spec"]["template"];
    assert_eq!(template["metadata"]["labels"], json!({"app": "podinfo-primary"}));
    assert!(template["metadata"]["annotations"]["flagger-id"].as_str().is_some());
    let from = &template["spec"]["containers"][0]["envFrom"];
    assert_eq!(from[0]["configMapRef"]["name"], "settings-primary");
    assert_eq!(from[1]["secretRef"]["name"], "keys-primary");
    let away = &template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        [0];
    assert_eq!(away["labelSelector"]["matchLabels"]["app"], "podinfo-primary");
    let copy = world.get("v1", "ConfigMap", "settings-primary").await;
    assert_eq!(
        (&copy["data"], &copy["binaryData"]),
        (&json!({"a": "1"}), &json!({"logo": "AAAA"}))
    );

    for (name, selected) in [
        ("podinfo", "podinfo-primary"),
        ("podinfo-primary", "podinfo-primary"),
        ("podinfo-canary", "podinfo"),
    ] {
        let service = world.get("v1", "Service", name).await;
        assert_eq!(service["spec"]["selector"], json!({"app": selected}), "{name}");
        let port = &service["spec"]["ports"][0];
        assert_eq!(
            (&port["name"], &port["port"], &port["targetPort"]),
            (&json!("web"), &json!(80), &json!(9898))
        );
    }
    let rule = world.get("networking.istio.io/v1beta1", "DestinationRule", "podinfo-canary").await;
    assert_eq!(
        rule["spec"],
        json!({"host": "podinfo-canary", "trafficPolicy": {"tls": {"mode": "DISABLE"}}})
    );
    let route = world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    assert_eq!(route["spec"]["hosts"], json!(["shop.example", "podinfo"]));
    assert_eq!(route["spec"]["gateways"], json!(["public"]));
    assert_eq!(route["spec"]["http"][0]["timeout"], "5s");
}

#[tokio::test]
async fn a_change_of_configuration_alone_is_released_binary_data_too() {
    let mut workload = deployment("podinfo");
    workload["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "c", "configMap": {"name": "settings"}}]);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}});
    let canary = canary("flagger.app/v1beta1", json!({"analysis": quick()}));
    let mut world = World::new(vec![map, workload, canary], Receiver::start().await).await;
    world.initialise().await;
    let id = |object: &Value| {
        object["spec"]["template"]["metadata"]["annotations"]["flagger-id"].clone()
    };
    let before = id(&world.get("apps/v1", "Deployment", "podinfo-primary").await);
    world.merge("v1", "ConfigMap", "settings", json!({"binaryData": {"logo": "AQID"}})).await;
    world.tick().await;
    assert_eq!(world.phase().await, "Progressing");
    let copy = world.get("v1", "ConfigMap", "settings-primary").await;
    assert!(copy.get("binaryData").is_none(), "not before the promotion");
    world.until("Succeeded").await;
    let copy = world.get("v1", "ConfigMap", "settings-primary").await;
    assert_eq!(copy["binaryData"]["logo"], "AQID");
    assert_ne!(
        before,
        id(&world.get("apps/v1", "Deployment", "podinfo-primary").await),
        "pods are renewed"
    );
    assert!(
        world.canary().await["status"]["trackedConfigs"]["configmap/settings"].as_str().is_some()
    );
}

#[tokio::test]
async fn an_abort_during_the_promotion_gives_the_primary_its_former_version_back() {
    let mut workload = deployment("podinfo");
    workload["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "settings"}}]);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}});
    let canary = canary("flagger.app/v1beta1", json!({"analysis": quick()}));
    let mut world = World::new(vec![map, workload, canary], Receiver::start().await).await;
    world.initialise().await;
    world.merge("v1", "ConfigMap", "settings", json!({"data": {"a": "2"}})).await;
    world.set_image("podinfo:2").await;
    world.until("Promoting").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
    world.command("abort").await;
    world.broken.push("podinfo-primary".to_owned());
    world.turn().await;
    world.turn().await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:1");
    assert_eq!(
        world.shown().await,
        "Promoting 100",
        "nobody is sent to a primary that is not ready"
    );
    world.broken.clear();
    world.turn().await;
    world.turn().await;
    assert_eq!(world.shown().await, "Failed 0");
    assert_eq!(world.get("v1", "ConfigMap", "settings-primary").await["data"], json!({"a": "1"}));
}

#[tokio::test]
async fn a_primary_that_does_not_come_up_leaves_the_traffic_at_the_canary() {
    let mut world = World::flagger(quick()).await;
    world.edit(json!({"spec": {"progressDeadlineSeconds": 30}})).await;
    world.set_image("podinfo:2").await;
    world.until("Promoting").await;
    world.broken.push("podinfo-primary".to_owned());
    let seen = world.until("Failed").await;
    assert_eq!(seen.last().unwrap(), "Failed 100");
    assert_eq!(world.replicas("podinfo").await, 2);
    assert!(
        world
            .events()
            .await
            .iter()
            .any(|it| it.starts_with("Promotion of podinfo.test failed, primary not ready: "))
    );
}

#[tokio::test]
async fn autoscalers_are_copied_and_kept_at_their_limits() {
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "podinfo"},
        "spec": {"minReplicas": 3, "maxReplicas": 6,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
    });
    let reference = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo",
        "primaryScalerReplicas": {"minReplicas": 4, "maxReplicas": 8}});
    let canary =
        canary("flagger.app/v1beta1", json!({"autoscalerRef": reference, "analysis": quick()}));
    let mut world =
        World::new(vec![scaler, deployment("podinfo"), canary], Receiver::start().await).await;
    world.initialise().await;
    let copy = world.get("autoscaling/v2", "HorizontalPodAutoscaler", "podinfo-primary").await;
    assert_eq!(copy["spec"]["scaleTargetRef"]["name"], "podinfo-primary");
    assert_eq!(
        (&copy["spec"]["minReplicas"], &copy["spec"]["maxReplicas"]),
        (&json!(4), &json!(8))
    );
    // From zero the canary begins with the least that its autoscaler wants, and the primary's size is the autoscaler's.
    world.merge("apps/v1", "Deployment", "podinfo-primary", json!({"spec": {"replicas": 5}})).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    assert_eq!(world.replicas("podinfo").await, 3);
    world.until("Succeeded").await;
    assert_eq!(world.replicas("podinfo-primary").await, 5);
}

#[tokio::test]
async fn an_autoscaler_of_keda_is_copied_and_rests_with_the_canary() {
    let query = |app: &str| format!("sum(rate(http_requests_total{{ app=\"{app}\" }}[30s]))");
    let trigger =
        json!({"type": "prometheus", "metadata": {"query": query("podinfo"), "threshold": "5"}});
    let scaler = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "podinfo-so"},
        "spec": {
            "scaleTargetRef": {"name": "podinfo"}, "minReplicaCount": 1, "maxReplicaCount": 3,
            "triggers": [trigger],
        },
    });
    let reference = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "podinfo-so",
        "primaryScalerReplicas": {"minReplicas": 2, "maxReplicas": 6},
    });
    let canary =
        canary("flagger.app/v1beta1", json!({"autoscalerRef": reference, "analysis": quick()}));
    let mut world =
        World::new(vec![scaler, deployment("podinfo"), canary], Receiver::start().await).await;
    world.initialise().await;
    world.tick().await;
    let scaler =
        async |world: &World, name: &str| world.get("keda.sh/v1alpha1", "ScaledObject", name).await;
    let copy = scaler(&world, "podinfo-so-primary").await;
    assert_eq!(copy["spec"]["scaleTargetRef"]["name"], "podinfo-primary");
    assert_eq!(copy["spec"]["triggers"][0]["metadata"]["query"], query("podinfo-primary"));
    assert_eq!(
        (&copy["spec"]["minReplicaCount"], &copy["spec"]["maxReplicaCount"]),
        (&json!(2), &json!(6))
    );
    let paused = async |world: &World| {
        let all = scaler(world, "podinfo-so").await["metadata"]["annotations"].clone();
        all["autoscaling.keda.sh/paused-replicas"].as_str().map(str::to_owned)
    };
    assert_eq!(paused(&world).await.as_deref(), Some("0"));
    world.set_image("podinfo:2").await;
    world.tick().await;
    assert_eq!(paused(&world).await, None, "it works while the canary does");
    assert_eq!(world.replicas("podinfo").await, 1);
    world.until("Succeeded").await;
    assert_eq!(paused(&world).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_daemon_set_rests_where_there_is_no_node() {
    let mut workload = deployment("podinfo");
    workload["kind"] = json!("DaemonSet");
    workload["spec"].as_object_mut().unwrap().remove("replicas");
    let mut canary = canary("flagger.app/v1beta1", json!({"analysis": quick()}));
    canary["spec"]["targetRef"]["kind"] = json!("DaemonSet");
    let mut world = World::new(vec![workload, canary], Receiver::start().await).await;
    world.initialise().await;
    let rests = |object: &Value| {
        object["spec"]["template"]["spec"]["nodeSelector"]["flagger.app/scale-to-zero"] == "true"
    };
    let target = world.get("apps/v1", "DaemonSet", "podinfo").await;
    assert!(rests(&target), "{target:#}");
    world.tick().await;
    assert_eq!(world.phase().await, "Initialized", "resting is no change");
    let containers =
        json!([{"name": "main", "image": "podinfo:2", "ports": [{"containerPort": 9898}]}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    world.merge("apps/v1", "DaemonSet", "podinfo", patch).await;
    world.tick().await;
    assert!(!rests(&world.get("apps/v1", "DaemonSet", "podinfo").await));
    world.until("Succeeded").await;
    let primary = world.get("apps/v1", "DaemonSet", "podinfo-primary").await;
    assert_eq!(primary["spec"]["template"]["spec"]["containers"][0]["image"], "podinfo:2");
    assert!(!rests(&primary));
}

#[tokio::test]
async fn deletion_gives_back_what_was_there_before() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo", "tier": "web"}, "ports": [{"name": "web", "port": 9898}, {"name": "admin", "port": 1}]},
    });
    let mut workload = deployment("podinfo");
    workload["spec"]["template"]["metadata"]["labels"] = json!({"app": "podinfo", "tier": "web"});
    let route = json!({
        "apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "podinfo"},
        "spec": {"hosts": ["podinfo"], "http": [{"name": "mine", "route": [{"destination": {"host": "podinfo"}}]}]},
    });
    let canary =
        canary("flagger.app/v1beta1", json!({"revertOnDeletion": true, "analysis": quick()}));
    let mut world =
        World::new(vec![service, route, workload, canary], Receiver::start().await).await;
    world.initialise().await;
    assert_eq!(world.canary().await["metadata"]["finalizers"], json!(["finalizer.flagger.app"]));
    let selector = world.get("v1", "Service", "podinfo").await["spec"]["selector"].clone();
    assert_eq!(selector, json!({"app": "podinfo-primary"}));
    assert_eq!(world.weights().await, (0, false));
    world.delete("flagger.app/v1beta1", "Canary", "podinfo").await;
    for _ in 0..4 {
        world.turn().await;
    }
    assert!(world.canary().await.is_null());
    let service = world.get("v1", "Service", "podinfo").await;
    assert_eq!(service["spec"]["selector"], json!({"app": "podinfo", "tier": "web"}));
    assert_eq!(service["spec"]["ports"].as_array().unwrap().len(), 2);
    let route = world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    assert_eq!(
        route["spec"]["http"],
        json!([{"name": "mine", "route": [{"destination": {"host": "podinfo"}}]}])
    );
    assert_eq!(world.replicas("podinfo").await, 2);
}

#[tokio::test]
async fn a_release_that_flagger_has_at_rest_goes_on_without_another_release() {
    let mut world = World::flagger(quick()).await;
    // As Flagger leaves a Canary: its own hashes, and nothing of ours.
    let status = json!({"status": {"phase": "Succeeded", "release": null, "lastAppliedSpec": "5978589476", "lastPromotedSpec": "5978589476"}});
    world.merge_status("flagger.app/v1beta1", "Canary", "podinfo", status).await;
    world
        .merge(
            "apps/v1",
            "Deployment",
            "podinfo-primary",
            json!({"metadata": {"annotations": {"serin.dev/copied-revision": null}}}),
        )
        .await;
    world.restart();
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Succeeded 0");
    world.set_image("podinfo:2").await;
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
}

#[tokio::test]
async fn what_cannot_be_is_told_once() {
    let mut object =
        canary("flagger.app/v1beta1", json!({"provider": "nginx", "analysis": quick()}));
    object["spec"]["ingressRef"] = json!({"name": "podinfo"});
    let mut world = World::new(vec![deployment("podinfo"), object], Receiver::start().await).await;
    world.tick().await;
    world.tick().await;
    let events = world.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].starts_with("spec.provider nginx is not supported"), "{events:?}");
}

#[tokio::test]
async fn a_new_revision_at_any_phase_is_released_in_the_end() {
    for phase in ["Progressing", "Promoting", "Finalising", "Succeeded"] {
        let mut world = World::flagger(quick()).await;
        world.set_image("podinfo:2").await;
        world.until(phase).await;
        world.set_image("podinfo:3").await;
        for _ in 0..16 {
            world.tick().await;
            if world.image("podinfo-primary").await == "podinfo:3"
                && world.phase().await == "Succeeded"
            {
                break;
            }
        }
        assert_eq!(world.image("podinfo-primary").await, "podinfo:3", "new revision in {phase}");
        assert_eq!(world.shown().await, "Succeeded 0");
    }
}

#[tokio::test]
async fn going_back_to_what_was_promoted_is_no_release() {
    let mut world = World::flagger(quick()).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 50");
    world.set_image("podinfo:1").await;
    for _ in 0..12 {
        world.tick().await;
    }
    let shown = world.shown().await;
    assert!(shown == "Succeeded 0" || shown == "Failed 0", "{shown}");
    assert_eq!(world.image("podinfo-primary").await, "podinfo:1");
}
