use std::sync::Arc;

use super::*;
use crate::model::{
    Action, Bind, DirectResponse, FilterChainMatch, Inspect, RouteTable, VirtualHost,
};
use crate::testing::{self, http_chain, rule, tcp_chain};

fn table(name: &str, hosts: &[(&str, bool)]) -> RouteTable {
    let host = |(domain, require_tls): &(&str, bool)| {
        let routes = vec![Arc::new(rule(Action::Direct(DirectResponse {
            status: 200,
            body: Arc::from([]),
        })))];
        Arc::new(VirtualHost {
            name: (*domain).into(),
            domains: vec![(*domain).into()],
            routes,
            require_tls: *require_tls,
        })
    };
    RouteTable { name: name.into(), virtual_hosts: hosts.iter().map(host).collect() }
}

/// A gateway with HTTP on 80 and, by server name, TLS of every kind on 443.
fn gateway() -> Model {
    let named = |name: &str| FilterChainMatch {
        server_names: vec![name.into()],
        ..FilterChainMatch::default()
    };
    let terminating = |name: &str, client: MutualMode| {
        let chain = http_chain(name, "https", named(name));
        FilterChain { tls: Some(testing::tls(client)), ..chain }
    };
    let mut plain =
        testing::listener("0.0.0.0_80", "0.0.0.0", 80, Bind::Socket, Direction::Gateway);
    plain.default_filter_chain = Some(http_chain("http", "http.80", FilterChainMatch::default()));
    let mut secure =
        testing::listener("0.0.0.0_443", "0.0.0.0", 443, Bind::Socket, Direction::Gateway);
    secure.inspect = Inspect { tls: true, ..Inspect::default() };
    secure.filter_chains = vec![
        terminating("simple.example", MutualMode::None),
        terminating("mutual.example", MutualMode::Required),
        terminating("optional.example", MutualMode::Optional),
        tcp_chain("passthrough.example", named("passthrough.example")),
        tcp_chain("twice", named("twice.example")),
        tcp_chain("again", named("twice.example")),
    ];
    let passthrough = Arc::new(testing::cluster("passthrough.example"));
    let mut model = Model::default();
    model.clusters.insert(Arc::clone(&passthrough.name), passthrough);
    model.endpoints.insert(
        "passthrough.example".into(),
        Arc::new(testing::endpoints(crate::model::Health::Healthy)),
    );
    for listener in [plain, secure] {
        model.listeners.insert(Arc::clone(&listener.name), Arc::new(listener));
    }
    for table in [
        table("http.80", &[("a.example", false), ("simple.example", true)]),
        table(
            "https",
            &[("simple.example", true), ("mutual.example", false), ("optional.example", false)],
        ),
    ] {
        model.route_tables.insert(Arc::clone(&table.name), Arc::new(table));
    }
    model
}

fn call(json: &str) -> Call {
    serde_json::from_str(json).unwrap()
}

#[track_caller]
fn check(json: &str, expected: Result<&str, Problem>) {
    let explanation = simulate(&gateway(), Direction::Gateway, &call(json));
    let place = explanation
        .virtual_host
        .clone()
        .or(explanation.clusters.first().map(|cluster| cluster.name.clone()));
    let found = match explanation.error {
        Some(problem) => Err(problem),
        None => Ok(place.unwrap_or_default()),
    };
    assert_eq!(found, expected.map(str::to_owned), "{json}: {explanation:?}");
}

