//! Pieces of filter chains, and those of outbound listeners.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serin_routing::model::{
    ClientCertificates, Codec, Destinations, FilterChain, FilterChainMatch, HttpConnection,
    NetworkFilter, TcpProxy, TransportProtocol,
};

/// ALPN values that sniffing gives plain HTTP. HTTP/1.0 is not among them: it would be refused, while as bytes it passes.
pub(super) const PLAIN_HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// Envoy's time that a connection may be idle where nothing is written.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);

/// The name of the chain for what no other takes.
pub(super) const PASSTHROUGH_CHAIN: &str = "PassthroughFilterChain";

/// Shared texts.
pub(crate) fn texts<'a>(list: impl IntoIterator<Item = &'a str>) -> Vec<Arc<str>> {
    list.into_iter().map(Arc::from).collect()
}

/// A chain of an outbound listener: TLS is never terminated there.
pub(super) fn chain(
    name: Arc<str>,
    criteria: FilterChainMatch,
    filter: NetworkFilter,
) -> FilterChain {
    FilterChain { name, criteria, tls: None, filter }
}

/// Conditions on the server name and the destination. A server name `*` and an address of all zeroes are none.
pub(crate) fn criteria<'a>(
    server_names: impl IntoIterator<Item = &'a str>,
    subnets: &[IpNet],
) -> FilterChainMatch {
    let mut server_names = texts(server_names);
    if server_names.iter().any(|name| &**name == "*") {
        server_names.clear();
    }
    server_names.sort();
    server_names.dedup();
    let mut destination_prefixes: Vec<_> =
        subnets.iter().map(IpNet::trunc).filter(|it| !it.addr().is_unspecified()).collect();
    destination_prefixes.sort();
    destination_prefixes.dedup();
    FilterChainMatch { server_names, destination_prefixes, ..FilterChainMatch::default() }
}

/// The condition of plain HTTP, as sniffing finds it.
pub(super) fn plain_http() -> FilterChainMatch {
    FilterChainMatch {
        transport_protocol: Some(TransportProtocol::Plain),
        application_protocols: texts(PLAIN_HTTP),
        ..FilterChainMatch::default()
    }
}

/// Reading HTTP on the way out.
pub(super) fn outbound_http(routes: Arc<str>) -> NetworkFilter {
    NetworkFilter::Http(HttpConnection {
        routes,
        codec: Codec::Auto,
        server_name: Arc::from("envoy"),
        use_remote_address: false,
        trusted_hops: 0,
        client_certificates: ClientCertificates::Sanitize,
        accept_http_10: false,
        stream_idle_timeout: None,
        idle_timeout: Some(IDLE_TIMEOUT),
        strict_server_name: false,
    })
}

/// Passing bytes on.
pub(crate) fn tcp(destinations: Destinations) -> TcpProxy {
    TcpProxy {
        destinations,
        idle_timeout: Some(IDLE_TIMEOUT),
        max_duration: None,
        hash_source_address: false,
        tunnel: None,
    }
}
