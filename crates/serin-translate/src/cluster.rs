//! Clusters and endpoints of the services that a proxy sees.
//!
//! Outbound there is a cluster for each port of each service in scope, and for each subset of it that the DestinationRule defines
//! (`outbound`); inbound one for each port of the workload (`inbound`). What the rule's settings do is kept apart by
//! concern: limits and protocol (`pool`), balancing and ejection (`balancing`), TLS (`tls`), and which endpoints there are,
//! in which order of preference (`endpoints`). Which cluster a request goes to is decided elsewhere; a route may name one
//! that is not here.

mod balancing;
mod endpoints;
mod inbound;
mod outbound;
mod peers;
mod pool;
mod tls;

use std::sync::Arc;

use serin_routing::balancer;
use serin_routing::model::{
    BLACK_HOLE_CLUSTER, ByName, Cluster, Discovery, Endpoints, INBOUND_PASSTHROUGH_CLUSTER,
    PASSTHROUGH_CLUSTER, UpstreamProtocol,
};

use crate::proxy::Proxy;
use crate::scope::Scope;
use crate::snapshot::Snapshot;

pub(crate) use tls::{AUTHORITIES_SUFFIX, credential, sni_name};

use outbound::{Outbound, SniRouting};

/// The clusters of a proxy and the endpoints of those that have a list of them, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Clusters {
    /// Clusters.
    pub(crate) clusters: ByName<Cluster>,
    /// Endpoints.
    pub(crate) endpoints: ByName<Endpoints>,
}

/// What a gateway is for, as far as clusters depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GatewayKind {
    /// It chooses clusters by its routes.
    #[default]
    Routing,
    /// Also by the server name of mutual TLS that it passes through (`AUTO_PASSTHROUGH`).
    AutoPassthrough,
}

impl Clusters {
    /// The clusters of a sidecar.
    pub(crate) fn of_sidecar(snapshot: &Snapshot, scope: &Scope, proxy: &Proxy) -> Self {
        let mut clusters = Self::default();
        Outbound::new(snapshot, scope, proxy).add_all(&mut clusters, SniRouting::No);
        inbound::add_all(&mut clusters, snapshot, scope, proxy);
        clusters.add_passthrough(PASSTHROUGH_CLUSTER, snapshot);
        clusters.add_passthrough(INBOUND_PASSTHROUGH_CLUSTER, snapshot);
        clusters.add_black_hole(snapshot);
        clusters
    }

    /// The clusters of a gateway.
    pub(crate) fn of_gateway(
        snapshot: &Snapshot,
        scope: &Scope,
        proxy: &Proxy,
        kind: GatewayKind,
    ) -> Self {
        let mut clusters = Self::default();
        let outbound = Outbound::new(snapshot, scope, proxy);
        outbound.add_all(&mut clusters, SniRouting::No);
        if kind == GatewayKind::AutoPassthrough {
            outbound.add_all(&mut clusters, SniRouting::Yes);
        }
        clusters.add_black_hole(snapshot);
        clusters
    }

    /// The same, with what is equal to the last version taken from it.
    pub(crate) fn sharing_with(mut self, last: &Self) -> Self {
        share(&mut self.clusters, &last.clusters);
        share(&mut self.endpoints, &last.endpoints);
        self
    }

    fn add(&mut self, cluster: Cluster, endpoints: Option<Endpoints>) {
        let name = Arc::clone(&cluster.name);
        if let Some(endpoints) = endpoints {
            self.endpoints.insert(Arc::clone(&name), Arc::new(endpoints));
        }
        self.clusters.insert(name, Arc::new(cluster));
    }

    fn add_passthrough(&mut self, name: &str, snapshot: &Snapshot) {
        let mut cluster = Cluster::new(Arc::from(name), Discovery::OriginalDestination);
        cluster.balancer = balancer::Policy::Passthrough;
        cluster.protocol = UpstreamProtocol::SameAsDownstream;
        pool::apply_defaults(&mut cluster, &snapshot.settings().mesh);
        self.add(cluster, None);
    }

    fn add_black_hole(&mut self, snapshot: &Snapshot) {
        let mut cluster = Cluster::new(Arc::from(BLACK_HOLE_CLUSTER), Discovery::BlackHole);
        pool::apply_defaults(&mut cluster, &snapshot.settings().mesh);
        self.add(cluster, None);
    }
}

fn share<T: PartialEq>(map: &mut ByName<T>, last: &ByName<T>) {
    let mut is_same = map.len() == last.len();
    for (name, value) in map.iter_mut() {
        match last.get(name).filter(|before| ***before == **value) {
            Some(before) => *value = Arc::clone(before),
            None => is_same = false,
        }
    }
    if is_same {
        *map = last.clone();
    }
}

#[cfg(test)]
mod tests;
