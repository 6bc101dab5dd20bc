//! Which listener takes a connection, and which of its filter chains reads it.
//!
//! As Envoy does: filter chains are sifted by one condition after the other, and of each condition only the chains
//! that fit best stay. There is no way back: a chain that fits its port best and then fails by server name is not
//! replaced by one that names no port.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{
    Bind, Direction, FilterChain, FilterChainMatch, Listener, Model, TransportProtocol,
};

/// What is known of a connection before any of it is read as HTTP.
#[derive(Clone, Debug)]
pub struct Connection<'c> {
    /// The address that the client meant.
    pub address: Option<IpAddr>,
    /// The port that the client meant.
    pub port: u16,
    /// Whether it speaks TLS, as far as the listener looks.
    pub transport: TransportProtocol,
    /// The server name in its ClientHello, lower-case; empty if there is none.
    pub server_name: &'c str,
    /// The application protocols that it offers by ALPN or that were recognised, best first.
    pub protocols: &'c [&'c str],
}

/// Why no filter chain reads a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFilterChain {
    /// None fits, and there is none for the rest.
    #[error("no filter chain of the listener fits the connection")]
    NoneFits,
    /// Several fit equally well.
    #[error("several filter chains of the listener fit the connection equally well")]
    Ambiguous,
}

/// The listener that takes a connection to an address and port: of the exact address before that of all addresses, and
/// the capture listener itself where there is none.
pub fn listener(
    model: &Model,
    direction: Direction,
    address: IpAddr,
    port: u16,
) -> Option<&Listener> {
    let listeners = || {
        model
            .listeners
            .values()
            .map(|listener| &**listener)
            .filter(|listener| listener.direction == direction)
    };
    let at_port =
        || listeners().filter(|listener| listener.port == port && listener.bind != Bind::Capture);
    at_port()
        .find(|listener| listener.address == address)
        .or_else(|| at_port().find(|listener| listener.address.is_unspecified()))
        .or_else(|| listeners().find(|listener| listener.bind == Bind::Capture))
}

/// What must be seen of a connection before its filter chain can be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Whether it begins with TLS's ClientHello, and what that says.
    pub tls: bool,
    /// Whether it begins with HTTP.
    pub http: bool,
}

/// What the filter chains for an address and port ask for. Connections of which nothing is asked must not be waited for: in
/// some protocols the server speaks first.
pub fn asks(listener: &Listener, address: Option<IpAddr>, port: u16) -> Asks {
    let transport = TransportProtocol::Plain;
    let connection = Connection { address, port, transport, server_name: "", protocols: &[] };
    let is_http = |protocol: &Arc<str>| HTTP_PROTOCOLS.contains(&&**protocol);
    let mut asks = Asks::default();
    // Sifted by what is known without looking.
    let Some(best) = sift(listener, &connection, 2) else { return asks };
    let left = listener.filter_chains.iter();
    for chain in left.filter(|chain| has_fits(chain, &connection, &best[..2])) {
        let criteria = &chain.criteria;
        asks.http |= criteria.application_protocols.iter().any(is_http);
        asks.tls |= !criteria.server_names.is_empty()
            || criteria.transport_protocol.is_some()
            || !criteria.application_protocols.iter().all(is_http);
    }
    asks
}

/// What sniffing finds.
const HTTP_PROTOCOLS: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// The filter chain of a listener that reads a connection.
///
/// # Errors
/// If none fits, or several do.
pub fn filter_chain<'m>(
    listener: &'m Listener,
    connection: &Connection<'_>,
) -> Result<&'m FilterChain, NoFilterChain> {
    let Some(best) = sift(listener, connection, CONDITIONS.len()) else {
        return listener.default_filter_chain.as_ref().ok_or(NoFilterChain::NoneFits);
    };
    let mut left = listener.filter_chains.iter().filter(|chain| has_fits(chain, connection, &best));
    match (left.next(), left.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(NoFilterChain::Ambiguous),
        (None, _) => listener.default_filter_chain.as_ref().ok_or(NoFilterChain::NoneFits),
    }
}

/// How well the first `count` conditions are fitted by the chains that fit best; `None` if no chain is left.
fn sift(
    listener: &Listener,
    connection: &Connection<'_>,
    count: usize,
) -> Option<[Fit; CONDITIONS.len()]> {
    let mut best = [Fit::Unset; CONDITIONS.len()];
    for (number, condition) in CONDITIONS.iter().enumerate().take(count) {
        let left = listener
            .filter_chains
            .iter()
            .filter(|chain| has_fits(chain, connection, &best[..number]));
        best[number] = left.filter_map(|chain| condition(&chain.criteria, connection)).max()?;
    }
    Some(best)
}

/// How well a condition fits; the larger, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// There is no condition.
    Unset,
    /// By a part of this length.
    Part(usize),
    /// Exactly.
    Exact,
}

/// How well one condition of a chain fits a connection; `None` if it does not.
type Condition = fn(&FilterChainMatch, &Connection<'_>) -> Option<Fit>;

/// The conditions, in the order in which chains are sifted.
const CONDITIONS: [Condition; 5] = [port, address, server_name, transport, protocol];

fn has_fits(chain: &FilterChain, connection: &Connection<'_>, fits: &[Fit]) -> bool {
    CONDITIONS
        .iter()
        .zip(fits)
        .all(|(condition, fit)| condition(&chain.criteria, connection) == Some(*fit))
}

fn port(criteria: &FilterChainMatch, connection: &Connection<'_>) -> Option<Fit> {
    match criteria.destination_port {
        None => Some(Fit::Unset),
        Some(port) => (port == connection.port).then_some(Fit::Exact),
    }
}

fn address(criteria: &FilterChainMatch, connection: &Connection<'_>) -> Option<Fit> {
    if criteria.destination_prefixes.is_empty() {
        return Some(Fit::Unset);
    }
    let address = connection.address?;
    let containing =
        criteria.destination_prefixes.iter().filter(|prefix| prefix.contains(&address));
    containing.map(|prefix| Fit::Part(usize::from(prefix.prefix_len()))).max()
}

fn server_name(criteria: &FilterChainMatch, connection: &Connection<'_>) -> Option<Fit> {
    if criteria.server_names.is_empty() {
        return Some(Fit::Unset);
    }
    let name = connection.server_name;
    let fit = |pattern: &str| match pattern.strip_prefix('*') {
        Some("") => Some(Fit::Unset),
        Some(suffix) => {
            (name.len() > suffix.len() && name.ends_with(suffix)).then_some(Fit::Part(suffix.len()))
        }
        None => (name == pattern).then_some(Fit::Exact),
    };
    criteria.server_names.iter().filter_map(|pattern| fit(&pattern.to_ascii_lowercase())).max()
}

fn transport(criteria: &FilterChainMatch, connection: &Connection<'_>) -> Option<Fit> {
    match criteria.transport_protocol {
        None => Some(Fit::Unset),
        Some(transport) => (transport == connection.transport).then_some(Fit::Exact),
    }
}

/// The client's first protocol that any chain has decides.
fn protocol(criteria: &FilterChainMatch, connection: &Connection<'_>) -> Option<Fit> {
    if criteria.application_protocols.is_empty() {
        return Some(Fit::Unset);
    }
    let is_listed = |protocol: &&str| {
        criteria.application_protocols.iter().any(|listed| **listed == **protocol)
    };
    let place = connection.protocols.iter().position(is_listed)?;
    Some(Fit::Part(connection.protocols.len() - place))
}

#[cfg(test)]
mod tests;
