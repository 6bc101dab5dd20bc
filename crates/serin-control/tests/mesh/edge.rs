//! The ingress gateway, Gateways of both kinds, and Services for users outside.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use serin_control::{Problem, Role, Settings, bootstrap};
use serin_routing::model::Direction;

use crate::world::{INJECTED, World, pod, reference, service, way};

const GATEWAY: &str = "gateway istio-system/istio-ingressgateway";

/// A Service, a Gateway of Istio's and a rule at it.
fn bookinfo(port: u16) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: bookinfo, namespace: default}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bookinfo, namespace: default}}
spec: {{hosts: ['*'], gateways: [bookinfo], http: [{{route: [{{destination: {{host: productpage}}}}]}}]}}
---
"
    )
}

fn mesh() -> String {
    let pod = pod("default", "productpage", "productpage", "v1", "10.244.0.1");
    format!("{INJECTED}{pod}{}", service("productpage", 9080, &["10.244.0.1"]))
}

async fn world() -> World {
    let world = World::new(&mesh()).await;
    bootstrap(&world.client, &Settings::default()).await.unwrap();
    // Twice is as good as once.
    bootstrap(&world.client, &Settings::default()).await.unwrap();
    world
}

fn service_of(namespace: &str, name: &str) -> serin_api::ObjectRef {
    reference(
        &serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name}}),
    )
}

const PRODUCTPAGE: &str = "outbound|9080||productpage.default.svc.cluster.local";

#[tokio::test]
async fn a_gateway_at_port_80_or_8080_is_reached_at_port_80() {
    for port in [80, 8080] {
        let world = world().await;
        world.live(&bookinfo(port)).await;
        let expect: [SocketAddr; 2] =
            ["127.0.0.1:80".parse().unwrap(), "127.0.15.1:8080".parse().unwrap()];
        let (model, workload) = world
            .recorder
            .until(|it| {
                it.of(GATEWAY).filter(|(_, workload)| {
                    let addresses = workload.sockets.iter().map(|it| it.address);
                    addresses.filter(|it| expect.contains(it)).count() == 2
                })
            })
            .await;
        assert_eq!(workload.role, Role::Gateway);
        assert!(
            workload.sockets.iter().all(|it| [8080, 15021].contains(&it.listener.port())),
            "{:?}",
            workload.sockets
        );
        let way = way(&model, Direction::Gateway, "example.com:8080", "/");
        assert_eq!(way, [(PRODUCTPAGE.to_owned(), 100)]);
    }
}

#[tokio::test]
async fn gateways_whose_port_is_taken_say_so_until_it_is_free() {
    let world = world().await;
    let message = "cannot listen on 127.0.0.1:80: it is taken".to_owned();
    let taken = Problem { listener: Some("0.0.0.0:8080".parse().unwrap()), message };
    world.recorder.lack(vec![taken]);
    let of_istio = crate::world::objects(&bookinfo(80)).remove(0);
    let of_istio = crate::world::apply(&world.client, &of_istio).await;
    let standard = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
";
    let standard = crate::world::objects(standard).remove(0);
    let standard = crate::world::apply(&world.client, &standard).await;
    world.condition(&of_istio, "Live", "False").await;
    world.condition(&standard, "Live", "False").await;
    world.condition(&standard, "Programmed", "False").await;
    let status = world.get(&reference(&of_istio)).await["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let live = conditions.iter().find(|it| it["type"] == "Live").unwrap();
    assert_eq!(live["reason"], "PortUnavailable");
    assert_eq!(live["message"], "cannot listen on 127.0.0.1:80: it is taken");
    world.recorder.lack(Vec::new());
    world.condition(&of_istio, "Live", "True").await;
    world.condition(&standard, "Programmed", "True").await;
}

#[tokio::test]
async fn a_gateway_on_the_port_of_its_service_is_not_warned_of() {
    let world = world().await;
    for object in crate::world::objects(&bookinfo(80)) {
        let object = crate::world::apply(&world.client, &object).await;
        world.condition(&object, "Resolved", "True").await;
        let status = world.get(&reference(&object)).await["status"].clone();
        assert_eq!(status["validationMessages"], serde_json::json!([]), "{status:#}");
    }
}

#[tokio::test]
async fn a_gateway_tells_that_it_is_ready_where_istios_do() {
    let world = world().await;
    let (model, workload) = world.proxy(GATEWAY).await;
    let reached = workload.sockets.iter().map(|it| it.address.to_string());
    assert!(reached.collect::<Vec<_>>().contains(&"127.0.0.1:15021".to_owned()));
    assert!(model.listeners.values().any(|it| it.port == 15021));
}

#[tokio::test]
async fn a_gateway_of_the_gateway_api_is_programmed_with_an_address() {
    let world = world().await;
    let manifests = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: page, namespace: default}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: productpage, port: 9080}]}]}