#[test]
fn plain_http_is_routed_by_its_authority() {
    check(r#"{"port": 80, "authority": "a.example:80"}"#, Ok("a.example"));
    check(r#"{"port": 80, "headers": {"Host": "a.example"}}"#, Ok("a.example"));
    check(r#"{"port": 80, "authority": "b.example"}"#, Err(Problem::NoVirtualHost));
    check(r#"{"port": 80}"#, Err(Problem::NoVirtualHost));
    check(r#"{"port": 80, "authority": "simple.example"}"#, Err(Problem::TlsRedirect));
    check(r#"{"port": 81, "authority": "a.example"}"#, Err(Problem::NoListener));
}

#[test]
fn a_connect_without_a_path_finds_no_route() {
    check(r#"{"port": 80, "authority": "a.example", "method": "CONNECT"}"#, Err(Problem::NoRoute));
}

#[test]
fn what_the_chain_cannot_read_is_a_protocol_error() {
    check(r#"{"port": 80, "tls": "tls", "authority": "a.example"}"#, Err(Problem::ProtocolError));
    check(r#"{"port": 80, "protocol": "tcp"}"#, Err(Problem::ProtocolError));
    check(
        r#"{"port": 443, "protocol": "tls", "sni": "simple.example"}"#,
        Err(Problem::ProtocolError),
    );
}

#[test]
fn tls_goes_by_server_name_which_is_the_authority_by_default() {
    check(
        r#"{"port": 443, "tls": "tls", "authority": "simple.example:443"}"#,
        Ok("simple.example"),
    );
    check(
        r#"{"port": 443, "tls": "tls", "authority": "simple.example", "sni": "Passthrough.example"}"#,
        Ok("passthrough.example"),
    );
    check(
        r#"{"port": 443, "tls": "tls", "authority": "other.example"}"#,
        Err(Problem::NoFilterChain),
    );
    check(r#"{"port": 443, "authority": "simple.example"}"#, Err(Problem::NoFilterChain));
    check(
        r#"{"port": 443, "tls": "tls", "sni": "twice.example"}"#,
        Err(Problem::AmbiguousFilterChain),
    );
    check(
        r#"{"port": 443, "protocol": "tls", "sni": "passthrough.example"}"#,
        Ok("passthrough.example"),
    );
}

#[test]
fn both_sides_must_agree_on_certificates() {
    let call = |host: &str, mode: &str| {
        format!(r#"{{"port": 443, "tls": "{mode}", "sni": "{host}", "authority": "{host}"}}"#)
    };
    check(&call("mutual.example", "mtls"), Ok("mutual.example"));
    check(&call("mutual.example", "tls"), Err(Problem::MtlsError));
    check(&call("simple.example", "mtls"), Err(Problem::MtlsError));
    check(&call("optional.example", "tls"), Ok("optional.example"));
    check(&call("optional.example", "mtls"), Ok("optional.example"));
}

/// A sidecar's inbound side with automatic protocol and permissive mutual TLS.
fn inbound() -> Model {
    let criteria = |transport: TransportProtocol, protocols: &[&str]| FilterChainMatch {
        transport_protocol: Some(transport),
        application_protocols: protocols.iter().map(|protocol| Arc::from(*protocol)).collect(),
        ..FilterChainMatch::default()
    };
    let mesh =
        |chain: FilterChain| FilterChain { tls: Some(testing::tls(MutualMode::Required)), ..chain };
    let mut listener =
        testing::listener("virtualInbound", "0.0.0.0", 15006, Bind::Capture, Direction::Inbound);
    listener.inspect = Inspect { tls: true, http: true, ..Inspect::default() };
    listener.filter_chains = vec![
        mesh(http_chain(
            "mtls-http",
            "inbound",
            criteria(TransportProtocol::Tls, &["istio-http/1.1", "istio-h2"]),
        )),
        mesh(tcp_chain("mtls-tcp", criteria(TransportProtocol::Tls, &["istio"]))),
        http_chain("http", "inbound", criteria(TransportProtocol::Plain, &["http/1.1", "h2c"])),
        tcp_chain("tls", criteria(TransportProtocol::Tls, &[])),
        tcp_chain("tcp", criteria(TransportProtocol::Plain, &[])),
    ];
    let mut model = Model::default();
    model.listeners.insert(Arc::clone(&listener.name), Arc::new(listener));
    model.route_tables.insert("inbound".into(), Arc::new(table("inbound", &[("*", false)])));
    model
}

#[test]
fn protocols_are_recognised_as_far_as_the_listener_looks() {
    let check = |json: &str, expected: &str| {
        let explanation = simulate(&inbound(), Direction::Inbound, &call(json));
        assert_eq!(explanation.filter_chain.as_deref(), Some(expected), "{json}");
        assert_eq!(explanation.listener.as_deref(), Some("virtualInbound"), "{json}");
    };
    check(r#"{"port": 80}"#, "http");
    check(r#"{"port": 80, "protocol": "http2"}"#, "http");
    check(r#"{"port": 80, "protocol": "tcp"}"#, "tcp");
    check(r#"{"port": 80, "tls": "tls"}"#, "tls");
    check(r#"{"port": 80, "tls": "mtls"}"#, "mtls-http");
    check(r#"{"port": 80, "protocol": "grpc", "tls": "mtls"}"#, "mtls-http");
    check(r#"{"port": 80, "protocol": "tcp", "tls": "mtls"}"#, "mtls-tcp");
    check(r#"{"port": 80, "tls": "mtls", "alpn": "h2,istio"}"#, "mtls-tcp");
}

#[test]
fn a_call_names_its_direction_or_takes_the_proxys() {
    let outcome = |json: &str| simulate(&inbound(), Direction::Outbound, &call(json)).error;
    assert_eq!(outcome(r#"{"port": 80}"#), Some(Problem::NoListener));
    assert_eq!(outcome(r#"{"port": 80, "direction": "inbound"}"#), None);
}

#[test]
fn bytes_for_a_missing_cluster_are_told_as_such() {
    let explanation =
        simulate(&inbound(), Direction::Inbound, &call(r#"{"port": 80, "protocol": "tcp"}"#));
    assert_eq!(explanation.error, Some(Problem::ClusterNotFound));
}

#[test]
fn grpc_calls_look_like_grpc() {
    let request = call(
        r#"{"port": 80, "protocol": "grpc", "headers": {"X-A": ["1", "2"], ":authority": "a"}}"#,
    )
    .request();
    assert_eq!(request.method, "POST");
    assert_eq!(request.authority, "a");
    assert!(crate::request::is_grpc(&request));
    let x_a = request.headers.iter().filter(|(name, _)| name == "x-a").count();
    assert_eq!(x_a, 2);
}
