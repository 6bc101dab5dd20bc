//! Copies in the details that other tools look at: labels and annotations, autoscalers, ports, and Services that are released.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{World, canary, deployment};

const MESH: &str = "networking.istio.io/v1beta1";

fn quick() -> Value {
    json!({"interval": "10s", "threshold": 1, "stepWeight": 50})
}

fn scaler(api_version: &str, kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": "podinfo", "labels": {"team": "a", "kustomize.toolkit.fluxcd.io/name": "apps"},
            "annotations": {"a": "b"},
        },
        "spec": spec,
    })
}

#[tokio::test]
async fn what_a_release_makes_is_left_alone_by_flux() {
    let mut workload = deployment("podinfo");
    workload["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("apps");
    let service = json!({
        "port": 9898, "apex": {"labels": {"app": "mine"}, "annotations": {"a": "b"}},
        "unmanagedMetadata": {"annotations": ["helm.toolkit.fluxcd.io/driftDetection"]},
    });
    let canary = canary("flagger.app/v1beta1", json!({"service": service, "analysis": quick()}));
    let mut world = World::new(vec![workload, canary], Receiver::start().await).await;
    world.initialise().await;
    for (api_version, kind, name) in [
        ("v1", "Service", "podinfo"),
        ("v1", "Service", "podinfo-primary"),
        (MESH, "VirtualService", "podinfo"),
        (MESH, "DestinationRule", "podinfo-canary"),
        ("apps/v1", "Deployment", "podinfo-primary"),
    ] {
        let object = world.get(api_version, kind, name).await;
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["kustomize.toolkit.fluxcd.io/reconcile"], "disabled", "{object:#}");
        assert!(object["metadata"]["labels"].get("kustomize.toolkit.fluxcd.io/name").is_none());
    }
    let apex = world.get("v1", "Service", "podinfo").await["metadata"].clone();
    assert_eq!((&apex["labels"]["app"], &apex["annotations"]["a"]), (&json!("mine"), &json!("b")));
    assert!(apex["annotations"].get("helm.toolkit.fluxcd.io/driftDetection").is_none(), "{apex:#}");
}

#[tokio::test]
async fn copies_of_autoscalers_have_the_labels_of_the_original() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"});
    let plain = json!({"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": target});
    let plain = scaler("autoscaling/v2", "HorizontalPodAutoscaler", plain);
    let reference = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"});
    let spec = json!({"autoscalerRef": reference, "analysis": quick()});
    let objects = vec![plain, deployment("podinfo"), canary("flagger.app/v1beta1", spec)];
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;
    let copy = world.get("autoscaling/v2", "HorizontalPodAutoscaler", "podinfo-primary").await;
    assert_eq!(copy["metadata"]["labels"], json!({"team": "a"}));
    // Whatever is said of the original by the time of a promotion is said of the copy.
    let change = json!({"metadata": {"labels": {"team": "b"}}, "spec": {"maxReplicas": 5}});
    world.merge("autoscaling/v2", "HorizontalPodAutoscaler", "podinfo", change).await;
    world.set_image("podinfo:2").await;
    world.until("Succeeded").await;
    let copy = world.get("autoscaling/v2", "HorizontalPodAutoscaler", "podinfo-primary").await;
    assert_eq!(
        (&copy["metadata"]["labels"]["team"], &copy["spec"]["maxReplicas"]),
        (&json!("b"), &json!(5))
    );
}

#[tokio::test]
async fn an_autoscaler_of_keda_has_queries_and_an_autoscaler_of_its_own() {
    let trigger = |name: &str| json!({"type": "prometheus", "name": name, "metadata": {"query": "up{app=\"podinfo\"}"}});
    let keda = json!({
        "scaleTargetRef": {"name": "podinfo"}, "triggers": [trigger("rate"), trigger("other")],
        "advanced": {"horizontalPodAutoscalerConfig": {"name": "podinfo-hpa"}},
    });
    let mut keda = scaler("keda.sh/v1alpha1", "ScaledObject", keda);
    keda["metadata"]["annotations"]["autoscaling.keda.sh/paused-replicas"] = json!("0");
    let reference = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "podinfo",
        "primaryScalerQueries": {"rate": "mine"},
    });
    let spec = json!({"autoscalerRef": reference, "analysis": quick()});
    let objects = vec![keda, deployment("podinfo"), canary("flagger.app/v1beta1", spec)];
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;
    let copy = world.get("keda.sh/v1alpha1", "ScaledObject", "podinfo-primary").await;
    let metadata = &copy["metadata"];
    assert_eq!(
        (&metadata["labels"], &metadata["annotations"]["a"]),
        (&json!({"team": "a"}), &json!("b"))
    );
    assert!(
        metadata["annotations"].get("autoscaling.keda.sh/paused-replicas").is_none(),
        "{copy:#}"
    );
    assert_eq!(copy["spec"]["triggers"][0]["metadata"]["query"], "mine");
    assert_eq!(copy["spec"]["triggers"][1]["metadata"]["query"], "up{app=\"podinfo\"}");
    let own = &copy["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"];
    assert_eq!(own, "podinfo-hpa-primary");
}

