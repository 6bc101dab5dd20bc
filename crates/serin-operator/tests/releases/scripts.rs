//! What Flagger's own end-to-end scripts and unit tests look for, in the order in which they do.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::walkthroughs::vector;
use crate::world::{World, canary, deployment};

const MESH: &str = "networking.istio.io/v1beta1";

/// podinfo with the ports that the scripts' workload has.
fn podinfo() -> Value {
    let mut workload = deployment("podinfo");
    workload["spec"]["replicas"] = json!(1);
    workload["spec"]["template"]["spec"]["containers"] = containers("6.0.0");
    workload
}

fn containers(version: &str) -> Value {
    let ports = json!([
        {"name": "http", "containerPort": 9898, "protocol": "TCP"},
        {"name": "http-metrics", "containerPort": 9797, "protocol": "TCP"},
        {"name": "grpc", "containerPort": 9999, "protocol": "TCP"},
    ]);
    json!([{"name": "podinfod", "image": format!("podinfo:{version}"), "ports": ports}])
}

async fn set_image(world: &World, version: &str) {
    let patch = json!({"spec": {"template": {"spec": {"containers": containers(version)}}}});
    world.merge("apps/v1", "Deployment", "podinfo", patch).await;
}

/// The template of the scripts, which asks for a latency.
fn latency() -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "latency"},
        "spec": {
            "provider": {"type": "prometheus", "address": "HOOKS"},
            "query": "histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{ \
                reporter=\"{{ variables.reporter }}\", destination_workload_namespace=\"{{ namespace }}\", \
                destination_workload=~\"{{ target }}\" }[{{ interval }}])) by (le))",
        },
    })
}

fn metrics() -> Value {
    json!([
        {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
        {"name": "latency", "templateRef": {"name": "latency", "namespace": "test"}, "thresholdRange": {"max": 500},
            "interval": "30s", "templateVariables": {"reporter": "destination"}},
    ])
}

fn hook(name: &str, kind: Option<&str>, path: &str) -> Value {
    let mut hook = json!({"name": name, "url": format!("HOOKS{path}"), "timeout": "5s",
        "metadata": {"type": "cmd", "cmd": "hey http://podinfo.test/", "logCmdOutput": "true"}});
    if let Some(kind) = kind {
        hook["type"] = json!(kind);
    }
    hook
}

/// An object in which `HOOKS` is the receiver's address.
fn at(receiver: &Receiver, object: &Value) -> Value {
    serde_json::from_str(&object.to_string().replace("HOOKS", &receiver.address)).unwrap()
}

async fn events(world: &mut World) -> Vec<String> {
    let mut events = world.events().await;
    events.retain(|it| !it.contains(" not ready: "));
    events
}

/// Each port of a Service: its name, its number and where it leads.
async fn ports(world: &World, service: &str) -> Vec<String> {
    let service = world.get("v1", "Service", service).await;
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of =
        |it: &Value| format!("{} {} {}", text(&it["name"]), it["port"], text(&it["targetPort"]));
    ports.iter().map(of).collect()
}

/// A release of a version, as its events.
async fn release(world: &mut World, version: &str) -> Vec<String> {
    events(world).await;
    set_image(world, version).await;
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, format!("podinfo:{version}"));
    assert_eq!(world.shown().await, "Succeeded 0");
    events(world).await
}

async fn first(receiver: Receiver) -> World {
    let service = json!({
        "port": 9898, "portDiscovery": true,
        "apex": {"annotations": {"test": "annotations-test"}, "labels": {"test": "labels-test"}},
        "headers": {"request": {"add": {
            "x-envoy-upstream-rq-timeout-ms": "15000", "x-envoy-max-retries": "10",
            "x-envoy-retry-on": "gateway-error,connect-failure,refused-stream",
        }}},
    });
    let analysis = json!({
        "interval": "15s", "threshold": 15, "maxWeight": 30, "stepWeight": 10, "metrics": metrics(),
        "webhooks": [hook("load-test", None, "/load")],
    });
    let spec = json!({
        "metricsServer": "HOOKS", "progressDeadlineSeconds": 60, "service": service, "analysis": analysis,
    });
    let objects = [latency(), podinfo(), canary("flagger.app/v1beta1", spec)];
    let objects = objects.iter().map(|it| at(&receiver, it)).collect();
    receiver.answer("/api/v1/query", 200, &vector(100.0));
    World::new(objects, receiver).await
}

