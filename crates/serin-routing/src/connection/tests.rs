use std::sync::Arc;

use super::*;
use crate::testing::{self, tcp_chain};

fn any() -> FilterChainMatch {
    FilterChainMatch::default()
}

fn to_port(port: u16) -> FilterChainMatch {
    FilterChainMatch { destination_port: Some(port), ..any() }
}

fn to_net(nets: &[&str]) -> FilterChainMatch {
    FilterChainMatch {
        destination_prefixes: nets.iter().map(|net| net.parse().unwrap()).collect(),
        ..any()
    }
}

fn named(names: &[&str]) -> FilterChainMatch {
    FilterChainMatch { server_names: names.iter().map(|name| Arc::from(*name)).collect(), ..any() }
}

fn speaking(transport: TransportProtocol, protocols: &[&str]) -> FilterChainMatch {
    let application_protocols = protocols.iter().map(|protocol| Arc::from(*protocol)).collect();
    FilterChainMatch { transport_protocol: Some(transport), application_protocols, ..any() }
}

fn listener_with(chains: &[(&str, FilterChainMatch)], default: Option<&str>) -> Listener {
    let mut listener =
        testing::listener("test", "0.0.0.0", 15006, Bind::Capture, Direction::Inbound);
    listener.filter_chains =
        chains.iter().map(|(name, criteria)| tcp_chain(name, criteria.clone())).collect();
    listener.default_filter_chain = default.map(|name| tcp_chain(name, any()));
    listener
}

const PLAIN: Connection<'static> = Connection {
    address: Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3))),
    port: 80,
    transport: TransportProtocol::Plain,
    server_name: "",
    protocols: &[],
};

fn tls<'c>(server_name: &'c str, protocols: &'c [&'c str]) -> Connection<'c> {
    Connection { transport: TransportProtocol::Tls, server_name, protocols, ..PLAIN }
}

#[track_caller]
fn check(listener: &Listener, connection: &Connection<'_>, expected: Result<&str, NoFilterChain>) {
    let found = filter_chain(listener, connection).map(|chain| &*chain.name);
    assert_eq!(found, expected, "{connection:?}");
}

#[test]
fn the_most_specific_address_wins() {
    let listener = listener_with(
        &[
            ("any", any()),
            ("net", to_net(&["10.0.0.0/8"])),
            ("host", to_net(&["192.168.0.1/32", "10.1.2.3/32"])),
        ],
        None,
    );
    check(&listener, &PLAIN, Ok("host"));
    check(&listener, &Connection { address: "10.9.9.9".parse().ok(), ..PLAIN }, Ok("net"));
    check(&listener, &Connection { address: "11.0.0.1".parse().ok(), ..PLAIN }, Ok("any"));
    check(&listener, &Connection { address: None, ..PLAIN }, Ok("any"));
}

#[test]
fn server_names_fit_exactly_then_by_the_longest_wildcard_then_not_at_all() {
    let listener = listener_with(
        &[
            ("any", any()),
            ("com", named(&["*.com"])),
            ("foo", named(&["*.foo.com"])),
            ("www", named(&["www.foo.com"])),
        ],
        None,
    );
    check(&listener, &tls("www.foo.com", &[]), Ok("www"));
    check(&listener, &tls("a.foo.com", &[]), Ok("foo"));
    check(&listener, &tls("foo.com", &[]), Ok("com"));
    check(&listener, &tls("org", &[]), Ok("any"));
    check(&listener, &tls("", &[]), Ok("any"));
}

#[test]
fn there_is_no_way_back_from_a_better_fit() {
    let at_80 = FilterChainMatch { server_names: vec!["foo.com".into()], ..to_port(80) };
    let chains = [("any", any()), ("foo-80", at_80)];
    check(&listener_with(&chains, None), &tls("foo.com", &[]), Ok("foo-80"));
    check(&listener_with(&chains, None), &tls("bar.com", &[]), Err(NoFilterChain::NoneFits));
    check(&listener_with(&chains, Some("rest")), &tls("bar.com", &[]), Ok("rest"));
    check(
        &listener_with(&chains, None),
        &Connection { port: 81, ..tls("bar.com", &[]) },
        Ok("any"),
    );
}

