//! The other ways from no traffic to all, and what they make of the routes.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{NAMESPACE, World, canary, deployment};

async fn rules(world: &World, name: &str) -> Value {
    world.get("networking.istio.io/v1beta1", "VirtualService", name).await["spec"]["http"].clone()
}

#[tokio::test]
async fn blue_green_iterates_then_routes_all() {
    let mut world =
        World::flagger(json!({"interval": "10s", "threshold": 2, "iterations": 2})).await;
    world.set_image("podinfo:2").await;
    let seen = world.until("Succeeded").await;
    assert_eq!(
        seen,
        [
            "Progressing 0",
            "Progressing 0",
            "Progressing 0",
            "Progressing 100",
            "Promoting 100",
            "Finalising 0",
            "Succeeded 0"
        ]
    );
}

#[tokio::test]
async fn blue_green_with_a_mirror_copies_requests_while_it_iterates() {
    let analysis = json!({"interval": "10s", "threshold": 2, "iterations": 2, "mirror": true, "mirrorWeight": 50});
    let mut world = World::flagger(analysis).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.shown().await, "Progressing 0 m");
    let rule = rules(&world, "podinfo").await[0].clone();
    assert_eq!(rule["mirror"]["host"], "podinfo-canary");
    assert_eq!(rule["mirrorPercentage"]["value"].as_f64(), Some(50.0));
    assert_eq!(*world.until("Succeeded").await.last().unwrap(), "Succeeded 0");
}

#[tokio::test]
async fn a_b_testing_routes_those_who_match() {
    let matches = json!([{"headers": {"x-canary": {"exact": "insider"}}}]);
    let mut world = World::flagger(
        json!({"interval": "10s", "threshold": 2, "iterations": 2, "match": matches}),
    )
    .await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    let rules = rules(&world, "podinfo").await;
    assert_eq!(rules[0]["match"], matches);
    assert_eq!(
        rules[0]["route"][1],
        json!({"destination": {"host": "podinfo-canary"}, "weight": 100})
    );
    assert_eq!(
        rules[1]["route"][0],
        json!({"destination": {"host": "podinfo-primary"}, "weight": 100})
    );
    assert_eq!(*world.until("Succeeded").await.last().unwrap(), "Succeeded 0");
}

#[tokio::test]
async fn mirroring_goes_before_the_steps_in_one_run() {
    let analysis = json!({
        "interval": "10s", "threshold": 2, "mirror": true, "iterations": 2, "stepWeights": [20, 60, 100],
    });
    let canary = canary("serin.dev/v1alpha1", json!({"analysis": analysis}));
    let mut world = World::new(vec![deployment("podinfo"), canary], Receiver::start().await).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    let seen = world.until("Succeeded").await;
    assert_eq!(
        seen,
        [
            "Progressing 0",
            "Progressing 0 m",
            "Progressing 0 m",
            "Progressing 20",
            "Progressing 60",
            "Progressing 100",
            "Promoting 100",
            "Finalising 0",
            "Succeeded 0"
        ]
    );
}

#[tokio::test]
async fn users_keep_their_version_and_are_free_at_the_end() {
    let affinity = json!({"cookieName": "flagger-cookie", "maxAge": 60});
    let analysis =
        json!({"interval": "10s", "threshold": 2, "stepWeight": 50, "sessionAffinity": affinity});
    let mut world = World::flagger(analysis).await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    let rules = rules(&world, "podinfo").await;
    let cookie =
        world.canary().await["status"]["sessionAffinityCookie"].as_str().unwrap().to_owned();
    assert!(cookie.starts_with("flagger-cookie="), "{cookie}");
    let sticky = &rules[0];
    assert_eq!(sticky["route"][1]["weight"], 100);
    let set = rules[1]["route"][1]["headers"]["response"]["add"]["Set-Cookie"].as_str().unwrap();
    assert_eq!(set, format!("{cookie}; Max-Age=60"));
    world.until("Succeeded").await;
    let status = world.canary().await["status"].clone();
    assert_eq!(status["previousSessionAffinityCookie"], json!(cookie));
    assert!(status.get("sessionAffinityCookie").is_none_or(Value::is_null));
    let rules = self::rules(&world, "podinfo").await;
    let expired = rules[0]["headers"]["response"]["add"]["Set-Cookie"].as_str().unwrap();
    assert_eq!(expired, format!("{cookie}; Max-Age=-1"));
}