/// The second and the third Canary of the script take the place of the first.
async fn next(world: &World, target_port: Value, analysis: Value, more: Value) {
    let mut spec = json!({
        "service": {"port": 80, "targetPort": target_port, "portName": "http-podinfo", "apex": null, "headers": null},
        "analysis": {"interval": "10s", "threshold": 5, "iterations": 5, "maxWeight": null, "stepWeight": null},
    });
    spec["analysis"].as_object_mut().unwrap().extend(analysis.as_object().unwrap().clone());
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.edit(at(&world.receiver, &json!({"spec": spec}))).await;
}

fn matched() -> Value {
    json!([{"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}])
}

fn gated() -> Value {
    json!([
        hook("pre", Some("pre-rollout"), "/pre"),
        hook("promote-gate", Some("confirm-promotion"), "/gate/approve"),
        hook("post", Some("post-rollout"), "/post"),
    ])
}

#[tokio::test]
async fn canary_then_blue_green_then_a_b_as_in_the_script_for_istio() {
    let mut world = first(Receiver::start().await).await;
    world.initialise().await;
    let apex = world.get("v1", "Service", "podinfo").await;
    assert_eq!(apex["metadata"]["annotations"]["test"], "annotations-test");
    assert_eq!(apex["metadata"]["labels"], json!({"app": "podinfo", "test": "labels-test"}));
    assert_eq!(apex["spec"]["selector"], json!({"app": "podinfo-primary"}));
    let all = ["http 9898 9898", "http-metrics 9797 9797", "grpc 9999 9999"];
    for service in ["podinfo", "podinfo-primary", "podinfo-canary"] {
        assert_eq!(ports(&world, service).await, all, "{service}");
    }
    let route = world.get(MESH, "VirtualService", "podinfo").await;
    let added = &route["spec"]["http"][0]["headers"]["request"]["add"];
    assert_eq!(added["x-envoy-max-retries"], "10");

    assert_eq!(
        release(&mut world, "6.0.1").await,
        [
            "New revision detected! Scaling up podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Advance podinfo.test canary weight 10",
            "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 30",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
    let asked = world.receiver.take();
    let latency = asked.iter().filter(|it| it.path.contains("istio_request_duration")).count();
    assert!(latency > 2, "{asked:#?}");

    // Blue/green, on another port.
    let hooks = json!([
        hook("http-acceptance-test", Some("pre-rollout"), "/accept"),
        hook("grpc-acceptance-test", Some("pre-rollout"), "/accept"),
        hook("load-test", None, "/load"),
    ]);
    next(&world, json!(9898), json!({"webhooks": hooks}), json!({})).await;
    world.tick().await;
    let all = ["http-podinfo 80 9898", "http-metrics 9797 9797", "grpc 9999 9999"];
    for service in ["podinfo", "podinfo-primary", "podinfo-canary"] {
        let mut ports = ports(&world, service).await;
        ports.sort_by_key(|it| all.iter().position(|one| one == it));
        assert_eq!(ports, all, "{service}");
    }
    let expect = [
        "New revision detected! Scaling up podinfo.test",
        "Starting canary analysis for podinfo.test",
        "Pre-rollout check http-acceptance-test passed",
        "Pre-rollout check grpc-acceptance-test passed",
        "Advance podinfo.test canary iteration 1/5",
        "Advance podinfo.test canary iteration 2/5",
        "Advance podinfo.test canary iteration 3/5",
        "Advance podinfo.test canary iteration 4/5",
        "Advance podinfo.test canary iteration 5/5",
        "Routing all traffic to canary",
        "Copying podinfo.test template spec to podinfo-primary.test",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down podinfo.test",
    ];
    assert_eq!(release(&mut world, "6.0.2").await, expect);

    // A/B testing, by the name of a port and with a gate.
    world.receiver.take();
    next(&world, json!("http"), json!({"webhooks": gated(), "match": matched()}), json!({})).await;
    let mut expect = expect.map(str::to_owned).to_vec();
    expect[2] = "Pre-rollout check pre passed".to_owned();
    expect.remove(3);
    expect[8] = "Confirm-promotion check promote-gate passed".to_owned();
    expect.push("Post-rollout check post passed".to_owned());
    assert_eq!(release(&mut world, "6.0.3").await, expect);
    let mut hooks = world.receiver.take();
    hooks.retain(|it| !it.path.starts_with("/api"));
    let paths: Vec<&str> = hooks.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["/pre", "/gate/approve", "/post"]);
    assert_eq!(hooks[2].body["phase"], "Succeeded");
}

#[tokio::test]
async fn what_was_there_is_there_again_as_in_the_script_for_istio() {
    let mut world = first(Receiver::start().await).await;
    world.initialise().await;
    let reverting = json!({"revertOnDeletion": true});
    next(&world, json!("http"), json!({"webhooks": gated(), "match": matched()}), reverting).await;
    world.tick().await;
    assert_eq!(world.canary().await["metadata"]["finalizers"], json!(["finalizer.flagger.app"]));
    let delete = async |world: &mut World| {
        world.delete("flagger.app/v1beta1", "Canary", "podinfo").await;
        for _ in 0..6 {
            world.tick().await;
        }
        assert!(world.canary().await.is_null());
        for kind in ["Deployment", "Service"] {
            let api_version = if kind == "Service" { "v1" } else { "apps/v1" };
            // What belonged to it is collected.
            assert!(world.get(api_version, kind, "podinfo-primary").await.is_null(), "{kind}");
        }
    };
    delete(&mut world).await;
    assert_eq!(world.replicas("podinfo").await, 1);
    assert!(world.get(MESH, "VirtualService", "podinfo").await.is_null());
    let service = world.get("v1", "Service", "podinfo").await;
    assert_eq!(service["spec"]["selector"], json!({"app": "podinfo"}));
    assert!(service["metadata"].get("ownerReferences").is_none(), "users keep it: {service:#}");

    // A Service and routes of the user's, and a Canary over them.
    world.delete("v1", "Service", "podinfo").await;
    let service = json!({
        "ports": [{"name": "http", "port": 9898, "protocol": "TCP", "targetPort": "http"}],
        "selector": {"app": "podinfo"}, "type": "ClusterIP",
    });
    let route = json!({
        "gateways": ["istio-system/ingressgateway"], "hosts": ["app.example.com", "podinfo"],
        "http": [{
            "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "gateway-error,connect-failure,refused-stream"},
            "route": [{"destination": {"host": "podinfo"}}],
        }],
    });
    for (api_version, kind, spec) in [("v1", "Service", &service), (MESH, "VirtualService", &route)]
    {
        world.create(applied(api_version, kind, spec)).await;
    }
    let spec = json!({
        "revertOnDeletion": true, "service": {"port": 80, "portName": "http-podinfo", "targetPort": "http", "portDiscovery": true},
        "analysis": {"interval": "10s", "threshold": 5, "iterations": 5, "match": matched()},
    });
    world.create(canary("flagger.app/v1beta1", spec)).await;
    world.restart();
    world.initialise().await;
    let led = world.get("v1", "Service", "podinfo").await;
    assert_eq!(led["spec"]["selector"], json!({"app": "podinfo-primary"}));
    // Meanwhile the user wants something else of the routes.
    let mut later = route.clone();
    later["hosts"] = json!(["podinfo"]);
    let told = applied(MESH, "VirtualService", &later);
    world.merge(MESH, "VirtualService", "podinfo", told).await;
    world.tick().await;
    assert_eq!(world.weights().await, (0, false), "the release has its own way until then");
    delete(&mut world).await;
    let given = world.get(MESH, "VirtualService", "podinfo").await;
    assert_eq!(given["spec"], later, "what kubectl was told last");
    let given = world.get("v1", "Service", "podinfo").await;
    assert_eq!(given["spec"]["selector"], json!({"app": "podinfo"}));
    assert_eq!(ports(&world, "podinfo").await, ["http 9898 http"]);
    for (api_version, kind) in [("v1", "Service"), (MESH, "VirtualService")] {
        let annotations =
            world.get(api_version, kind, "podinfo").await["metadata"]["annotations"].clone();
        let keys: Vec<String> = annotations.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["kubectl.kubernetes.io/last-applied-configuration"], "{kind}");
    }
}

/// An object as `kubectl apply` leaves it.
fn applied(api_version: &str, kind: &str, spec: &Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "podinfo"}, "spec": spec});
    let text = object.to_string();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": text});
    object
}