";
    let mut objects = crate::world::objects(manifests).into_iter();
    let gateway = crate::world::apply(&world.client, &objects.next().unwrap()).await;
    let route = crate::world::apply(&world.client, &objects.next().unwrap()).await;
    world.condition(&gateway, "Programmed", "True").await;
    world.condition(&gateway, "Live", "True").await;
    let status = world.get(&reference(&gateway)).await["status"].clone();
    assert_eq!(
        status["addresses"],
        serde_json::json!([{"type": "IPAddress", "value": "127.0.0.1"}])
    );
    world.condition(&route, "Live", "True").await;
    let status = world.get(&reference(&route)).await["status"].clone();
    let conditions = status["parents"][0]["conditions"].as_array().unwrap().iter();
    let conditions: Vec<_> =
        conditions.map(|it| (it["type"].as_str(), it["status"].as_str())).collect();
    assert_eq!(
        conditions,
        [(Some("Accepted"), Some("True")), (Some("ResolvedRefs"), Some("True"))]
    );
    let (model, _) = world.proxy(GATEWAY).await;
    assert_eq!(
        way(&model, Direction::Gateway, "example.com:8080", "/"),
        [(PRODUCTPAGE.to_owned(), 100)]
    );
    let made = world.get(&service_of("default", "edge-istio")).await;
    assert_eq!(made["status"]["loadBalancer"]["ingress"][0]["ip"], "127.0.0.1");
    assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "edge");
}

fn exposed(name: &str, kind: &str, port: u16) -> String {
    let selector = format!(
        "spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}, targetPort: 8080}}]}}"
    );
    let typed = selector.replace("spec: {", &format!("spec: {{type: {kind}, "));
    service(name, port, &["10.244.0.1"]).replace(&selector, &typed)
}

#[tokio::test]
async fn users_outside_reach_node_ports_and_load_balancers() {
    let world = world().await;
    world.apply(&exposed("one", "LoadBalancer", 8000)).await;
    world.apply(&exposed("two", "LoadBalancer", 8000)).await;
    world.apply(&exposed("three", "NodePort", 8000)).await;
    let address = async |name: &str| -> String {
        let object: Value = world.get(&service_of("default", name)).await;
        object["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap_or_default().to_owned()
    };
    let node_port: Value = world.get(&service_of("default", "three")).await;
    let node_port = node_port["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let expect = [
        "127.0.0.1_8000".to_owned(),
        "127.0.0.2_8000".to_owned(),
        format!("127.0.0.1_{node_port}"),
    ];
    let (model, workload) = world
        .recorder
        .until(|it| {
            it.of("node node").filter(|(model, _)| {
                expect.iter().all(|name| model.listeners.contains_key(&**name))
            })
        })
        .await;
    assert_eq!(workload.role, Role::Node);
    let clusters: Vec<&str> = model.clusters.keys().map(|it| &**it).collect();
    assert_eq!(
        clusters,
        ["one", "three", "two"].map(|it| format!("plain|8000||{it}.default.svc.cluster.local"))
    );
    // The statuses follow the push.
    let mut addresses = [address("one").await, address("two").await];
    while addresses.iter().any(String::is_empty) {
        tokio::task::yield_now().await;
        addresses = [address("one").await, address("two").await];
    }
    let parsed: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
    assert_ne!(parsed[0], parsed[1]);
}
