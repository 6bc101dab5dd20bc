//! Traffic that a workload keeps out of the mesh by annotations (`traffic.sidecar.istio.io/…`).
//!
//! With a sidecar of its own such traffic would pass the proxy by. Here the proxy is the only way out of a pod, and so it carries that
//! traffic as it carries that of workloads outside of the mesh: to Services by plain balancing, to all else as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serin_routing::Model;
use serin_routing::model::{
    Bind, Direction, FilterChain, FilterChainMatch, Listener, NetworkFilter,
};

use crate::plain;

const PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
const RANGES: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
const ONLY_RANGES: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
const ALSO_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";

/// What of a workload's outbound traffic is not the mesh's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Exclusions {
    /// Destination ports.
    ports: BTreeSet<u16>,
    /// Blocks of destination addresses.
    ranges: BTreeSet<IpNet>,
    /// The only blocks that are the mesh's; all addresses where nothing is said.
    only: Option<BTreeSet<IpNet>>,
    /// Ports that are the mesh's whatever the address.
    also: BTreeSet<u16>,
}

impl Exclusions {
    /// What a pod's annotations say. What cannot be read says nothing.
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Self {
        let listed = |key: &str| annotations.get(key).into_iter().flat_map(|it| parts(it));
        let only = annotations.get(ONLY_RANGES).filter(|it| it.trim() != "*");
        Self {
            ports: listed(PORTS).filter_map(|it| it.parse().ok()).collect(),
            ranges: listed(RANGES).filter_map(block).collect(),
            only: only.map(|it| parts(it).filter_map(block).collect()),
            also: listed(ALSO_PORTS).filter_map(|it| it.parse().ok()).collect(),
        }
    }

    /// Whether all traffic is the mesh's.
    pub(crate) fn are_none(&self) -> bool {
        self.ports.is_empty() && self.ranges.is_empty() && self.only.is_none()
    }

    /// Whether traffic to an address and port is not the mesh's.
    fn cover(&self, address: IpAddr, port: u16) -> bool {
        let within = |blocks: &BTreeSet<IpNet>| blocks.iter().any(|it| it.contains(&address));
        let by_address = within(&self.ranges) || self.only.as_ref().is_some_and(|it| !within(it));
        self.ports.contains(&port) || (by_address && !self.also.contains(&port))
    }

    /// The model of a workload in the mesh, with that of workloads outside of it for what is excluded.
    pub(crate) fn apply(&self, mesh: &Model, plain: &Model) -> Model {
        let mut model = mesh.clone();
        let is_ours =
            |it: &Listener| it.bind == Bind::Captured && it.direction == Direction::Outbound;
        for (name, listener) in &mesh.listeners {
            if !is_ours(listener) {
                continue;
            }
            if listener.address.is_unspecified() && !self.ports.contains(&listener.port) {
                let narrowed = Arc::new(self.narrowed(listener));
                model.listeners.insert(Arc::clone(name), narrowed);
            } else if self.ports.contains(&listener.port)
                || self.cover(listener.address, listener.port)
            {
                model.listeners.remove(name);
            }
        }
        for (name, listener) in &plain.listeners {
            if is_ours(listener) && self.cover(listener.address, listener.port) {
                model.listeners.insert(Arc::clone(name), Arc::clone(listener));
                for cluster in plain::clusters(listener) {
                    let found = (plain.clusters.get(cluster), plain.endpoints.get(cluster));
                    if let Some(table) = plain.route_tables.get(cluster) {
                        model.route_tables.insert(Arc::clone(cluster), Arc::clone(table));
                    }
                    if let (Some(made), endpoints) = found {
                        model.clusters.insert(Arc::clone(cluster), Arc::clone(made));
                        if let Some(it) = endpoints {
                            model.endpoints.insert(Arc::clone(cluster), Arc::clone(it));
                        }
                    }
                }
            }
        }
        model
    }

    /// A listener for every address, whose chains leave alone the addresses that are excluded.
    fn narrowed(&self, listener: &Listener) -> Listener {
        let mut listener = listener.clone();
        if self.also.contains(&listener.port) {
            return listener;
        }
        if let Some(only) = &self.only {
            let only: Vec<IpNet> = only.iter().copied().collect();
            for chain in &mut listener.filter_chains {
                if chain.criteria.destination_prefixes.is_empty() {
                    chain.criteria.destination_prefixes.clone_from(&only);
                }
            }
            listener.default_filter_chain = Some(passed_on(FilterChainMatch::default()));
        }
        if !self.ranges.is_empty() {
            let destination_prefixes = self.ranges.iter().copied().collect();
            let criteria = FilterChainMatch { destination_prefixes, ..FilterChainMatch::default() };
            listener.filter_chains.push(passed_on(criteria));
        }
        listener
    }
}

fn passed_on(criteria: FilterChainMatch) -> FilterChain {
    let filter = NetworkFilter::Tcp(plain::tcp_to(plain::passthrough(), false));
    FilterChain { name: Arc::from("excluded"), criteria, tls: None, filter }
}

fn parts(written: &str) -> impl Iterator<Item = &str> {
    written.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// A block of addresses, or a single address.
fn block(written: &str) -> Option<IpNet> {
    let block = written.parse::<IpNet>().ok().map(|it| it.trunc());
    block.or_else(|| written.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests;