#[tokio::test]
async fn services_have_the_ports_that_are_asked_for() {
    let check = async |service: Value, expect: &[&str], more: Value| {
        let spec = json!({"service": service, "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 50}});
        let objects = vec![podinfo(), canary("flagger.app/v1beta1", spec)];
        let mut world = World::new(objects, Receiver::start().await).await;
        world.initialise().await;
        for name in ["podinfo", "podinfo-primary", "podinfo-canary"] {
            assert_eq!(ports(&world, name).await, expect, "{service} {name}");
            let found = world.get("v1", "Service", name).await;
            assert_eq!(found["metadata"]["labels"]["app"], name);
            for (path, value) in more.as_object().unwrap() {
                assert_eq!(found.pointer(path), Some(value), "{service} {name} {path}");
            }
        }
    };
    check(json!({"port": 9898}), &["http 9898 9898"], json!({"/spec/type": "ClusterIP"})).await;
    let grpc = json!({"port": 80, "portName": "grpc", "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"});
    check(
        grpc,
        &["grpc 80 grpc"],
        json!({"/spec/ports/0/appProtocol": "kubernetes.io/h2c", "/spec/ports/0/protocol": "TCP"}),
    )
    .await;
    let found = json!({"port": 80, "targetPort": "http", "portDiscovery": true});
    let all = ["http 80 http", "http-metrics 9797 9797", "grpc 9999 9999"];
    check(found, &all, json!({})).await;
    let found = json!({"port": 9898, "portDiscovery": true, "headless": true, "trafficDistribution": "PreferClose"});
    let all = ["http 9898 9898", "http-metrics 9797 9797", "grpc 9999 9999"];
    let more = json!({"/spec/clusterIP": "None", "/spec/trafficDistribution": "PreferClose"});
    check(found, &all, more).await;
}

/// A workload that names configuration in every way in which a pod can.
fn configured() -> Value {
    let mut workload = podinfo();
    let pod = &mut workload["spec"]["template"]["spec"];
    let of = |what: &str, name: &str, key: &str| json!({"name": "A", "valueFrom": {what: {"name": name, "key": key}}});
    pod["containers"][0]["env"] =
        json!([of("configMapKeyRef", "env", "color"), of("secretKeyRef", "env", "k")]);
    pod["containers"][0]["envFrom"] = json!([
        {"configMapRef": {"name": "all-env"}}, {"configMapRef": {"name": "off"}}, {"configMapRef": {"name": "out"}},
        {"configMapRef": {"name": "on"}}, {"configMapRef": {"name": "absent", "optional": true}},
    ]);
    pod["initContainers"] = json!([{"name": "first", "image": "first", "envFrom": [{"configMapRef": {"name": "init-env"}}]}]);
    pod["volumes"] = json!([
        {"name": "a", "configMap": {"name": "vol"}}, {"name": "b", "secret": {"secretName": "vol"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
    ]);
    pod["imagePullSecrets"] = json!([{"name": "pull"}]);
    workload
}

#[tokio::test]
async fn configuration_is_followed_wherever_pods_name_it_unless_it_says_otherwise() {
    let map = |name: &str, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations,
            "labels": {"app.kubernetes.io/part-of": "shop"}}, "data": {"color": "red"}})
    };
    let secret = |name: &str, kind: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data});
    let docker = json!({".dockerconfigjson": "{\"auths\":{}}"});
    let mut objects = vec![
        secret("env", "Opaque", json!({"k": "1"})),
        secret("vol", "kubernetes.io/basic-auth", json!({"username": "a", "password": "b"})),
        secret("pull", "kubernetes.io/dockerconfigjson", docker),
    ];
    for name in ["env", "all-env", "vol", "projected", "init-env", "ephemeral"] {
        objects.push(map(name, json!({})));
    }
    for (name, says) in [("off", "disabled"), ("out", "disable"), ("on", "enabled")] {
        objects.push(map(name, json!({"flagger.app/config-tracking": says})));
    }
    objects.push(configured());
    let analysis = json!({"interval": "10s", "threshold": 1, "stepWeight": 50});
    objects.push(canary("flagger.app/v1beta1", json!({"analysis": analysis})));
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;

    let tracked = world.canary().await["status"]["trackedConfigs"].clone();
    let tracked: Vec<&String> = tracked.as_object().unwrap().keys().collect();
    let followed = [
        "configmap/all-env",
        "configmap/env",
        "configmap/init-env",
        "configmap/on",
        "configmap/projected",
        "configmap/vol",
        "secret/env",
        "secret/vol",
    ];
    assert_eq!(tracked, followed);
    let pod =
        world.get("apps/v1", "Deployment", "podinfo-primary").await["spec"]["template"]["spec"]
            .clone();
    for (path, name) in [
        ("/containers/0/env/0/valueFrom/configMapKeyRef/name", "env-primary"),
        ("/containers/0/env/1/valueFrom/secretKeyRef/name", "env-primary"),
        ("/containers/0/envFrom/0/configMapRef/name", "all-env-primary"),
        ("/containers/0/envFrom/1/configMapRef/name", "off"),
        ("/containers/0/envFrom/2/configMapRef/name", "out"),
        ("/containers/0/envFrom/3/configMapRef/name", "on-primary"),
        ("/containers/0/envFrom/4/configMapRef/name", "absent"),
        ("/initContainers/0/envFrom/0/configMapRef/name", "init-env-primary"),
        ("/volumes/0/configMap/name", "vol-primary"),
        ("/volumes/1/secret/secretName", "vol-primary"),
        ("/volumes/2/projected/sources/0/configMap/name", "projected-primary"),
        ("/imagePullSecrets/0/name", "pull"),
    ] {
        assert_eq!(pod.pointer(path), Some(&json!(name)), "{path}");
    }
    let copy = world.get("v1", "Secret", "vol-primary").await;
    assert_eq!(copy["type"], "kubernetes.io/basic-auth");
    let owner = &copy["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"], &owner["controller"], &owner["apiVersion"]),
        (&json!("Canary"), &json!("podinfo"), &json!(true), &json!("flagger.app/v1beta1"))
    );
    for name in ["off-primary", "out-primary", "absent-primary"] {
        assert!(world.get("v1", "ConfigMap", name).await.is_null(), "{name}");
    }
    assert!(world.get("v1", "Secret", "pull-primary").await.is_null());

    for (name, is_followed) in [("off", false), ("ephemeral", false), ("on", true)] {
        world.merge("v1", "ConfigMap", name, json!({"data": {"color": "blue"}})).await;
        world.tick().await;
        let expect = if is_followed { "Progressing" } else { "Initialized" };
        assert_eq!(world.phase().await, expect, "{name}");
    }
    // What is named optionally and comes later belongs to the next version.
    world.until("Succeeded").await;
    world.create(map("absent", json!({}))).await;
    world.until("Succeeded").await;
    let copy = world.get("v1", "ConfigMap", "absent-primary").await;
    assert_eq!(copy["data"], json!({"color": "red"}));
}
