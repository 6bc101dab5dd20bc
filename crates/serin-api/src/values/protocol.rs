//! What a service port speaks, as far as its declaration says.

use std::fmt;

use serde::Serialize;

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Protocol {
    /// Bytes.
    Tcp,
    /// Datagrams; no proxy looks at them.
    Udp,
    /// HTTP/1.1.
    Http,
    /// An HTTP forward proxy (only listeners of a Sidecar object).
    HttpProxy,
    /// HTTP/2 without TLS.
    Http2,
    /// HTTP in TLS that the service itself terminates: opaque to proxies but for its server name.
    Https,
    /// gRPC.
    Grpc,
    /// gRPC for browsers.
    GrpcWeb,
    /// TLS that the service itself terminates.
    Tls,
    /// MongoDB, treated as bytes.
    Mongo,
    /// Redis, treated as bytes.
    Redis,
    /// MySQL, treated as bytes.
    MySql,
    /// Tunnels of the ambient mesh.
    Hbone,
    /// Not declared: the first bytes of each connection decide.
    Auto,
}

/// Names that objects use, in lower case.
const NAMES: [(&str, Protocol); 14] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("http", Protocol::Http),
    ("http_proxy", Protocol::HttpProxy),
    ("http2", Protocol::Http2),
    ("https", Protocol::Https),
    ("grpc", Protocol::Grpc),
    ("grpc-web", Protocol::GrpcWeb),
    ("grpc-web-text", Protocol::GrpcWeb),
    ("tls", Protocol::Tls),
    ("mongo", Protocol::Mongo),
    ("redis", Protocol::Redis),
    ("mysql", Protocol::MySql),
    ("hbone", Protocol::Hbone),
];

/// Ports whose usual protocols have the server speak first, so that waiting for the client's first bytes would hang: SMTP,
/// DNS, MySQL, MongoDB.
const SERVER_FIRST_PORTS: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// The protocol that `name` stands for in Istio's objects, in any case; [`Protocol::Auto`] for other names.
    pub fn parse(name: &str) -> Self {
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map_or(Self::Auto, |(_, protocol)| *protocol)
    }

    /// The protocol of a Kubernetes Service port: `appProtocol` first, else the port's name up to its first hyphen, else
    /// bytes on ports where servers speak first, else undeclared.
    pub fn of_service_port(
        number: u16,
        name: &str,
        transport: &str,
        app_protocol: Option<&str>,
    ) -> Self {
        if transport == "UDP" {
            return Self::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            _ => {}
        }
        let name = app_protocol.unwrap_or(name);
        if name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case("grpc-web")) {
            return Self::GrpcWeb;
        }
        let prefix = name.split_once('-').map_or(name, |(prefix, _)| prefix);
        match Self::parse(prefix) {
            Self::Auto if SERVER_FIRST_PORTS.contains(&number) => Self::Tcp,
            protocol => protocol,
        }
    }

    /// Whether proxies read requests.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpProxy | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Whether requests are HTTP/2.
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Whether proxies pass bytes on without reading requests.
    pub const fn is_tcp(self) -> bool {
        matches!(
            self,
            Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::Redis | Self::MySql
        )
    }

    /// Whether connections are TLS that the service terminates.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether the first bytes of each connection decide.
    pub const fn is_sniffed(self) -> bool {
        matches!(self, Self::Auto)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            NAMES.iter().find(|(_, protocol)| protocol == self).map_or("auto", |(name, _)| name);
        f.write_str(&name.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_of_a_port_is_its_app_protocol_then_its_name_then_its_number() {
        let check = |number, name, app_protocol, expect| {
            let protocol = Protocol::of_service_port(number, name, "TCP", app_protocol);
            assert_eq!(protocol, expect, "{number} {name} {app_protocol:?}");
        };
        check(80, "http", None, Protocol::Http);
        check(80, "HTTP-web", None, Protocol::Http);
        check(80, "http2-web", None, Protocol::Http2);
        check(80, "httpweb", None, Protocol::Auto);
        check(80, "grpc-web", None, Protocol::GrpcWeb);
        check(80, "grpc-web-x", None, Protocol::GrpcWeb);
        check(80, "grpc-x", None, Protocol::Grpc);
        check(80, "", None, Protocol::Auto);
        check(443, "https-x", None, Protocol::Https);
        check(80, "tcp-x", Some("http"), Protocol::Http);
        check(80, "http", Some("kubernetes.io/h2c"), Protocol::Http2);
        check(80, "http", Some("kubernetes.io/ws"), Protocol::Http);
        check(80, "http", Some("kubernetes.io/wss"), Protocol::Https);
        check(80, "http", Some("example.com/mine"), Protocol::Auto);
        check(3306, "db", None, Protocol::Tcp);
        check(27017, "", None, Protocol::Tcp);
        check(25, "", None, Protocol::Tcp);
        check(53, "dns", None, Protocol::Tcp);
        check(3306, "http", None, Protocol::Http);
        check(3306, "db", Some("unknown"), Protocol::Tcp);
    }

    #[test]
    fn datagrams_are_datagrams_whatever_their_name() {
        assert_eq!(Protocol::of_service_port(80, "http", "UDP", Some("http")), Protocol::Udp);
    }
}
