//! Why a request gets no answer from where it was sent, in a sentence, with what to do.

use serin_routing::explain::{Explanation, Problem};
use serin_routing::model::{Direction, Model, PASSTHROUGH_CLUSTER};
use serin_routing::simulate::Call;

use super::text::cluster_name;

/// So many names are listed; the rest is counted.
const MAX_NAMES: usize = 8;

/// The sentence for an explanation that has an error, or that leads out of the mesh.
pub(super) fn of(
    way: &Explanation,
    model: &Model,
    direction: Direction,
    call: &Call,
) -> Option<String> {
    let Some(error) = way.error else {
        let leaves = way.clusters.iter().any(|cluster| cluster.name == PASSTHROUGH_CLUSTER);
        let host = call.authority.as_deref().filter(|host| leaves && !host.is_empty())?;
        return Some(format!(
            "no service and no rule is for {host}: the request leaves the mesh for the address that the client looked up"
        ));
    };
    let sentence = match error {
        Problem::NoListener => no_listener(model, call.direction.unwrap_or(direction), call.port),
        Problem::NoFilterChain => format!(
            "the listener takes no such connection{}: compare server name, TLS and protocol with the servers of the port",
            call.sni.as_ref().map(|sni| format!(" (server name {sni})")).unwrap_or_default()
        ),
        Problem::AmbiguousFilterChain => {
            "several servers of the port fit equally well; Envoy would refuse the listener: give them hosts that differ".into()
        }
        Problem::NoVirtualHost => no_virtual_host(way, model, call),
        Problem::NoRoute => match way.rejected.len() {
            0 => "the virtual host has no rules".into(),
            1 => "the only rule of the virtual host does not take the request; a rule without conditions would".into(),
            count => format!("none of the {count} rules of the virtual host takes the request; a rule without conditions would"),
        },
        Problem::TlsRedirect => "the server answers plain HTTP with a redirect (tls.httpsRedirect)".into(),
        Problem::ProtocolError => "the listener expects another protocol than the client speaks".into(),
        Problem::TlsError => "the listener expects TLS and the client does not speak it: use https".into(),
        Problem::MtlsError => {
            "the listener and the client do not agree on client certificates: compare PeerAuthentication, the server's TLS mode and the client's".into()
        }
        problem @ (Problem::ClusterNotFound | Problem::NoHealthyEndpoint) => {
            of_cluster(problem, way.clusters.first().map_or("", |cluster| &cluster.name))
        }
    };
    Some(sentence)
}

/// What is wrong with one destination.
pub(super) fn of_cluster(problem: Problem, cluster: &str) -> String {
    let parts: Vec<&str> = cluster.split('|').collect();
    match (problem, &parts[..]) {
        (Problem::ClusterNotFound, [_, port, "", host]) => {
            format!("there is no service {host} with port {port} that this proxy can see")
        }
        (Problem::ClusterNotFound, [_, port, subset, host]) => format!(
            "no DestinationRule that this proxy can see defines subset {subset} of {host}, or the service has no port {port}"
        ),
        (Problem::NoHealthyEndpoint, [_, _, "", host]) => {
            format!("no ready pod is selected by the service {host}")
        }
        (Problem::NoHealthyEndpoint, [_, _, subset, host]) => {
            format!("no ready pod of {host} has the labels of subset {subset}")
        }
        (Problem::ClusterNotFound, _) => "the rule leads nowhere".into(),
        _ => format!("{} has no endpoint", cluster_name(cluster)),
    }
}

fn no_listener(model: &Model, direction: Direction, port: u16) -> String {
    let mut ports: Vec<u16> =
        model.listeners.values().filter(|it| it.direction == direction).map(|it| it.port).collect();
    ports.sort_unstable();
    ports.dedup();
    match direction {
        Direction::Gateway if ports.is_empty() => format!(
            "nothing listens on port {port}: no Gateway selects this gateway's labels (--from-gateway), or none of its ports is served"
        ),
        _ if ports.is_empty() => format!("nothing listens on port {port}"),
        _ => format!(
            "nothing listens on port {port}; there is {}",
            listed(ports.iter().map(u16::to_string))
        ),
    }
}

fn no_virtual_host(way: &Explanation, model: &Model, call: &Call) -> String {
    let authority = call.authority.as_deref().unwrap_or_default();
    let table = way.route_table.as_ref().and_then(|name| model.route_tables.get(name.as_str()));
    let domains: Vec<String> = table
        .into_iter()
        .flat_map(|table| &table.virtual_hosts)
        .filter_map(|host| host.domains.first())
        .map(ToString::to_string)
        .collect();
    if domains.is_empty() {
        return format!("no rule is bound to this port for {authority} or any other host");
    }
    format!("no rule is for the host {authority}; there is {}", listed(domains.into_iter()))
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let shown: Vec<String> = names.take(MAX_NAMES).collect();
    match count.checked_sub(MAX_NAMES) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
