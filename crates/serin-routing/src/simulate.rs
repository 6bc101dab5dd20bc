//! What happens to a call at one proxy: which listener and filter chain take it, and where it goes from there.
//!
//! The twin of Istio's own simulation of Envoy configurations (`pilot/pkg/simulation`), with its defaults, so that the same
//! tables of calls and expectations can be asked of both. Nothing is sent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

use crate::connection::{self, Connection, NoFilterChain};
use crate::explain::{Explanation, Problem, clusters, explain};
use crate::model::{
    Direction, DownstreamTls, FilterChain, HttpConnection, Listener, Model, MutualMode,
    NetworkFilter, TransportProtocol,
};
use crate::request::{Downstream, RequestParts, without_port};
use crate::response::Failure;

/// The address of calls that name none.
const ANY_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 3, 3, 7));

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Call {
    /// A name for reports.
    pub name: Option<String>,
    /// The address that is called.
    pub address: Option<IpAddr>,
    /// The port that is called.
    pub port: u16,
    /// What is spoken, within TLS if there is TLS.
    pub protocol: Protocol,
    /// Whether TLS is spoken.
    pub tls: TlsMode,
    /// The server name; with plain TLS the host of the authority if none is given.
    pub sni: Option<String>,
    /// The application protocols offered by ALPN, with commas between; what a client of the protocol offers if none is given.
    pub alpn: Option<String>,
    /// The method; `GET`, and `POST` with gRPC.
    pub method: Option<String>,
    /// Path and query; `/`, and none with `CONNECT`.
    pub path: Option<String>,
    /// The authority; the `host` header if there is one.
    pub authority: Option<String>,
    /// Headers.
    pub headers: BTreeMap<String, Values>,
    /// Which side of the proxy is called.
    pub direction: Option<Direction>,
    /// Who calls.
    pub source: Option<Source>,
}

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What a call speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// Other bytes.
    Tcp,
    /// Other bytes within TLS.
    Tls,
}

/// Whether a call speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// It does not.
    #[default]
    #[serde(alias = "plaintext")]
    None,
    /// The client shows no certificate.
    Tls,
    /// The client shows a certificate.
    Mtls,
}

/// A workload that calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Tells what happens to a call at the proxy that executes `model`. A call without a direction takes `direction`.
pub fn simulate(model: &Model, direction: Direction, call: &Call) -> Explanation {
    let direction = call.direction.unwrap_or(direction);
    let address = call.address.unwrap_or(ANY_ADDRESS);
    let Some(listener) = connection::listener(model, direction, address, call.port) else {
        return Explanation { error: Some(Problem::NoListener), ..Explanation::default() };
    };
    let mut explanation = match chain_for(listener, call, address) {
        Ok(chain) => {
            let explanation = through_chain(model, chain, call);
            Explanation { filter_chain: Some(chain.name.to_string()), ..explanation }
        }
        Err(error) => {
            let problem = match error {
                NoFilterChain::NoneFits => Problem::NoFilterChain,
                NoFilterChain::Ambiguous => Problem::AmbiguousFilterChain,
            };
            Explanation { error: Some(problem), ..Explanation::default() }
        }
    };
    explanation.listener = Some(listener.name.to_string());
    explanation
}

/// The filter chain that takes a call, by what the listener can see of it.
fn chain_for<'m>(
    listener: &'m Listener,
    call: &Call,
    address: IpAddr,
) -> Result<&'m FilterChain, NoFilterChain> {
    let is_tls = call.tls_mode() != TlsMode::None;
    let sees_tls = is_tls && listener.inspect.tls;
    let server_name = if sees_tls { call.server_name() } else { String::new() };
    let offered = call.offered_protocols();
    let protocols: Vec<&str> = if sees_tls {
        offered.split(',').map(str::trim).filter(|protocol| !protocol.is_empty()).collect()
    } else if !is_tls && listener.inspect.http {
        call.protocol.recognised().into_iter().collect()
    } else {
        Vec::new()
    };
    let connection = Connection {
        address: Some(address),
        port: call.port,
        transport: if sees_tls { TransportProtocol::Tls } else { TransportProtocol::Plain },
        server_name: &server_name,
        protocols: &protocols,
    };
    connection::filter_chain(listener, &connection)
}