#[tokio::test]
async fn without_routes_the_service_leads_to_the_one_or_the_other() {
    let spec = json!({"provider": "kubernetes", "analysis": {"interval": "10s", "threshold": 1, "iterations": 2}});
    let canary = canary("flagger.app/v1beta1", spec);
    let mut world = World::new(vec![deployment("podinfo"), canary], Receiver::start().await).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
    assert!(world.list("networking.istio.io/v1beta1", "VirtualService").await.is_empty());
    let service = world.get("v1", "Service", "podinfo").await;
    assert_eq!(service["spec"]["selector"]["app"], "podinfo-primary");
}

#[tokio::test]
async fn tcp_connections_are_shared_by_weight() {
    let spec = json!({
        "service": {"port": 9898, "appProtocol": "TCP"},
        "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 50},
    });
    let canary = canary("flagger.app/v1beta1", spec);
    let mut world = World::new(vec![deployment("podinfo"), canary], Receiver::start().await).await;
    world.initialise().await;
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    let route = world.get("networking.istio.io/v1beta1", "VirtualService", "podinfo").await;
    let expect = json!([
        {"destination": {"host": "podinfo-primary"}, "weight": 50},
        {"destination": {"host": "podinfo-canary"}, "weight": 50},
    ]);
    assert_eq!(route["spec"]["tcp"][0]["route"], expect);
    world.until("Succeeded").await;
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
}

/// Two Deployments of one application, a DestinationRule with their subsets, and the user's own VirtualService.
pub(crate) async fn subsets(spec: Value) -> World {
    let versioned = |version: &str| {
        let mut object = deployment("reviews");
        object["metadata"]["name"] = json!(format!("reviews-{version}"));
        let labels = json!({"app": "reviews", "version": version});
        object["spec"]["selector"]["matchLabels"] = labels.clone();
        object["spec"]["template"]["metadata"]["labels"] = labels;
        object
    };
    let pod = |version: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("reviews-{version}-1"), "labels": {"app": "reviews", "version": version}},
            "spec": {"containers": [{"name": "main", "image": "reviews"}]},
        })
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews"},
        "spec": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}]},
    });
    let rule = json!({
        "apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule", "metadata": {"name": "reviews"},
        "spec": {"host": "reviews", "subsets": [
            {"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}},
        ]},
    });
    let route = json!({
        "apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "reviews-route"},
        "spec": {"hosts": ["reviews"], "http": [
            {"match": [{"headers": {"end-user": {"exact": "jason"}}}],
             "route": [{"destination": {"host": "reviews", "subset": "v2"}}]},
            {"timeout": "5s", "route": [{"destination": {"host": "reviews", "subset": "v1"}}]},
        ]},
    });
    let mut canary = canary("serin.dev/v1alpha1", spec);
    canary["metadata"]["name"] = json!("reviews");
    canary["spec"]["targetRef"]["name"] = json!("reviews");
    canary["spec"]["service"]["port"] = json!(9080);
    let objects =
        vec![versioned("v1"), versioned("v2"), pod("v1"), pod("v2"), service, rule, route, canary];
    let world = World::new(objects, Receiver::start().await).await;
    for version in ["v1", "v2"] {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        world.merge_status("v1", "Pod", &format!("reviews-{version}-1"), ready).await;
    }
    world
}

