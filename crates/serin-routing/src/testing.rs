//! Random rules and requests that meet some of them.
//!
//! Texts come from small alphabets, so that rules overlap, cover each other and are nearly met.

use std::sync::Arc;

use proptest::prelude::*;
use serin_re2::Regex;

use crate::model::{
    Action, Bind, Claim, ClientCertificates, Cluster, Codec, Destination, Destinations,
    DirectResponse, Direction, Discovery, DownstreamTls, Endpoint, EndpointAddress, EndpointTls,
    Endpoints, FilterChain, FilterChainMatch, Forward, HeaderMatch, HeaderOps, HeaderValue, Health,
    HttpConnection, Inspect, Listener, LocalityEndpoints, MutualMode, NetworkFilter, Origin,
    PathMatch, QueryMatch, Route, RouteMatch, TcpProxy, ValueMatch,
};
use crate::request::RequestParts;

const PATH_PATTERNS: [&str; 9] =
    ["/a.*", "/a/b", ".*", "/[ab]+", ".*/b", "/.*ab.*", "(?i)/A/.*", "/(a|b)/?.*", "[^b]*"];
const VALUE_PATTERNS: [&str; 7] = [".*", "a", "a.*", ".*ab.*", "(a|b)+", ".+", "(?i)AB"];

fn short_text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "ab", "A", "a,b", "abc"]).prop_map(str::to_owned)
}

fn path_text() -> impl Strategy<Value = String> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "A", ""]), 0..4);
    path.prop_map(|segments| format!("/{}", segments.join("/")))
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    let segments = |text: String| PathMatch::Segments(text.trim_end_matches('/').into());
    prop_oneof![
        1 => Just(PathMatch::Any),
        3 => path_text().prop_map(|text| PathMatch::Exact(text.into())),
        3 => path_text().prop_map(|text| PathMatch::Prefix(text.into())),
        2 => path_text().prop_map(segments),
        2 => prop::sample::select(&PATH_PATTERNS[..]).prop_map(|pattern| PathMatch::Regex(Regex::new(pattern).unwrap())),
    ]
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        1 => Just(ValueMatch::Present),
        3 => short_text().prop_map(|text| ValueMatch::Exact(text.into())),
        1 => short_text().prop_map(|text| ValueMatch::Prefix(text.into())),
        1 => short_text().prop_map(|text| ValueMatch::Suffix(text.into())),
        2 => prop::sample::select(&VALUE_PATTERNS[..]).prop_map(|pattern| ValueMatch::Regex(Regex::new(pattern).unwrap())),
    ]
}

fn header_match() -> impl Strategy<Value = HeaderMatch> {
    let name = prop::sample::select(vec!["x", "y", "z", "host", ":method", ":authority"]);
    (name, value_match(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(name, value, invert, empty)| HeaderMatch {
            name: name.into(),
            value,
            invert,
            missing_is_empty: invert && empty,
        },
    )
}

fn query_match() -> impl Strategy<Value = QueryMatch> {
    let name = prop::sample::select(vec!["k", "l"]);
    (name, value_match()).prop_map(|(name, value)| QueryMatch { name: name.into(), value })
}

fn claim() -> impl Strategy<Value = Claim> {
    (value_match(), any::<bool>()).prop_map(|(value, invert)| Claim {
        path: vec!["groups".into()],
        value,
        invert,
    })
}

pub(crate) fn route_match() -> impl Strategy<Value = RouteMatch> {
    let headers = prop::collection::vec(header_match(), 0..3);
    let query = prop::collection::vec(query_match(), 0..2);
    let claims = prop::collection::vec(claim(), 0..1);
    (path_match(), prop::bool::weighted(0.2), headers, query, claims).prop_map(
        |(path, ignore_case, headers, query, claims)| RouteMatch {
            path,
            ignore_case,
            headers,
            query,
            claims,
        },
    )
}

/// A rule that only tells its number.
pub(crate) fn numbered_route(number: usize, condition: RouteMatch) -> Arc<Route> {
    let index = u32::try_from(number).ok();
    Arc::new(Route {
        name: format!("rule-{number}").into(),
        origin: Origin { index, ..Origin::built_in("test") },
        condition,
        action: Action::Direct(DirectResponse { status: 200, body: Arc::from([]) }),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    })
}

pub(crate) fn routes() -> impl Strategy<Value = Vec<Arc<Route>>> {
    prop::collection::vec(route_match(), 0..30).prop_map(|conditions| {
        conditions
            .into_iter()
            .enumerate()
            .map(|(number, condition)| numbered_route(number, condition))
            .collect()
    })
}

pub(crate) fn request() -> impl Strategy<Value = RequestParts> {
    let method = prop::sample::select(vec!["GET", "a", "CONNECT"]);
    let authority = prop::sample::select(vec!["a", "b:80", "", "ab"]);
    let target = prop_oneof![
        9 => (path_text(), prop::sample::select(vec!["", "?", "?k=a", "?k&l=ab", "?l=b&k=&k=a", "?k=a#x"]))
            .prop_map(|(path, query)| format!("{path}{query}")),
        1 => Just("*".to_owned()),
        1 => Just(String::new()),
    ];
    let header = (prop::sample::select(vec!["x", "y", "w"]), short_text());
    let headers = prop::collection::vec(header, 0..5);
    let groups = prop::collection::vec(short_text(), 0..3);
    (method, authority, target, headers, groups).prop_map(
        |(method, authority, target, headers, groups)| {
            let headers = headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into_bytes()))
                .collect();
            let mut request = RequestParts {
                headers,
                ..RequestParts::get(authority, &target).with_method(method)
            };
            request.claims.insert(vec!["groups".to_owned()], groups);
            request
        },
    )
}

