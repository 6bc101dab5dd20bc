use std::net::IpAddr;

use serde_json::{Value as Json, json};
use serin_api::core::Pod;
use serin_api::security::PeerAuthentication;
use serin_routing::authorization::{Caller, Verdict};
use serin_routing::request::RequestParts;

use super::*;

const POD: &str = "10.244.0.9";

fn pod() -> Object<Pod> {
    let labels = json!({"app": "reviews", "security.istio.io/tlsMode": "istio"});
    let object = json!({
        "metadata": {"name": "reviews-1", "namespace": "shop", "labels": labels},
        "spec": {}, "status": {"phase": "Running", "podIP": POD},
    });
    Object::from_value(&object).unwrap()
}

fn policy(namespace: &str, name: &str, spec: &Json) -> Json {
    json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

#[test]
fn tokens_are_those_of_the_request_authentications_that_select_the_workload() {
    let keys = r#"{"keys": [{"kty": "oct", "k": "AQAB"}]}"#;
    let issuers = |policies: &[(&str, Json)]| {
        let mut objects = Objects::default();
        objects.pods.push(Arc::new(pod()));
        for (namespace, spec) in policies {
            let object = policy(namespace, "p", spec);
            objects.request_authentications.push(Arc::new(Object::from_value(&object).unwrap()));
        }
        let inbound = inbound(&Snapshot::new(objects, Settings::default()));
        let tokens = inbound.and_then(|it| it.authorization.as_ref()?.tokens.clone());
        let names: Option<Vec<String>> =
            tokens.map(|it| it.issuers.iter().map(|it| it.name.to_string()).collect());
        names.unwrap_or_default()
    };
    let rule = |issuer: &str, app: &str| {
        let rules = json!([{"issuer": issuer, "jwks": keys}]);
        json!({"selector": {"matchLabels": {"app": app}}, "jwtRules": rules})
    };
    let all = [
        ("shop", rule("b", "reviews")),
        ("istio-system", rule("a", "reviews")),
        ("shop", rule("c", "ratings")),
        ("other", rule("d", "reviews")),
    ];
    assert_eq!(issuers(&all), ["a", "b"]);
    assert_eq!(issuers(&all[2..]), Vec::<String>::new());
}

#[test]
fn a_policy_that_is_attached_to_a_gateway_is_asked_at_its_ports_and_by_no_pod() {
    let gateway = |name: &str, port: u16| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]},
        })
    };
    let mut objects = Objects::default();
    objects.pods.push(Arc::new(pod()));
    for (name, port) in [("one", 81), ("two", 82)] {
        objects
            .kubernetes_gateways
            .push(Arc::new(Object::from_value(&gateway(name, port)).unwrap()));
    }
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "one"});
    for (name, spec) in
        [("new", json!({"targetRefs": [target]})), ("old", json!({"targetRef": target}))]
    {
        let object = policy("shop", name, &spec);
        objects.authorization_policies.push(Arc::new(Object::from_value(&object).unwrap()));
    }
    let snapshot = Snapshot::new(objects, Settings::default());
    assert_eq!(inbound(&snapshot), None);
    let mut proxy = Proxy::new(ProxyKind::Gateway, "istio-system", BTreeMap::new());
    proxy.serves_every_gateway = true;
    let model = crate::translate(&snapshot, &proxy).model;
    assert_eq!(
        model.authorization.keys().collect::<Vec<_>>(),
        [&81],
        "{:?}",
        model.listeners.keys().collect::<Vec<_>>()
    );
}

