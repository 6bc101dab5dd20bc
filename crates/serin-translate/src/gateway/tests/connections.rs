//! Connections that are passed on.

use super::*;
use crate::{Translator, translate};

const TCP: &str = "{port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}";

fn tcp_to(name: &str, hosts: &str, condition: &str, destination: &str) -> String {
    rules(
        name,
        &format!(
            "gateways: [gw], hosts: [{hosts}], tcp: [{{match: [{{{condition}}}], route: [{{destination: {{host: {destination}}}}}]}}]"
        ),
    )
}

#[test]
fn the_first_rule_for_tcp_holds_and_others_are_reported() {
    let edge = edge(&all(&[
        gw("gw", TCP),
        tcp_to("vs-1", "'*'", "port: 9001", "b"),
        tcp_to("vs-2", "'*'", "port: 9000", "a"),
        tcp_to("vs-3", "'*'", "", "b"),
        tcp_to("vs-4", "'*'", "", "a"),
    ]));
    check_listeners(&edge, &[("0.0.0.0_9000", &["[] -> outbound|9080||a.default"])]);
    // The fourth says the same as the first that holds.
    assert_eq!(found(&edge, "SRN0505"), ["VirtualService default/vs-3 spec.tcp[0]"]);
}

#[test]
fn rules_for_tcp_are_chosen_by_port_gateway_and_host_only() {
    let holds = |host: &str, condition: &str, holds: bool| {
        let server = TCP.replace("'*'", "'*.com'");
        let edge = edge(&all(&[gw("gw", &server), tcp_to("vs", host, condition, "a")]));
        assert_eq!(edge.listeners.len(), usize::from(holds), "{host} {condition}");
        let nothing: &[&str] = if holds { &[] } else { &["Gateway default/gw spec.servers[0]"] };
        assert_eq!(found(&edge, "SRN0506"), nothing, "{host} {condition}");
    };
    holds("a.com", "", true);
    holds("'*.a.com'", "", true);
    holds("a.org", "", false);
    holds("a.com", "gateways: [gw]", true);
    holds("a.com", "gateways: [other]", false);
    holds("a.com", "port: 80", false);
    holds("a.com", "sourceLabels: {app: client}", true);
}

#[test]
fn connections_are_shared_out_by_weight() {
    let routes = "[{destination: {host: a}, weight: 90}, {destination: {host: b, subset: v1, port: {number: 9081}}, weight: 10}]";
    let vs = rules("vs", &format!("gateways: [gw], hosts: ['*'], tcp: [{{route: {routes}}}]"));
    check_listeners(
        &edge(&all(&[gw("gw", TCP), vs])),
        &[("0.0.0.0_9000", &["[] -> outbound|9080||a.default, outbound|9081|v1|b.default"])],
    );
}

#[test]
fn terminated_tls_is_passed_on_by_rules_for_tcp() {
    let server = tls("TLS", 9000, "a.com, b.com", "mode: SIMPLE, credentialName: cert");
    let edge = edge(&all(&[gw("gw", &server), tcp_to("vs", "a.com", "", "a")]));
    check_listeners(&edge, &[("0.0.0.0_9000", &["[a.com b.com] tls -> outbound|9080||a.default"])]);
    assert!(edge.listeners["0.0.0.0_9000"].inspect.tls);
}

fn tls_to(name: &str, hosts: &str, names: &str, destination: &str) -> String {
    rules(
        name,
        &format!(
            "gateways: [gw], hosts: [{hosts}], tls: [{{match: [{{sniHosts: [{names}]}}], route: [{{destination: {{host: {destination}}}}}]}}]"
        ),
    )
}

fn passthrough() -> String {
    gw("gw", &tls("TLS", 443, "'*'", "mode: PASSTHROUGH"))
}

#[test]
fn tls_is_passed_on_by_its_server_name() {
    let edge = edge(&all(&[
        passthrough(),
        tls_to("a", "a.com", "a.com", "a"),
        tls_to("b", "'*.com'", "'*.b.com', b.com", "b"),
    ]));
    check_listeners(
        &edge,
        &[(
            "0.0.0.0_8443",
            &["[a.com] -> outbound|9080||a.default", "[*.b.com b.com] -> outbound|443||b.default"],
        )],
    );
    let listener = &edge.listeners["0.0.0.0_8443"];
    assert!(listener.inspect.tls);
    assert!(listener.filter_chains.iter().all(|it| it.tls.is_none()));
}

