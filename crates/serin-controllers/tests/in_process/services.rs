//! Services, their EndpointSlices and Endpoints.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use serin_controllers::Settings;

use crate::cluster::{Cluster, set_ready};

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "nginx",
            "image": "nginx",
            "ports": [{"name": "web", "containerPort": 8080}],
        }]},
    })
}

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": spec})
}

const OF_WEB: &str = "kubernetes.io/service-name=web";

fn ready(slices: &[EndpointSlice]) -> usize {
    let all = slices.iter().flat_map(|slice| &slice.endpoints);
    all.filter(|it| it.conditions.as_ref().and_then(|it| it.ready) == Some(true)).count()
}

#[tokio::test]
async fn ready_pods_of_a_selector_stand_in_slices_and_endpoints() {
    let cluster = Cluster::start().await;
    cluster.ready_if(|_| false);
    let spec = json!({"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]});
    cluster.create::<Service>(service(spec)).await;
    let slices = cluster.until_all::<EndpointSlice>(OF_WEB, |slices| slices.len() == 1).await;
    assert!(slices[0].endpoints.is_empty(), "one stands for none");
    for name in ["a", "b"] {
        cluster.create::<Pod>(pod(name)).await;
        set_ready(&cluster.api(), name, name == "a").await;
    }
    let slices = cluster
        .until_all::<EndpointSlice>(OF_WEB, |slices| {
            slices.iter().map(|slice| slice.endpoints.len()).sum::<usize>() == 2
                && ready(slices) == 1
        })
        .await;
    let slice = serde_json::to_value(&slices[0]).unwrap();
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(
        slice["metadata"]["labels"],
        json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "web",
            "team": "a",
        })
    );
    let endpoints = cluster
        .until::<Endpoints>("web", |it| it["subsets"][0]["notReadyAddresses"].is_array())
        .await;
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["targetRef"]["name"], "a");
    assert_eq!(endpoints["subsets"][0]["notReadyAddresses"][0]["targetRef"]["name"], "b");
    cluster.delete::<Pod>("a").await;
    cluster.until_all::<EndpointSlice>(OF_WEB, |slices| ready(slices) == 0).await;
    cluster.delete::<Service>("web").await;
    cluster.until_all::<EndpointSlice>(OF_WEB, <[_]>::is_empty).await;
    cluster.until::<Endpoints>("web", Value::is_null).await;
}

#[tokio::test]
async fn a_service_without_a_selector_repeats_the_endpoints_that_somebody_wrote() {
    let cluster = Cluster::start().await;
    cluster.create::<Service>(service(json!({"ports": [{"port": 80}]}))).await;
    cluster
        .create::<Endpoints>(json!({
            "metadata": {"name": "web"},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 8080}]}],
        }))
        .await;
    let slices = cluster.until_all::<EndpointSlice>(OF_WEB, |slices| ready(slices) == 1).await;
    assert_eq!(slices[0].endpoints[0].addresses, ["192.0.2.1"]);
    let by = &slices[0].metadata.labels.as_ref().unwrap()["endpointslice.kubernetes.io/managed-by"];
    assert_eq!(by, "endpointslicemirroring-controller.k8s.io");
    cluster.delete::<Endpoints>("web").await;
    cluster.until_all::<EndpointSlice>(OF_WEB, |slices| ready(slices) == 0).await;
}

#[tokio::test]
async fn a_load_balancer_says_where_it_is_for_as_long_as_it_is_one() {
    let settings = Settings {
        load_balancer_address: Some(Arc::new(|_| vec!["127.0.0.1".parse().unwrap()])),
        ..Settings::default()
    };
    let cluster = Cluster::with(settings).await;
    let spec = json!({"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]});
    cluster.create::<Service>(service(spec)).await;
    let address = |it: &Value| it["status"]["loadBalancer"]["ingress"][0]["ip"].clone();
    cluster.until::<Service>("web", |it| address(it) == "127.0.0.1").await;
    cluster.patch::<Service>("web", json!({"spec": {"type": "ClusterIP"}})).await;
    cluster.until::<Service>("web", |it| address(it).is_null()).await;
}
