//! HorizontalPodAutoscalers, with metrics that the tests make up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use serin_controllers::Settings;

use crate::cluster::Cluster;

/// The group of metrics: every pod uses `use_of_each` thousandths of a core.
fn metrics(
    client: &Arc<std::sync::OnceLock<kube::Client>>,
    use_of_each: &Arc<AtomicU32>,
) -> serin_apiserver::LocalService {
    let (client, use_of_each) = (Arc::clone(client), Arc::clone(use_of_each));
    let serve = move |_request: Request<_>| {
        let client = client.get().cloned().unwrap();
        let amount = use_of_each.load(Ordering::Relaxed);
        async move {
            let pods: Api<Pod> = Api::default_namespaced(client);
            let pods = pods.list(&ListParams::default()).await.unwrap().items;
            let items: Vec<_> = pods
                .iter()
                .map(|pod| {
                    json!({
                        "metadata": {"name": pod.name_any(), "namespace": "default"},
                        "timestamp": jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1),
                        "window": "1s",
                        "containers": [{"name": "nginx", "usage": {"cpu": format!("{amount}m"), "memory": "1Mi"}}],
                    })
                })
                .collect();
            let list = json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items});
            let body = http_body_util::Full::from(list.to_string()).boxed_unsync();
            Ok::<_, Infallible>(
                Response::builder().header("content-type", "application/json").body(body).unwrap(),
            )
        }
    };
    tower::util::BoxCloneSyncService::new(tower::service_fn(serve))
}

fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let all = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|it| it["type"] == kind).unwrap_or(&Value::Null)
}

fn autoscaler() -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    })
}

fn deployment() -> Value {
    let mut object = crate::deployments::deployment(1);
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["resources"] = json!({"requests": {"cpu": "100m"}});
    object
}

#[tokio::test]
async fn a_deployment_follows_the_load() {
    let (client, load) = (Arc::default(), Arc::new(AtomicU32::new(100)));
    let server = serin_apiserver::Settings {
        aggregated: [("metrics.k8s.io/v1beta1".to_owned(), metrics(&client, &load))].into(),
        ..serin_apiserver::Settings::default()
    };
    let settings =
        Settings { autoscaling_interval: Duration::from_millis(50), ..Settings::default() };
    let cluster = Cluster::of(server, settings).await;
    drop(client.set(cluster.client.clone()));
    cluster.create::<Deployment>(deployment()).await;
    cluster.create::<HorizontalPodAutoscaler>(autoscaler()).await;
    let seen = cluster
        .until::<HorizontalPodAutoscaler>("web", |it| {
            condition(it, "ScalingLimited")["reason"] == "TooManyReplicas"
        })
        .await;
    let active = condition(&seen, "ScalingActive");
    assert_eq!(active["reason"], "ValidMetricFound");
    assert_eq!(
        active["message"],
        "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"
    );
    let current = &seen["status"]["currentMetrics"][0]["resource"]["current"];
    assert_eq!(current, &json!({"averageUtilization": 100, "averageValue": "100m"}));
    cluster.until::<Deployment>("web", |it| it["status"]["readyReplicas"] == 5).await;
    load.store(1, Ordering::Relaxed);
    cluster.until::<Deployment>("web", |it| it["spec"]["replicas"] == 1).await;
    let events = cluster
        .until_all::<Event>("", |events| {
            events.iter().filter(|it| it.reason.as_deref() == Some("SuccessfulRescale")).count() > 1
        })
        .await;
    let told: Vec<_> = events
        .into_iter()
        .filter(|it| it.reason.as_deref() == Some("SuccessfulRescale"))
        .filter_map(|it| it.message)
        .collect();
    let name = "cpu resource utilization (percentage of request)";
    assert!(told.contains(&format!("New size: 2; reason: {name} above target")), "{told:?}");
    assert!(told.contains(&"New size: 1; reason: All metrics below target".to_owned()), "{told:?}");
}

#[tokio::test]
async fn an_autoscaler_that_cannot_look_says_why() {
    let cluster = Cluster::start().await;
    cluster.create::<HorizontalPodAutoscaler>(autoscaler()).await;
    let seen = cluster
        .until::<HorizontalPodAutoscaler>("web", |it| !condition(it, "AbleToScale").is_null())
        .await;
    let able = condition(&seen, "AbleToScale");
    assert_eq!(able["reason"], "FailedGetScale");
    assert_eq!(
        able["message"],
        "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found"
    );
}
