use super::*;
use crate::testing::{service, snapshot};

fn balanced(name: &str, port: u16, more: &str) -> String {
    let spec = format!(
        "type: LoadBalancer, clusterIP: 10.96.0.9, ports: [{{name: http, port: {port}, nodePort: 30001}}]"
    );
    let whole = service(name, &spec, &["10.244.0.1"]);
    match more {
        "" => whole,
        ip => whole.replacen(
            "}}\n---",
            &format!("}}, status: {{loadBalancer: {{ingress: [{{ip: {ip}}}]}}}}}}\n---"),
            1,
        ),
    }
}

/// The addresses of load balancers, by name.
fn check(objects: &[String], first: Option<&str>, expect: &[(&str, &str)]) {
    let settings = Settings {
        load_balancer_address: first.map(|it| it.parse().unwrap()),
        ..Settings::default()
    };
    let assigned = assign(&snapshot(&objects.concat()), &settings);
    let text = |it: &Option<IpAddr>| it.map(|it| it.to_string()).unwrap_or_default();
    let assigned: Vec<(String, String)> =
        assigned.iter().map(|((_, name), address)| (name.clone(), text(address))).collect();
    let assigned: Vec<(&str, &str)> =
        assigned.iter().map(|(name, address)| (name.as_str(), address.as_str())).collect();
    assert_eq!(assigned, expect);
}

const GATEWAY: &str = "
{apiVersion: v1, kind: Service, metadata: {name: gw, namespace: istio-system}, spec: {type: LoadBalancer, selector: {istio: ingressgateway}, ports: [{port: 80}]}}
---
";

#[test]
fn services_share_an_address_unless_they_want_the_same_port() {
    let (a, b, c) = (balanced("a", 1, ""), balanced("b", 1, ""), balanced("c", 2, ""));
    check(
        &[a, b, c],
        Some("127.0.0.1"),
        &[("a", "127.0.0.1"), ("b", "127.0.0.2"), ("c", "127.0.0.1")],
    );
}

#[test]
fn where_there_is_but_one_address_the_later_service_gets_none() {
    let (a, b) = (balanced("a", 1, ""), balanced("b", 1, ""));
    check(&[a, b], Some("192.0.2.1"), &[("a", "192.0.2.1"), ("b", "")]);
    check(&[balanced("a", 1, "")], None, &[("a", "")]);
}

#[test]
fn the_gateways_ports_are_taken_and_an_address_that_a_service_has_is_kept() {
    let gateway = GATEWAY.to_owned();
    check(
        &[balanced("a", 80, ""), gateway.clone()],
        Some("127.0.0.1"),
        &[("a", "127.0.0.2"), ("gw", "127.0.0.1")],
    );
    let (a, z) = (balanced("a", 80, ""), balanced("z", 80, "127.0.0.2"));
    check(
        &[a, z, gateway],
        Some("127.0.0.1"),
        &[("a", "127.0.0.3"), ("z", "127.0.0.2"), ("gw", "127.0.0.1")],
    );
    // What another machine gave it, it does not keep.
    check(&[balanced("a", 1, "203.0.113.1")], Some("127.0.0.1"), &[("a", "127.0.0.1")]);
}

#[test]
fn listeners_are_where_users_come_and_the_gateways_are_its_own() {
    let settings = Settings::default();
    let snapshot = snapshot(&[balanced("a", 8000, ""), GATEWAY.to_owned()].concat());
    let assigned = assign(&snapshot, &settings);
    let model = model(&snapshot, &settings, &assigned, &Model::default());
    let listeners: Vec<_> = model.listeners.values().map(|it| (&*it.name, it.bind)).collect();
    assert_eq!(listeners, [("127.0.0.1_30001", Bind::Socket), ("127.0.0.1_8000", Bind::Socket)]);
    assert_eq!(model.clusters.len(), 1);
}
