//! One outbound listener in the making, and what happens when a further service wants it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serin_routing::model::{
    BLACK_HOLE_CLUSTER, Bind, Direction, FilterChain, FilterChainMatch, Inspect, Listener,
    NetworkFilter, TransportProtocol,
};

use crate::mesh::chains::{PASSTHROUGH_CHAIN, chain, tcp};
use crate::mesh::outbound::{Outbound, single};
use crate::registry::Protocol;

/// A listener for one address and port.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    address: IpAddr,
    port: u16,
    bind: Bind,
    /// What the first service's port speaks.
    declared: Protocol,
    /// What the listener is for: [`Protocol::Auto`] as soon as the first bytes of connections are looked at.
    pub(super) protocol: Protocol,
    chains: Vec<FilterChain>,
    conditions: HashSet<Conditions>,
    /// No service is added any more.
    pub(super) locked: bool,
}

/// What makes two chains alike.
type Conditions = (Option<TransportProtocol>, Vec<Arc<str>>, Vec<Arc<str>>, Vec<IpNet>);

/// A service cannot share a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// What the listener is for.
    pub(super) current: Protocol,
    /// What the service speaks.
    pub(super) wanted: Protocol,
}

impl Entry {
    /// A listener whose first service declares `declared`, and which is for `protocol`.
    pub(super) fn new(
        address: IpAddr,
        port: u16,
        bind: Bind,
        declared: Protocol,
        protocol: Protocol,
        chains: Vec<FilterChain>,
    ) -> Self {
        let conditions = chains.iter().map(|it| conditions(&it.criteria)).collect();
        Self { address, port, bind, declared, protocol, chains, conditions, locked: false }
    }

    /// Takes in what a further service wants. Chains that are told apart by nothing are left out, which is a conflict; so is
    /// looking at first bytes where a server may have to speak first.
    pub(super) fn merge(&mut self, wanted: Self) -> Result<(), Conflict> {
        let conflict = Conflict { current: self.protocol, wanted: wanted.declared };
        if self.declared != wanted.declared
            && (speaks_first(self.declared) || speaks_first(wanted.declared))
        {
            return Err(conflict);
        }
        if self.protocol.is_http() && wanted.protocol.is_sniffed() {
            // A listener for HTTP alone gives way to one that can do both.
            *self = wanted;
            return Ok(());
        }
        if self.protocol.is_tcp() != wanted.protocol.is_tcp() {
            self.protocol = Protocol::Auto;
        }
        let mut all_fit = true;
        for chain in wanted.chains {
            if self.conditions.insert(conditions(&chain.criteria)) {
                self.chains.push(chain);
            } else {
                all_fit = false;
            }
        }
        if all_fit { Ok(()) } else { Err(conflict) }
    }

    /// The listener. What no chain takes goes to the cluster `unknown`.
    pub(super) fn into_listener(self, unknown: &str, timeout: Duration) -> Listener {
        let sniffs = self.chains.iter().any(|it| !it.criteria.application_protocols.is_empty());
        let reads_names = self.chains.iter().any(|it| !it.criteria.server_names.is_empty());
        let is_match_all = |it: &FilterChain| it.criteria == FilterChainMatch::default();
        let (mut all, mut filter_chains): (Vec<_>, Vec<_>) =
            self.chains.into_iter().partition(is_match_all);
        let default_filter_chain = match all.pop() {
            Some(only) if filter_chains.is_empty() => {
                filter_chains.push(only);
                None
            }
            Some(other) => Some(other),
            None => Some(to_cluster(PASSTHROUGH_CHAIN, FilterChainMatch::default(), unknown)),
        };
        Listener {
            name: Arc::from(format!("{}_{}", self.address, self.port)),
            address: self.address,
            port: self.port,
            bind: self.bind,
            direction: Direction::Outbound,
            inspect: Inspect {
                tls: sniffs || reads_names,
                http: sniffs,
                proxy_protocol: false,
                timeout: (sniffs && !timeout.is_zero()).then_some(timeout),
            },
            filter_chains,
            default_filter_chain,
        }
    }
}

fn conditions(criteria: &FilterChainMatch) -> Conditions {
    let FilterChainMatch {
        server_names,
        transport_protocol,
        application_protocols,
        destination_prefixes,
        ..
    } = criteria.clone();
    (transport_protocol, application_protocols, server_names, destination_prefixes)
}

fn speaks_first(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Mongo | Protocol::MySql)
}

fn to_cluster(name: &str, criteria: FilterChainMatch, cluster: &str) -> FilterChain {
    chain(Arc::from(name), criteria, NetworkFilter::Tcp(tcp(single(Arc::from(cluster)))))
}

/// The listener that outbound traffic is redirected to. It passes connections on to the others; what is for none of them is
/// traffic to unknown destinations. Connections to its own port are no redirected ones, and would go round in circles.
pub(super) fn capture(wildcard: IpAddr, outbound: &Outbound<'_>) -> Listener {
    let port = u16::try_from(outbound.snapshot.settings().mesh.proxy_listen_port).unwrap_or(15001);
    let itself = FilterChainMatch { destination_port: Some(port), ..FilterChainMatch::default() };
    let unknown = outbound.unknown_cluster();
    Listener {
        name: Arc::from("virtualOutbound"),
        address: wildcard,
        port,
        bind: Bind::Capture,
        direction: Direction::Outbound,
        inspect: Inspect::default(),
        filter_chains: vec![
            to_cluster("virtualOutbound-blackhole", itself, BLACK_HOLE_CLUSTER),
            to_cluster("virtualOutbound-catchall-tcp", FilterChainMatch::default(), &unknown),
        ],
        default_filter_chain: None,
    }
}