#[test]
fn https_can_be_passed_on_too() {
    let server = tls("HTTPS", 443, "'*'", "mode: PASSTHROUGH");
    let edge = edge(&all(&[gw("gw", &server), tls_to("a", "a.com", "a.com", "a")]));
    check_listeners(&edge, &[("0.0.0.0_8443", &["[a.com] -> outbound|9080||a.default"])]);
    assert!(edge.route_tables.is_empty());
}

#[test]
fn a_server_name_leads_where_the_first_rule_says() {
    let edge = edge(&all(&[
        passthrough(),
        tls_to("vs-1", "a.com", "a.com", "a"),
        tls_to("vs-2", "a.com", "a.com", "b"),
        tls_to("vs-3", "a.com", "a.com", "a"),
    ]));
    check_listeners(&edge, &[("0.0.0.0_8443", &["[a.com] -> outbound|9080||a.default"])]);
    let expect = ["VirtualService default/vs-2 spec.tls[0].match[0].sniHosts"];
    assert_eq!(found(&edge, "SRN0504"), expect);
}

#[test]
fn a_server_name_that_is_terminated_is_not_passed_on() {
    let servers =
        format!("{}, {}", https(443, "a.com"), tls("TLS", 443, "'*'", "mode: PASSTHROUGH"));
    let edge = edge(&all(&[gw("gw", &servers), tls_to("vs", "a.com", "a.com", "b")]));
    check_listeners(&edge, &[("0.0.0.0_8443", &["[a.com] tls -> https.443.https-443.gw.default"])]);
    assert_eq!(found(&edge, "SRN0504").len(), 1);
    assert!(found(&edge, "SRN0506").is_empty());
}

#[test]
fn rules_for_tls_hold_where_it_is_terminated_if_there_are_none_for_tcp() {
    let server = tls("TLS", 443, "'*.com'", "mode: SIMPLE, credentialName: cert");
    let edge = edge(&all(&[gw("gw", &server), tls_to("vs", "a.com", "a.com", "a")]));
    check_listeners(&edge, &[("0.0.0.0_8443", &["[a.com] tls -> outbound|9080||a.default"])]);
}

const SUBSETS: &str = "
kind: DestinationRule
metadata: {name: a}
spec: {host: a, subsets: [{name: v1, labels: {version: v1}}]}
---
kind: ServiceEntry
metadata: {name: external}
spec: {hosts: [external.local], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
";

#[test]
fn mutual_tls_between_networks_goes_to_the_cluster_that_its_server_name_spells() {
    let server = tls("TLS", 15443, "'*.local'", "mode: AUTO_PASSTHROUGH");
    let text = all(&[gw("gw", &server), SUBSETS.into()]);
    let edge = edge(&text);
    let chains = &edge.listeners["0.0.0.0_15443"].filter_chains;
    let names: Vec<_> = chains.iter().map(|it| &*it.name).collect();
    assert_eq!(
        names,
        [
            "outbound_.9080_._.a.default.svc.cluster.local",
            "outbound_.9080_.v1_.a.default.svc.cluster.local",
            "outbound_.9080_._.b.default.svc.cluster.local",
            "outbound_.9081_._.b.default.svc.cluster.local",
            "outbound_.80_._.ingress.istio-system.svc.cluster.local",
            "outbound_.443_._.ingress.istio-system.svc.cluster.local",
        ]
    );
    assert!(chains.iter().all(|it| *it.criteria.server_names == [Arc::clone(&it.name)]));
    let alpn = chains[0].criteria.application_protocols.iter().map(|it| &**it);
    assert!(alpn.into_iter().all(|it| it.starts_with("istio")));

    let model = translate(&snapshot(&text), &ingress()).model;
    for chain in chains {
        let NetworkFilter::Tcp(proxy) = &chain.filter else { panic!() };
        let cluster = &proxy.destinations.list()[0].cluster;
        assert_eq!(cluster, &chain.name);
        assert!(model.clusters.contains_key(cluster) || cluster.contains(".v1_."), "{cluster}");
    }
}

#[test]
fn clusters_by_server_name_come_and_go_with_the_server() {
    let mut translator = Translator::new(ingress());
    let mut clusters = |text: &str| {
        let model = translator.translate(&Arc::new(snapshot(text))).model;
        model.clusters.keys().filter(|it| it.starts_with("outbound_.")).count()
    };
    assert_eq!(clusters(&passthrough()), 0);
    assert!(clusters(&gw("gw", &tls("TLS", 15443, "'*'", "mode: AUTO_PASSTHROUGH"))) > 0);
    assert_eq!(clusters(&passthrough()), 0);
}