#[test]
fn a_gateway_without_labels_of_its_own_keeps_the_policies_for_the_gateways_that_it_serves() {
    let asked = |label: &str| {
        let gateway = json!({
            "metadata": {"name": "edge", "namespace": "shop"},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [
                {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
        });
        let mut objects = Objects::default();
        objects.gateways.push(Arc::new(Object::from_value(&gateway).unwrap()));
        let spec = json!({"selector": {"matchLabels": {"istio": label}}});
        let object = policy("istio-system", "p", &spec);
        objects.authorization_policies.push(Arc::new(Object::from_value(&object).unwrap()));
        let mut proxy = Proxy::new(ProxyKind::Gateway, "default", BTreeMap::new());
        proxy.serves_every_gateway = true;
        let snapshot = Snapshot::new(objects, Settings::default());
        !crate::translate(&snapshot, &proxy).model.authorization.is_empty()
    };
    assert!(asked("ingressgateway") && !asked("egressgateway"));
}

fn snapshot(authorization: &[Json], peers: &[Json], settings: Settings) -> Snapshot {
    let mut objects = Objects::default();
    objects.pods.push(Arc::new(pod()));
    for policy in authorization {
        let policy: Object<AuthorizationPolicy> = Object::from_value(policy).unwrap();
        objects.authorization_policies.push(Arc::new(policy));
    }
    for policy in peers {
        let policy: Object<PeerAuthentication> = Object::from_value(policy).unwrap();
        objects.peer_authentications.push(Arc::new(policy));
    }
    Snapshot::new(objects, settings)
}

fn inbound(snapshot: &Snapshot) -> Option<Arc<Inbound>> {
    snapshot.inbounds().get(&POD.parse::<IpAddr>().unwrap()).cloned()
}

/// Whether a `GET /` of `principal` comes in under these policies of the namespace `shop`, as each has an action.
#[track_caller]
fn check(policies: &[Json], principal: &str, expect: bool) {
    let all: Vec<Json> = policies.iter().map(|spec| policy("shop", "p", spec)).collect();
    let snapshot = snapshot(&all, &[], Settings::default());
    assert_eq!(comes_in(&snapshot, principal), expect);
}

fn comes_in(snapshot: &Snapshot, principal: &str) -> bool {
    let caller = Caller {
        principal: Some(principal),
        destination: Some(format!("{POD}:9080").parse().unwrap()),
        ..Caller::default()
    };
    let request = RequestParts::get("reviews", "/");
    inbound(snapshot).is_none_or(|it| it.admits(&caller, Some(&request)) == Verdict::Allowed)
}

const WEB: &str = "cluster.local/ns/shop/sa/web";

#[test]
fn a_value_that_cannot_be_read_fits_nothing_rather_than_everything() {
    for rule in [
        json!({"from": [{"source": {"ipBlocks": ["10.0.0.0/99"]}}]}),
        json!({"to": [{"operation": {"ports": ["http"]}}]}),
        json!({"when": [{"key": "destination.ip", "values": ["here"]}]}),
    ] {
        check(&[json!({"rules": [rule]})], WEB, false);
    }
}

#[test]
fn actions_are_as_istios() {
    let from_web = json!([{"from": [{"source": {"principals": [WEB]}}]}]);
    check(&[], WEB, true);
    check(&[json!({})], WEB, false);
    check(&[json!({"rules": [{}]})], WEB, true);
    check(&[json!({"rules": from_web})], WEB, true);
    check(&[json!({"rules": from_web})], "cluster.local/ns/shop/sa/other", false);
    check(&[json!({"action": "DENY", "rules": from_web})], WEB, false);
    check(&[json!({"action": "DENY", "rules": from_web}), json!({"rules": [{}]})], WEB, false);
    check(&[json!({"action": "AUDIT", "rules": from_web})], "somebody", true);
    let custom = json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": from_web});
    check(std::slice::from_ref(&custom), WEB, false);
    check(&[custom], "somebody", true);
}

#[test]
fn policies_are_the_namespaces_and_the_meshs_with_a_selector_that_fits() {
    let nothing = |namespace: &str, selector: Json| {
        let spec = json!({"selector": selector});
        let snapshot = snapshot(&[policy(namespace, "p", &spec)], &[], Settings::default());
        !comes_in(&snapshot, WEB)
    };
    assert!(nothing("shop", Json::Null));
    assert!(nothing("istio-system", Json::Null));
    assert!(!nothing("other", Json::Null));
    assert!(nothing("shop", json!({"matchLabels": {"app": "reviews"}})));
    assert!(!nothing("shop", json!({"matchLabels": {"app": "ratings"}})));
    assert!(nothing("istio-system", json!({"matchLabels": {"app": "reviews"}})));
}

#[test]
fn a_policy_that_is_only_tried_decides_nothing() {
    let mut tried = policy("shop", "p", &json!({}));
    tried["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
    assert_eq!(inbound(&snapshot(&[tried], &[], Settings::default())), None);
}

#[test]
fn the_local_trust_domain_stands_for_the_meshs_own_and_its_other_names() {
    let mesh = serin_api::mesh_config::MeshConfig {
        trust_domain: "new.example".to_owned(),
        trust_domain_aliases: vec!["old.example".to_owned()],
        ..Default::default()
    };
    let settings = Settings { mesh: Arc::new(mesh), ..Settings::default() };
    let spec = json!({"rules": [{"from": [{"source": {"principals": [WEB]}}]}]});
    let snapshot = snapshot(&[policy("shop", "p", &spec)], &[], settings);
    assert!(comes_in(&snapshot, "new.example/ns/shop/sa/web"));
    assert!(comes_in(&snapshot, "old.example/ns/shop/sa/web"));
    assert!(!comes_in(&snapshot, "else.example/ns/shop/sa/web"));
}

#[test]
fn accounts_are_those_of_the_policys_namespace_unless_they_name_one() {
    let allows = |account: &str| {
        let spec = json!({"rules": [{"from": [{"source": {"serviceAccounts": [account]}}]}]});
        comes_in(&snapshot(&[policy("shop", "p", &spec)], &[], Settings::default()), WEB)
    };
    assert!(allows("web") && allows("shop/web"));
    assert!(!allows("other/web") && !allows("we"));
}

#[test]
fn conditions_are_on_what_their_keys_name() {
    let allows = |key: &str, value: &str| {
        let spec = json!({"rules": [{"when": [{"key": key, "values": [value]}]}]});
        comes_in(&snapshot(&[policy("shop", "p", &spec)], &[], Settings::default()), WEB)
    };
    assert!(allows("destination.port", "9080"));
    assert!(allows("destination.ip", "10.244.0.0/16"));
    assert!(allows("destination.ip", POD));
    assert!(allows("source.namespace", "shop"));
    assert!(!allows("source.namespace", "other"));
    assert!(!allows("request.headers[X-User]", "ann"));
    assert!(!allows("request.auth.claims[iss]", "*"));
}

#[test]
fn strict_ports_are_those_of_peer_authentications() {
    let peers = json!({
        "selector": {"matchLabels": {"app": "reviews"}},
        "mtls": {"mode": "STRICT"},
        "portLevelMtls": {"9081": {"mode": "DISABLE"}},
    });
    let snapshot = snapshot(&[], &[policy("shop", "p", &peers)], Settings::default());
    let inbound = inbound(&snapshot).unwrap();
    assert!(inbound.is_strict(9080) && !inbound.is_strict(9081));
}

#[test]
fn what_has_not_changed_is_the_same_again() {
    let settings = Settings::default();
    let before = snapshot(&[policy("shop", "p", &json!({}))], &[], settings.clone());
    let again = inbounds(before.objects(), &settings, Some(&before));
    assert!(Arc::ptr_eq(&again, before.inbounds()));
}