/// A cluster with defaults throughout.
pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster::new(name.into(), Discovery::Listed)
}

/// A destination without changes.
pub(crate) fn destination(cluster: &str, weight: u32) -> Destination {
    Destination::new(cluster.into(), weight)
}

/// Forwarding without changes.
pub(crate) fn forward(destinations: Vec<Destination>) -> Forward {
    Forward::new(Destinations::new(destinations))
}

/// A rule for every request.
pub(crate) fn rule(action: Action) -> Route {
    Route { action, ..Route::clone(&numbered_route(0, RouteMatch::default())) }
}

/// Changes that set headers.
pub(crate) fn set_headers(headers: &[(&str, &str)]) -> HeaderOps {
    let values = headers
        .iter()
        .map(|(name, format)| ((*name).into(), HeaderValue { format: (*format).into() }));
    HeaderOps { set: values.collect(), ..HeaderOps::default() }
}

/// A listener without filter chains.
pub(crate) fn listener(
    name: &str,
    address: &str,
    port: u16,
    bind: Bind,
    direction: Direction,
) -> Listener {
    Listener {
        name: name.into(),
        address: address.parse().unwrap(),
        port,
        bind,
        direction,
        inspect: Inspect::default(),
        filter_chains: Vec::new(),
        default_filter_chain: None,
    }
}

/// A filter chain that sends bytes to the cluster of its name.
pub(crate) fn tcp_chain(name: &str, criteria: FilterChainMatch) -> FilterChain {
    let destinations = Destinations::new(vec![destination(name, 1)]);
    let filter = NetworkFilter::Tcp(TcpProxy {
        destinations,
        idle_timeout: None,
        max_duration: None,
        hash_source_address: false,
        tunnel: None,
    });
    FilterChain { name: name.into(), criteria, tls: None, filter }
}

/// A filter chain that reads HTTP for a route table.
pub(crate) fn http_chain(name: &str, routes: &str, criteria: FilterChainMatch) -> FilterChain {
    let http = HttpConnection {
        routes: routes.into(),
        codec: Codec::Auto,
        server_name: "istio-envoy".into(),
        use_remote_address: false,
        trusted_hops: 0,
        client_certificates: ClientCertificates::AppendForward,
        accept_http_10: false,
        stream_idle_timeout: None,
        idle_timeout: None,
        strict_server_name: false,
    };
    FilterChain { name: name.into(), criteria, tls: None, filter: NetworkFilter::Http(http) }
}

/// Termination of TLS.
pub(crate) fn tls(client: MutualMode) -> DownstreamTls {
    DownstreamTls {
        client,
        certificates: Vec::new(),
        client_ca: None,
        subject_alt_names: Vec::new(),
        verify_spki: Vec::new(),
        verify_hash: Vec::new(),
        min_version: None,
        max_version: None,
        cipher_suites: Vec::new(),
        alpn: Vec::new(),
        mesh: client == MutualMode::Required,
    }
}

/// One healthy endpoint.
pub(crate) fn endpoints(health: Health) -> Endpoints {
    let endpoint = Endpoint {
        address: EndpointAddress::Socket([10, 0, 0, 1].into(), 80),
        weight: 1,
        health,
        tls: EndpointTls::Plain,
        identity: Arc::default(),
    };
    Endpoints {
        localities: vec![LocalityEndpoints {
            endpoints: vec![endpoint],
            ..LocalityEndpoints::default()
        }],
    }
}
