//! A controller at rest: where nothing differs from what shall be, nothing is written, tick after tick.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::strategies::subsets;
use crate::world::{World, canary, deployment};

const MESH: &str = "networking.istio.io/v1beta1";
const GATEWAY: &str = "gateway.networking.k8s.io/v1";

fn weighted() -> Value {
    json!({"interval": "10s", "threshold": 1, "stepWeights": [30, 60]})
}

/// The writes of some intervals in which nothing happens.
async fn idle(world: &mut World) -> Vec<String> {
    // What is left of what happened before.
    world.tick().await;
    let known = world.fuse.writes().len();
    for _ in 0..2 {
        world.tick().await;
    }
    world.fuse.writes().split_off(known)
}

/// A new version of whatever is released.
async fn change(world: &World) {
    let canary = world.canary().await;
    let kind = canary["spec"]["targetRef"]["kind"].as_str().unwrap().to_owned();
    if kind == "Service" {
        let elsewhere = json!({"spec": {"externalName": "b.example"}});
        world.merge("v1", "Service", "podinfo", elsewhere).await;
        return;
    }
    let containers =
        json!([{"name": "main", "image": "podinfo:2", "ports": [{"containerPort": 9898}]}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    world.merge("apps/v1", &kind, "podinfo", patch).await;
}

/// A release is at rest in the middle, after it, and at another controller.
async fn check(name: &str, spec: Value, mut objects: Vec<Value>) {
    let target = spec["targetRef"]["kind"].as_str().unwrap_or("Deployment").to_owned();
    if target == "Deployment" && objects.iter().all(|it| it["kind"] != "Deployment") {
        objects.push(deployment("podinfo"));
    }
    objects.push(canary("flagger.app/v1beta1", spec));
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;
    let nothing = Vec::<String>::new();
    change(&world).await;
    world.tick().await;
    world.tick().await;
    world.command("hold").await;
    // The Canary says when the next tick is; nothing else has changed.
    let canary = "PATCH /apis/flagger.app/v1beta1/namespaces/test/canaries/podinfo/status";
    let mut written = idle(&mut world).await;
    assert!(world.phase().await.starts_with("Progressing"), "{name}: {}", world.phase().await);
    written.retain(|it| it != canary);
    assert_eq!(written, nothing, "{name}: while it is held");
    world.command("resume").await;
    world.until("Succeeded").await;
    assert_eq!(world.phase().await, "Succeeded", "{name}");
    assert_eq!(idle(&mut world).await, nothing, "{name}: after a release");
    world.restart();
    assert_eq!(idle(&mut world).await, nothing, "{name}: at another controller");
}

#[tokio::test]
async fn routes_and_services_of_the_users_own_are_written_once() {
    let labels = json!({"team": "a"});
    let metadata = json!({"name": "podinfo", "labels": labels, "annotations": {"owner": "me"}});
    let route = json!({
        "apiVersion": MESH, "kind": "VirtualService", "metadata": metadata,
        "spec": {"exportTo": ["*"], "gateways": ["mesh"], "hosts": ["podinfo"], "http": [{
            "name": "mine", "retries": {"attempts": 0}, "route": [{"destination": {"host": "podinfo"}}],
        }]},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": {"app": "podinfo"}, "type": "NodePort",
            "ports": [{"name": "web", "port": 9898}, {"name": "admin", "port": 1}]},
    });
    let objects = vec![route, service.clone()];
    check("a VirtualService", json!({"analysis": weighted()}), objects).await;

    let route = json!({
        "apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": metadata,
        "spec": {"hostnames": ["mine.example"], "parentRefs": [{"name": "gateway"}], "rules": [{
            "backendRefs": [{"name": "podinfo", "port": 9898}],
        }]},
    });
    let spec = json!({
        "provider": "gatewayapi:v1", "analysis": weighted(),
        "service": {"port": 9898, "timeout": "5s", "gatewayRefs": [{"name": "gateway", "namespace": "ingress"}],
            "headers": {"request": {"add": {"x-a": "b"}}}, "match": [{"uri": {"prefix": "/a"}}]},
    });
    check("an HTTPRoute", spec, vec![route, service]).await;
}

#[tokio::test]
async fn every_strategy_is_at_rest() {
    let with = |more: Value| {
        let mut analysis = json!({"interval": "10s", "threshold": 1});
        analysis.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        analysis
    };
    let matches = json!([{"headers": {"x-canary": {"exact": "insider"}}}]);
    let affinity = json!({"cookieName": "who", "primaryCookieName": "primary-who", "path": "/"});
    for (name, spec) in [
        (
            "A/B",
            json!({"analysis": with(json!({"iterations": 2, "match": matches})),
            "service": {"port": 9898, "match": [{"uri": {"prefix": "/a"}, "ignoreUriCase": true}]}}),
        ),
        (
            "blue/green",
            json!({"analysis": with(json!({"iterations": 2, "mirror": true, "mirrorWeight": 20}))}),
        ),
        ("mirrored", json!({"analysis": with(json!({"stepWeight": 50, "mirror": true}))})),
        (
            "cookies",
            json!({"analysis": with(json!({"stepWeight": 25, "sessionAffinity": affinity}))}),
        ),
        (
            "back in steps",
            json!({"analysis": with(json!({"stepWeights": [50, 100], "stepWeightPromotion": 50}))}),
        ),
        (
            "no routes",
            json!({"provider": "kubernetes", "analysis": with(json!({"iterations": 2}))}),
        ),
        (
            "connections",
            json!({"analysis": with(json!({"stepWeight": 50})),
            "service": {"port": 9898, "appProtocol": "TCP", "match": [{"port": 9898}]}}),
        ),
    ] {
        check(name, spec, Vec::new()).await;
    }
}

#[tokio::test]
async fn every_field_of_a_service_is_at_rest() {
    let metadata = |what: &str| json!({"labels": {"what": what}, "annotations": {"what": what}});
    for (name, service) in [
        (
            "all of it",
            json!({
                "name": "shop", "port": 80, "targetPort": 9898, "portName": "web", "appProtocol": "http", "portDiscovery": true,
                "trafficDistribution": "PreferClose", "hosts": ["shop.example"], "gateways": ["istio-system/public", "mesh"],
                "apex": metadata("apex"), "primary": metadata("primary"), "canary": metadata("canary"),
                "timeout": "1500ms", "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
                "headers": {"request": {"add": {"a": "b"}, "remove": ["c"]}, "response": {"remove": ["d"]}},
                "corsPolicy": {"allowOrigins": [{"exact": "a"}], "allowMethods": ["GET"], "maxAge": "24h", "allowCredentials": false},
                "rewrite": {"uri": "/"}, "match": [{"name": "m", "uri": {"prefix": "/"}, "sourceLabels": {"app": "x"}}],
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}, "tls": {"mode": "ISTIO_MUTUAL"}},
                "unmanagedMetadata": {"labels": ["theirs"], "annotations": ["theirs"]},
            }),
        ),
        ("delegation", json!({"port": 9898, "portDiscovery": true, "delegation": true})),
        ("headless", json!({"port": 9898, "headless": true})),
    ] {
        check(name, json!({"analysis": weighted(), "service": service}), Vec::new()).await;
    }
}

