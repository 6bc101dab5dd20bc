//! From an applied object to a proxy that decides by it.

use std::sync::Arc;

use serin_control::Role;

use crate::world::{INJECTED, LIMIT, World, objects, pod, reference, reviews, service};

fn mesh() -> String {
    let pods = [
        pod("default", "productpage", "productpage", "v1", "10.244.0.1"),
        pod("default", "reviews-v1", "reviews", "v1", "10.244.0.2"),
        pod("default", "reviews-v2", "reviews", "v2", "10.244.0.3"),
        pod("kube-system", "outsider", "outsider", "v1", "10.244.0.4"),
    ];
    let service = service("reviews", 9080, &["10.244.0.2", "10.244.0.3"]);
    format!("{INJECTED}{}{service}", pods.concat())
}

const V1: &str = "outbound|9080|v1|reviews.default.svc.cluster.local";
const V2: &str = "outbound|9080|v2|reviews.default.svc.cluster.local";

#[tokio::test]
async fn a_rule_is_live_on_every_proxy_of_the_mesh() {
    let world = World::new(&mesh()).await;
    let live = world.live(&reviews(20)).await;
    assert_eq!((live.live, live.proxies), (4, 4), "three pods and the gateway");
    for proxy in ["default/productpage", "default/reviews-v1"] {
        let way = world.way(proxy, "reviews:9080", "/").await;
        assert_eq!(way, [(V1.to_owned(), 80), (V2.to_owned(), 20)]);
    }
    world.live(&reviews(60)).await;
    let way = world.way("default/productpage", "reviews:9080", "/").await;
    assert_eq!(way, [(V1.to_owned(), 40), (V2.to_owned(), 60)]);
}

#[tokio::test]
async fn pods_of_a_namespace_share_a_model_until_a_rule_tells_them_apart() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    let (one, workload) = world.proxy("default/productpage").await;
    let (other, _) = world.proxy("default/reviews-v1").await;
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(workload.role, Role::Sidecar);
    assert_eq!(workload.addresses, ["10.244.0.1".parse::<std::net::IpAddr>().unwrap()]);
    let by_source = reviews(20)
        .replace("- route:", "- match: [{sourceLabels: {app: productpage}}]\n    route:");
    world.live(&by_source).await;
    let v2 = |way: Vec<(String, u32)>| way.iter().any(|(cluster, _)| cluster == V2);
    assert!(v2(world.way("default/productpage", "reviews:9080", "/").await));
    assert!(!v2(world.way("default/reviews-v1", "reviews:9080", "/").await));
}

#[tokio::test]
async fn what_a_change_does_not_reach_is_not_published_again() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    world.recorder.publications.lock().unwrap().clear();
    world.live(&reviews(40)).await;
    let published: Vec<String> =
        world.recorder.publications.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(published, ["default/productpage", "default/reviews-v1", "default/reviews-v2"]);
}

#[tokio::test]
async fn an_object_is_not_live_while_a_proxy_does_not_answer() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    world.recorder.hold("default/productpage");
    let rule = world.apply(&reviews(30)).await;
    let generation = rule["metadata"]["generation"].as_i64().unwrap();
    world
        .recorder
        .until(|it| {
            let (model, _) = it.of("default/reviews-v1")?;
            let way = crate::world::way(
                &model,
                serin_routing::model::Direction::Outbound,
                "reviews:9080",
                "/",
            );
            (way[1].1 == 30).then_some(())
        })
        .await;
    let live = world.control.live(&reference(&rule)).unwrap();
    assert_eq!(live.generation, generation);
    let waiting: Vec<String> = live.waiting.iter().map(ToString::to_string).collect();
    assert!(waiting.contains(&"default/productpage".to_owned()), "{waiting:?}");
    // A proxy that is slow holds up nobody else, and gets what is newest.
    world.apply(&reviews(35)).await;
    world.recorder.release();
    world.live(&reviews(50)).await;
    let way = world.way("default/productpage", "reviews:9080", "/").await;
    assert_eq!(way[1].1, 50);
}

#[tokio::test]
async fn a_pod_outside_of_the_mesh_gets_plain_balancing() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    let (model, workload) = world.proxy("kube-system/outsider").await;
    assert_eq!(workload.role, Role::Plain);
    assert!(model.route_tables.is_empty());
    let cluster = &model.endpoints["plain|9080||reviews.default.svc.cluster.local"];
    assert_eq!(cluster.localities[0].endpoints.len(), 2);
}

#[tokio::test]
async fn a_pod_that_is_gone_is_retired_and_its_address_is_removed_everywhere() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    let address = "10.244.0.3".parse().unwrap();
    let limit = std::time::Duration::from_millis(1);
    assert!(world.control.await_removed(address, limit).await.unwrap_err().senders.is_none());
    let waiting = world.control.await_removed(address, LIMIT);
    let without = service("reviews", 9080, &["10.244.0.2"]);
    let change = world.apply(&without);
    let (removed, _) = tokio::join!(waiting, change);
    removed.unwrap();
    let (model, _) = world.proxy("default/productpage").await;
    let endpoints = &model.endpoints["outbound|9080||reviews.default.svc.cluster.local"];
    assert_eq!(endpoints.localities[0].endpoints.len(), 1);
    let pods = objects(&pod("default", "reviews-v2", "reviews", "v2", "10.244.0.3"));
    world.delete(&reference(&pods[0])).await;
    world.recorder.until(|it| it.of("default/reviews-v2").is_none().then_some(())).await;
}
