use serin_routing::connection;

use super::*;
use crate::testing::{service, snapshot};

/// The endpoints that a connection to an address and port goes to; none if it is passed on as it is.
fn check(objects: &str, to: (&str, u16), expect: Option<&[&str]>) -> Arc<Cluster> {
    let model = model(&snapshot(objects), None, &Model::default());
    let address = to.0.parse().unwrap();
    let listener = connection::listener(&model, Direction::Outbound, address, to.1).unwrap();
    let transport = serin_routing::model::TransportProtocol::Plain;
    let asked = connection::Connection {
        address: Some(address),
        port: to.1,
        transport,
        server_name: "",
        protocols: &[],
    };
    let chain = connection::filter_chain(listener, &asked).unwrap();
    let NetworkFilter::Tcp(tcp) = &chain.filter else { panic!("HTTP is not read") };
    let name = &tcp.destinations.list()[0].cluster;
    let found = model.endpoints.get(name).map(|it| {
        let all = it.localities.iter().flat_map(|it| &it.endpoints);
        all.map(|it| match &it.address {
            EndpointAddress::Socket(ip, port) => format!("{ip}:{port}"),
            other => format!("{other:?}"),
        })
        .collect::<Vec<_>>()
    });
    assert_eq!(
        found.as_deref(),
        expect.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref()
    );
    Arc::clone(&model.clusters[name])
}

const PORTS: &str = "clusterIP: 10.96.0.1, ports: [{name: http, port: 80, targetPort: 8080}]";

#[test]
fn a_connection_to_a_service_goes_to_a_ready_endpoint_at_random() {
    let objects = service("a", PORTS, &["10.244.0.1", "10.244.0.2", "!10.244.0.3"]);
    let cluster = check(&objects, ("10.96.0.1", 80), Some(&["10.244.0.1:8080", "10.244.0.2:8080"]));
    assert_eq!(cluster.balancer, Policy::Random);
}

#[test]
fn without_ready_endpoints_those_that_are_being_stopped_are_left() {
    check(&service("a", PORTS, &["!10.244.0.3"]), ("10.96.0.1", 80), Some(&["10.244.0.3:8080"]));
    check(&service("a", PORTS, &[]), ("10.96.0.1", 80), Some(&[]));
}

#[test]
fn the_address_of_a_service_stands_for_its_endpoints_in_turn_or_for_one() {
    let behind = |ports: &str, endpoints: &[&str], to: &str| -> Vec<Option<String>> {
        let model = model(&snapshot(&service("a", ports, endpoints)), None, &Model::default());
        let (host, port) = to.rsplit_once(':').unwrap();
        let port = port.parse().unwrap();
        let to = match host.parse() {
            Ok(ip) => EndpointAddress::Socket(ip, port),
            Err(_) => EndpointAddress::Name(host.into(), port),
        };
        (0..3).map(|turn| behind(&model, &to, turn).map(|it| it.to_string())).collect()
    };
    let some = |endpoint: &str| Some(format!("{endpoint}:8080"));
    let (one, other) = ("10.244.0.1", "10.244.0.2");
    assert_eq!(behind(PORTS, &[one, other], "10.96.0.1:80"), [some(one), some(other), some(one)]);
    let name = "a.default.svc.cluster.local:80";
    assert_eq!(behind(PORTS, &[one, other], name), [some(one), some(other), some(one)]);
    let sticky = format!("sessionAffinity: ClientIP, {PORTS}");
    assert_eq!(behind(&sticky, &[one, other], "10.96.0.1:80"), [some(one), some(one), some(one)]);
    assert_eq!(behind(PORTS, &[], "10.96.0.1:80"), [None, None, None]);
    assert_eq!(behind(PORTS, &[one], "10.96.0.1:81"), [None, None, None]);
    assert_eq!(behind(PORTS, &[one], "10.244.0.1:8080"), [None, None, None]);
}

#[test]
fn what_is_for_no_service_is_passed_on() {
    let objects = service("a", PORTS, &["10.244.0.1"]);
    let cluster = check(&objects, ("10.96.0.1", 81), None);
    assert_eq!(cluster.discovery, Discovery::OriginalDestination);
    check(&objects, ("10.244.0.1", 8080), None);
    let headless =
        service("a", "clusterIP: None, ports: [{name: http, port: 80}]", &["10.244.0.1"]);
    check(&headless, ("10.244.0.1", 80), None);
    let udp =
        service("a", "clusterIP: 10.96.0.1, ports: [{name: http, port: 80, protocol: UDP}]", &[]);
    check(&udp, ("10.96.0.1", 80), None);
}

#[test]
fn session_affinity_keeps_a_client_with_an_endpoint() {
    let objects = service("a", &format!("{PORTS}, sessionAffinity: ClientIP"), &["10.244.0.1"]);
    let cluster = check(&objects, ("10.96.0.1", 80), Some(&["10.244.0.1:8080"]));
    assert_eq!(cluster.balancer, Policy::RingHash { minimum_ring_size: RING });
}

#[test]
fn a_service_is_reached_at_its_outer_addresses_too_but_not_at_those_of_the_pod_itself() {
    let objects =
        service("a", &format!("{PORTS}, externalIPs: [192.0.2.7, 127.0.0.9]"), &["10.244.0.1"]);
    check(&objects, ("192.0.2.7", 80), Some(&["10.244.0.1:8080"]));
    check(&objects, ("127.0.0.9", 80), None);
}

#[test]
fn what_has_not_changed_is_the_same_by_address() {
    let objects = service("a", PORTS, &["10.244.0.1"]);
    let first = model(&snapshot(&objects), None, &Model::default());
    let second = model(&snapshot(&objects), None, &first);
    assert!(first.listeners.is(&second.listeners) && first.endpoints.is(&second.endpoints));
    let third = model(&snapshot(&service("a", PORTS, &["10.244.0.2"])), None, &second);
    assert!(second.clusters.is(&third.clusters) && !second.endpoints.is(&third.endpoints));
}

#[test]
fn requests_are_read_where_an_endpoint_in_the_mesh_takes_them_by_what_they_ask_for() {
    let policy = |what: &str| {
        format!(
            "\n---\n{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: p, namespace: default}}, spec: {{rules: [{what}]}}}}\n\
             ---\n{{apiVersion: v1, kind: Pod, metadata: {{name: one, namespace: default, labels: {{security.istio.io/tlsMode: istio}}}}, spec: {{containers: []}}, status: {{phase: Running, podIP: 10.244.0.1}}}}\n"
        )
    };
    let reads = |what: &str, protocol: &str| {
        let port = format!("name: http, port: 80, appProtocol: {protocol}");
        let ports = format!("clusterIP: 10.96.0.1, ports: [{{{port}}}]");
        let objects = service("a", &ports, &["10.244.0.1"]) + &policy(what);
        let model = model(&snapshot(&objects), None, &Model::default());
        let chains = &model.listeners["10.96.0.1_80"].filter_chains;
        let read = chains.iter().find_map(|it| match &it.filter {
            NetworkFilter::Http(http) => Some(Arc::clone(&http.routes)),
            NetworkFilter::Tcp(_) => None,
        });
        assert_eq!(read.is_some(), model.route_tables.len() == 1);
        read.is_some_and(|it| model.route_tables.contains_key(&it))
    };
    let by_path = "{to: [{operation: {paths: [/a]}}]}";
    assert!(reads(by_path, "http") && !reads(by_path, "tcp"));
    assert!(!reads("{from: [{source: {namespaces: [a]}}]}", "http"));
}
