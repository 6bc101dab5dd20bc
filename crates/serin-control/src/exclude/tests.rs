use serin_routing::balancer::Policy;
use serin_routing::connection;
use serin_routing::model::TransportProtocol;
use serin_translate::{Proxy, ProxyKind, translate};

use super::*;
use crate::testing::{service, snapshot};

/// Where a connection for `to` goes from a workload with these annotations: to HTTP rules, or a cluster.
fn check(annotations: &[(&str, &str)], to: (&str, u16), expect: &str) {
    let objects = [
        service("a", "clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]", &["10.244.1.1"]),
        service("b", "clusterIP: 10.96.0.2, ports: [{name: tcp, port: 5432}]", &["10.244.1.2"]),
    ];
    let snapshot = snapshot(&objects.concat());
    let proxy = Proxy::new(ProxyKind::Sidecar, "default", BTreeMap::new());
    let mesh = translate(&snapshot, &proxy).model;
    let plain = plain::model(&snapshot, None, &Model::default());
    let annotations = annotations
        .iter()
        .map(|(key, value)| (format!("traffic.sidecar.istio.io/{key}"), (*value).to_owned()));
    let exclusions = Exclusions::of(&annotations.collect());
    let model = exclusions.apply(&mesh, &plain);
    let (address, port) = (Some(to.0.parse().unwrap()), to.1);
    let listener =
        connection::listener(&model, Direction::Outbound, address.unwrap(), port).unwrap();
    let protocols = ["http/1.1"];
    let transport = TransportProtocol::Plain;
    let asked =
        connection::Connection { address, port, transport, server_name: "", protocols: &protocols };
    let chain = connection::filter_chain(listener, &asked).unwrap();
    let way = match &chain.filter {
        NetworkFilter::Http(_) => "rules".to_owned(),
        NetworkFilter::Tcp(tcp) => {
            let name = &tcp.destinations.list()[0].cluster;
            let cluster = &model.clusters[name];
            assert!(!name.starts_with("plain") || cluster.balancer == Policy::Random);
            name.to_string()
        }
    };
    assert_eq!(way, expect, "{annotations:?} {to:?}", annotations = exclusions);
}

const PLAIN_A: &str = "plain|80||a.default.svc.cluster.local";
const PLAIN_B: &str = "plain|5432||b.default.svc.cluster.local";
const MESH_B: &str = "outbound|5432||b.default.svc.cluster.local";

#[test]
fn excluded_ports_are_balanced_plainly_or_passed_on() {
    let ports = [("excludeOutboundPorts", "5432, 80,nonsense")];
    check(&[], ("10.96.0.1", 80), "rules");
    check(&[], ("10.96.0.2", 5432), MESH_B);
    check(&ports, ("10.96.0.1", 80), PLAIN_A);
    check(&ports, ("10.96.0.2", 5432), PLAIN_B);
    check(&ports, ("192.0.2.1", 80), "PassthroughCluster");
}

#[test]
fn excluded_addresses_are_balanced_plainly_or_passed_on() {
    let ranges = [("excludeOutboundIPRanges", "10.96.0.2/32,192.0.2.0/24")];
    check(&ranges, ("10.96.0.1", 80), "rules");
    check(&ranges, ("10.96.0.2", 5432), PLAIN_B);
    check(&ranges, ("192.0.2.1", 80), "PassthroughCluster");
    check(&ranges, ("198.51.100.1", 80), "rules");
}

#[test]
fn only_included_addresses_are_the_meshs() {
    let only = [("includeOutboundIPRanges", "10.96.0.1/32")];
    check(&only, ("10.96.0.1", 80), "rules");
    check(&only, ("10.96.0.2", 5432), PLAIN_B);
    check(&only, ("192.0.2.1", 80), "PassthroughCluster");
    let also = [("includeOutboundIPRanges", "10.96.0.1/32"), ("includeOutboundPorts", "5432")];
    check(&also, ("10.96.0.2", 5432), MESH_B);
    check(&[("includeOutboundIPRanges", "*")], ("10.96.0.2", 5432), MESH_B);
}