#[tokio::test]
async fn two_subsets_are_shifted_in_the_users_own_routes() {
    let analysis = json!({"interval": "10s", "threshold": 1, "stepWeights": [30, 100],
        "sessionAffinity": {"cookieName": "reviews-cookie"}});
    let versions = json!({"primary": "v1", "canary": "v2", "virtualService": "reviews-route"});
    let mut world = subsets(json!({"versions": versions, "analysis": analysis})).await;
    let mut weights = Vec::new();
    for _ in 0..8 {
        world.tick().await;
        let rules = rules(&world, "reviews-route").await;
        let last = rules.as_array().unwrap().last().unwrap().clone();
        // The user's test rule and settings stay.
        assert_eq!(rules[0]["match"][0]["headers"]["end-user"]["exact"], "jason");
        assert_eq!(last["timeout"], "5s");
        weights.push(last["route"][1]["weight"].as_i64().unwrap_or(0));
        if world.phase().await == "Succeeded" {
            break;
        }
    }
    assert_eq!(world.phase().await, "Succeeded");
    weights.dedup();
    assert_eq!(weights, [0, 30, 100]);
    // Users are free again: the cookie is taken away where it is met, and there is no sticky rule left.
    let rules = rules(&world, "reviews-route").await;
    assert_eq!(rules.as_array().unwrap().len(), 3);
    assert!(
        rules[1]["headers"]["response"]["add"]["Set-Cookie"]
            .as_str()
            .unwrap()
            .ends_with("; Max-Age=-1; Path=/")
    );
    // Nothing was made that such a release does not need.
    assert!(world.get("apps/v1", "Deployment", "reviews-primary").await.is_null());
    assert_eq!(world.list("v1", "Service").await.len(), 1, "{NAMESPACE}");
}

#[tokio::test]
async fn a_subset_that_is_not_defined_is_told() {
    let versions = json!({"primary": "v1", "canary": "v3", "virtualService": "reviews-route"});
    let analysis = json!({"interval": "10s", "threshold": 1, "stepWeight": 50});
    let mut world = subsets(json!({"versions": versions, "analysis": analysis})).await;
    world.tick().await;
    world.tick().await;
    assert_eq!(
        world.events().await,
        [
            "no DestinationRule of the host reviews in test has the subset v3, which spec.versions names"
        ]
    );
}

#[tokio::test]
async fn a_release_through_the_gateway_api_sets_an_http_route() {
    let service = json!({
        "port": 9898, "hosts": ["www.example.com"], "gatewayRefs": [{"name": "gateway", "namespace": "ingress"}],
    });
    let analysis = json!({
        "interval": "10s", "threshold": 2, "maxWeight": 50, "stepWeight": 25,
        "sessionAffinity": {"cookieName": "who"},
    });
    let spec = json!({"provider": "gatewayapi:v1", "service": service, "analysis": analysis});
    let objects = vec![deployment("podinfo"), canary("flagger.app/v1beta1", spec)];
    let mut world = World::new(objects, Receiver::start().await).await;
    world.initialise().await;
    let route = async |world: &World| {
        world.get("gateway.networking.k8s.io/v1", "HTTPRoute", "podinfo").await
    };
    let weights = |route: &Value| {
        let rule = route["spec"]["rules"].as_array().unwrap().last().unwrap().clone();
        let of = |index: usize| {
            let to = &rule["backendRefs"][index];
            format!("{}={}", to["name"].as_str().unwrap(), to["weight"])
        };
        [of(0), of(1)].join(" ")
    };
    let first = route(&world).await;
    assert_eq!(weights(&first), "podinfo-primary=100 podinfo-canary=0");
    assert_eq!(first["spec"]["hostnames"], json!(["www.example.com"]));
    assert_eq!(first["spec"]["parentRefs"][0]["namespace"], "ingress");
    assert!(rules(&world, "podinfo").await.is_null(), "there is no VirtualService");
    world.set_image("podinfo:2").await;
    world.tick().await;
    world.tick().await;
    assert_eq!(weights(&route(&world).await), "podinfo-primary=75 podinfo-canary=25");
    // What someone else writes is set back.
    let stranger =
        json!({"spec": {"rules": [{"backendRefs": [{"name": "podinfo-canary", "port": 9898}]}]}});
    world.merge("gateway.networking.k8s.io/v1", "HTTPRoute", "podinfo", stranger).await;
    world.turn().await;
    assert_eq!(weights(&route(&world).await), "podinfo-primary=75 podinfo-canary=25");
    let sticky = route(&world).await["spec"]["rules"][0].clone();
    assert_eq!(sticky["backendRefs"][1]["weight"], 100);
    assert_eq!(*world.until("Succeeded").await.last().unwrap(), "Succeeded -1");
    assert_eq!(weights(&route(&world).await), "podinfo-primary=100 podinfo-canary=0");
    let gone = route(&world).await["spec"]["rules"][0].to_string();
    assert!(gone.contains("Max-Age=-1"), "users are free again: {gone}");
    assert_eq!(world.image("podinfo-primary").await, "podinfo:2");
}