#[test]
fn mesh_tls_and_plain_bytes_are_told_apart_by_transport_and_protocol() {
    let permissive = listener_with(
        &[
            ("mtls", speaking(TransportProtocol::Tls, &["istio", "istio-http/1.1", "istio-h2"])),
            ("tls", speaking(TransportProtocol::Tls, &[])),
            ("http", speaking(TransportProtocol::Plain, &["http/1.1", "h2c"])),
            ("plain", speaking(TransportProtocol::Plain, &[])),
        ],
        None,
    );
    check(&permissive, &tls("", &["istio-http/1.1", "h2"]), Ok("mtls"));
    check(&permissive, &tls("", &["h2", "http/1.1"]), Ok("tls"));
    check(&permissive, &Connection { protocols: &["http/1.1"], ..PLAIN }, Ok("http"));
    check(&permissive, &PLAIN, Ok("plain"));
}

#[test]
fn the_clients_first_known_protocol_decides() {
    let listener = listener_with(
        &[
            ("h1", speaking(TransportProtocol::Tls, &["http/1.1"])),
            ("h2", speaking(TransportProtocol::Tls, &["h2"])),
        ],
        None,
    );
    check(&listener, &tls("", &["unknown", "h2", "http/1.1"]), Ok("h2"));
    check(&listener, &tls("", &["http/1.1", "h2"]), Ok("h1"));
    check(&listener, &tls("", &[]), Err(NoFilterChain::NoneFits));
}

#[test]
fn two_chains_that_fit_alike_are_ambiguous() {
    let listener =
        listener_with(&[("one", to_port(80)), ("two", to_port(80)), ("any", any())], Some("rest"));
    check(&listener, &PLAIN, Err(NoFilterChain::Ambiguous));
    check(&listener, &Connection { port: 81, ..PLAIN }, Ok("any"));
}

#[test]
fn connections_go_to_the_listener_of_their_address_then_of_any_then_to_the_capture_listener() {
    let mut model = Model::default();
    for (name, address, port, bind, direction) in [
        ("virtualOutbound", "0.0.0.0", 15001, Bind::Capture, Direction::Outbound),
        ("virtualInbound", "0.0.0.0", 15006, Bind::Capture, Direction::Inbound),
        ("0.0.0.0_80", "0.0.0.0", 80, Bind::Captured, Direction::Outbound),
        ("10.0.0.1_80", "10.0.0.1", 80, Bind::Captured, Direction::Outbound),
    ] {
        let listener = testing::listener(name, address, port, bind, direction);
        model.listeners.insert(name.into(), Arc::new(listener));
    }
    let check = |direction: Direction, address: &str, port: u16, expected: Option<&str>| {
        let found = listener(&model, direction, address.parse().unwrap(), port);
        assert_eq!(found.map(|listener| &*listener.name), expected, "{address}:{port}");
    };
    check(Direction::Outbound, "10.0.0.1", 80, Some("10.0.0.1_80"));
    check(Direction::Outbound, "10.0.0.2", 80, Some("0.0.0.0_80"));
    check(Direction::Outbound, "10.0.0.1", 81, Some("virtualOutbound"));
    check(Direction::Inbound, "10.0.0.1", 80, Some("virtualInbound"));
    check(Direction::Gateway, "10.0.0.1", 80, None);
}

#[test]
fn only_ports_whose_chains_ask_for_it_are_looked_at() {
    let at = |port, criteria| FilterChainMatch { destination_port: Some(port), ..criteria };
    let listener = listener_with(
        &[
            ("mysql", to_port(3306)),
            ("permissive tls", at(80, speaking(TransportProtocol::Tls, &["istio"]))),
            ("permissive plain", at(80, speaking(TransportProtocol::Plain, &[]))),
            (
                "unnamed http",
                at(
                    81,
                    FilterChainMatch {
                        application_protocols: vec!["http/1.1".into(), "h2c".into()],
                        ..any()
                    },
                ),
            ),
            ("unnamed bytes", to_port(81)),
            ("by name", at(443, named(&["a.example"]))),
        ],
        Some("rest"),
    );
    for (port, tls, http) in [
        (3306, false, false),
        (80, true, false),
        (81, false, true),
        (443, true, false),
        (9, false, false),
    ] {
        assert_eq!(asks(&listener, None, port), Asks { tls, http }, "{port}");
    }
}