fn through_chain(model: &Model, chain: &FilterChain, call: &Call) -> Explanation {
    let fail = |problem: Problem| Explanation { error: Some(problem), ..Explanation::default() };
    if let Some(problem) = chain.tls.as_ref().and_then(|tls| tls_problem(tls, call.tls_mode())) {
        return fail(problem);
    }
    match &chain.filter {
        NetworkFilter::Http(http) => {
            let is_unreadable = chain.tls.is_none() && call.tls_mode() != TlsMode::None;
            if is_unreadable || !call.protocol.is_http() {
                return fail(Problem::ProtocolError);
            }
            through_routes(model, http, call)
        }
        NetworkFilter::Tcp(tcp) => {
            let clusters = clusters(model, tcp.destinations.list());
            let problems: Option<Vec<Problem>> =
                clusters.iter().map(|cluster| cluster.problem).collect();
            let error = problems.and_then(|problems| problems.first().copied());
            Explanation { clusters, error, ..Explanation::default() }
        }
    }
}

/// What is wrong between a chain that terminates TLS and a client.
fn tls_problem(tls: &DownstreamTls, client: TlsMode) -> Option<Problem> {
    match (client, tls.client) {
        (TlsMode::None, _) => Some(Problem::TlsError),
        (TlsMode::Tls, MutualMode::Required) | (TlsMode::Mtls, MutualMode::None) => {
            Some(Problem::MtlsError)
        }
        _ => None,
    }
}

fn through_routes(model: &Model, http: &HttpConnection, call: &Call) -> Explanation {
    match model.route_tables.get(&http.routes) {
        Some(table) => explain(model, table, &call.request()),
        None => {
            let mut explanation = Explanation {
                route_table: Some(http.routes.to_string()),
                ..Explanation::default()
            };
            explanation.fail(Problem::NoVirtualHost, Failure::RouteNotFound);
            explanation
        }
    }
}

impl Protocol {
    const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc)
    }

    /// What the first bytes show.
    const fn recognised(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("http/1.1"),
            Self::Http2 | Self::Grpc => Some("h2c"),
            Self::Tcp | Self::Tls => None,
        }
    }
}

impl Call {
    fn tls_mode(&self) -> TlsMode {
        if self.protocol == Protocol::Tls && self.tls == TlsMode::None {
            TlsMode::Tls
        } else {
            self.tls
        }
    }

    fn authority(&self) -> String {
        let header = |name: &str| {
            let (_, values) =
                self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))?;
            values.iter().next().cloned()
        };
        self.authority
            .clone()
            .or_else(|| header(":authority"))
            .or_else(|| header("host"))
            .unwrap_or_default()
    }

    fn server_name(&self) -> String {
        let of_authority = || match self.tls_mode() {
            TlsMode::Tls => {
                String::from_utf8_lossy(without_port(self.authority().as_bytes())).into_owned()
            }
            TlsMode::None | TlsMode::Mtls => String::new(),
        };
        self.sni.clone().unwrap_or_else(of_authority).to_ascii_lowercase()
    }

    /// What a client of the protocol offers: Istio's own protocols within mutual TLS.
    fn offered_protocols(&self) -> String {
        let default = || match (self.tls_mode(), self.protocol) {
            (TlsMode::Mtls, Protocol::Http) => "istio-http/1.1",
            (TlsMode::Mtls, Protocol::Http2 | Protocol::Grpc) => "istio-h2",
            (TlsMode::Mtls, Protocol::Tcp | Protocol::Tls) => "istio",
            (TlsMode::Tls, Protocol::Http) => "http/1.1",
            (TlsMode::Tls, Protocol::Http2 | Protocol::Grpc) => "h2",
            (TlsMode::Tls, Protocol::Tcp | Protocol::Tls) | (TlsMode::None, _) => "",
        };
        self.alpn.clone().unwrap_or_else(|| default().to_owned())
    }

    /// The request of an HTTP call.
    fn request(&self) -> RequestParts {
        let is_grpc = self.protocol == Protocol::Grpc;
        let default_method = if is_grpc { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default_method);
        let default_path = if method == "CONNECT" { "" } else { "/" };
        let path = self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(default_path);
        let is_authority = |name: &str| name.eq_ignore_ascii_case("host") || name.starts_with(':');
        let named = self.headers.iter().filter(|(name, _)| !is_authority(name));
        let mut headers: Vec<(String, Vec<u8>)> = named
            .flat_map(|(name, values)| {
                values.iter().map(|value| (name.to_ascii_lowercase(), value.clone().into_bytes()))
            })
            .collect();
        if is_grpc && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), b"application/grpc".to_vec()));
        }
        RequestParts {
            method: method.to_owned(),
            scheme: if self.tls_mode() == TlsMode::None { "http" } else { "https" }.to_owned(),
            authority: self.authority(),
            target: path.to_owned(),
            headers,
            downstream: Downstream { listener_port: self.port, ..Downstream::default() },
            claims: BTreeMap::new(),
        }
    }
}

impl Values {
    fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Several(values) => values.iter(),
        }
    }
}

#[cfg(test)]
mod tests;