#[tokio::test]
async fn everything_that_is_copied_is_at_rest() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"});
    let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "podinfo", "labels": {"team": "a"}},
        "spec": {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": target, "metrics": [metric]},
    });
    let keda = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "podinfo"},
        "spec": {"scaleTargetRef": {"name": "podinfo"}, "triggers": [{"type": "cpu", "metadata": {"value": "50"}}]},
    });
    let reference =
        |of: &Value| json!({"apiVersion": of["apiVersion"], "kind": of["kind"], "name": "podinfo"});
    for scaler in [autoscaler, keda] {
        let spec = json!({"analysis": weighted(), "autoscalerRef": reference(&scaler)});
        check(scaler["kind"].as_str().unwrap(), spec, vec![scaler.clone()]).await;
    }

    let mut workload = deployment("podinfo");
    workload["spec"]["template"]["spec"]["volumes"] = json!([
        {"name": "a", "configMap": {"name": "settings"}},
        {"name": "b", "secret": {"secretName": "keys"}},
        {"name": "c", "configMap": {"name": "absent", "optional": true}},
    ]);
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "labels": {"a": "b"}},
        "data": {"a": "1"}, "binaryData": {"b": "AAAA"}, "immutable": true,
    });
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"k": "1"}});
    let spec = json!({"analysis": weighted()});
    check("configuration", spec, vec![settings, keys, workload]).await;
}

#[tokio::test]
async fn every_kind_of_target_is_at_rest() {
    let of = |kind: &str, api_version: &str| {
        let target = json!({"apiVersion": api_version, "kind": kind, "name": "podinfo"});
        json!({"targetRef": target, "analysis": weighted()})
    };
    let mut everywhere = deployment("podinfo");
    everywhere["kind"] = json!("DaemonSet");
    everywhere["spec"].as_object_mut().unwrap().remove("replicas");
    check("a DaemonSet", of("DaemonSet", "apps/v1"), vec![everywhere]).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo", "labels": {"team": "a"}},
        "spec": {"type": "ExternalName", "externalName": "a.example", "ports": [{"name": "http", "port": 9898}]},
    });
    check("a Service", of("Service", "v1"), vec![service]).await;

    let versions = json!({"primary": "v1", "canary": "v2", "virtualService": "reviews-route"});
    let mut world = subsets(json!({"versions": versions, "analysis": weighted()})).await;
    world.until("Succeeded").await;
    assert_eq!(idle(&mut world).await, Vec::<String>::new(), "subsets");
}

#[tokio::test]
async fn what_is_wanted_no_more_is_taken_away() {
    let service = json!({"port": 80, "gateways": ["public"], "hosts": ["a.example"], "apex": {"labels": {"a": "b"}}});
    let spec = json!({"analysis": weighted(), "service": service});
    let objects = vec![deployment("podinfo"), canary("flagger.app/v1beta1", spec)];
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;
    let change = json!({"port": 9898, "portName": "web", "gateways": null, "hosts": null, "apex": null, "delegation": true});
    world.edit(json!({"spec": {"service": change}})).await;
    world.tick().await;
    let apex = world.get("v1", "Service", "podinfo").await;
    assert_eq!(apex["metadata"]["labels"], json!({"app": "podinfo"}));
    let route = world.get(MESH, "VirtualService", "podinfo").await;
    let keys: Vec<&String> = route["spec"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["http"], "{route:#}");
    assert!(route["metadata"].get("labels").is_none(), "{route:#}");
    // And so is what others add to what is the release's.
    let ports = json!([{"name": "http2-podinfo", "port": 8080}]);
    world.merge("v1", "Service", "podinfo-canary", json!({"spec": {"ports": ports}})).await;
    world.tick().await;
    for name in ["podinfo", "podinfo-primary", "podinfo-canary"] {
        let service = world.get("v1", "Service", name).await;
        let ports = service["spec"]["ports"].as_array().unwrap().iter();
        let ports: Vec<String> = ports.map(|it| format!("{} {}", it["name"], it["port"])).collect();
        assert_eq!(ports, ["\"web\" 9898"], "{name}");
    }
}