#[tokio::test]
async fn ports_are_found_once_and_connections_match_by_theirs() {
    let mut workload = deployment("podinfo");
    let main = json!({"name": "main", "image": "podinfo:1", "ports": [
        {"name": "tcp", "containerPort": 9898}, {"name": "metrics", "containerPort": 9797}, {"containerPort": 9999},
    ]});
    let helper = json!({"name": "helper", "image": "helper:1", "ports": [{"name": "metrics", "containerPort": 9100}]});
    let proxy =
        json!({"name": "istio-proxy", "image": "proxy", "ports": [{"containerPort": 15090}]});
    workload["spec"]["template"]["spec"]["containers"] = json!([main, helper, proxy]);
    let service = json!({
        "port": 9898, "targetPort": "tcp", "portName": "tcp", "appProtocol": "TCP", "portDiscovery": true,
        "match": [{"port": 9898}],
    });
    let canary = canary("flagger.app/v1beta1", json!({"service": service, "analysis": quick()}));
    let mut world = World::new(vec![workload, canary], Receiver::start().await).await;
    world.initialise().await;
    let service = world.get("v1", "Service", "podinfo-canary").await;
    let ports = service["spec"]["ports"].as_array().unwrap().iter();
    let ports: Vec<String> =
        ports.map(|it| format!("{} {}", it["name"].as_str().unwrap(), it["port"])).collect();
    assert_eq!(ports, ["tcp 9898", "metrics 9797", "tcp-main-2 9999"]);
    let route = world.get(MESH, "VirtualService", "podinfo").await["spec"]["tcp"].clone();
    assert_eq!(route[0]["match"], json!([{"port": 9898}]));
    assert_eq!(route[0]["route"][0]["weight"], 100);
}

/// A pod that is ready, of a version.
async fn pod(world: &World, version: &str) {
    let labels = json!({"app": "podinfo", "version": version});
    let containers = json!([{"name": "main", "image": "podinfo"}]);
    world
        .create(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": version, "labels": labels},
            "spec": {"containers": containers},
        }))
        .await;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    world.merge_status("v1", "Pod", version, status).await;
}

async fn leads_to(world: &World, service: &str) -> String {
    let service = world.get("v1", "Service", service).await;
    service["spec"]["selector"]["version"].as_str().unwrap_or_default().to_owned()
}

async fn lead_to(world: &World, version: &str) {
    let selector = json!({"spec": {"selector": {"version": version}}});
    world.merge("v1", "Service", "podinfo", selector).await;
}

#[tokio::test]
async fn a_service_that_leads_elsewhere_is_released() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo", "labels": {"team": "a"}},
        "spec": {"selector": {"app": "podinfo", "version": "v1"}, "ports": [{"name": "http", "port": 9898}]},
    });
    let mut object =
        canary("flagger.app/v1beta1", json!({"analysis": quick(), "progressDeadlineSeconds": 60}));
    object["spec"]["targetRef"] = json!({"apiVersion": "v1", "kind": "Service", "name": "podinfo"});
    let mut world = World::new(vec![service, object], Receiver::start().await).await;
    for version in ["v1", "v2"] {
        pod(&world, version).await;
    }
    world.initialise().await;
    let copy = world.get("v1", "Service", "podinfo-primary").await;
    assert_eq!(
        (&copy["metadata"]["labels"]["team"], &copy["spec"]["ports"][0]["port"]),
        (&json!("a"), &json!(9898))
    );
    assert_eq!(copy["metadata"]["ownerReferences"][0]["kind"], "Canary");

    lead_to(&world, "v2").await;
    let seen = world.until("Promoting").await;
    assert_eq!(seen, ["Progressing 0", "Progressing 50", "Progressing 100", "Promoting 100"]);
    assert_eq!(leads_to(&world, "podinfo-canary").await, "v2");
    world.until("Succeeded").await;
    assert_eq!(leads_to(&world, "podinfo-primary").await, "v2");
    assert_eq!(leads_to(&world, "podinfo").await, "v2", "nobody but its author changes it");

    // Where there are no pods nobody is sent.
    lead_to(&world, "v3").await;
    let seen = world.until("Failed").await;
    assert!(seen.iter().all(|it| it.ends_with(" 0")), "{seen:?}");
    assert_eq!(leads_to(&world, "podinfo-primary").await, "v2");

    // What was promoted can be taken back while it is being promoted.
    pod(&world, "v4").await;
    lead_to(&world, "v4").await;
    world.until("Promoting").await;
    assert_eq!(leads_to(&world, "podinfo-primary").await, "v4");
    world.command("abort").await;
    world.until("Failed").await;
    assert_eq!(leads_to(&world, "podinfo-primary").await, "v2");
    assert_eq!(world.weights().await, (0, false));
}
