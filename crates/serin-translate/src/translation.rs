//! The whole model of one proxy.

use std::sync::Arc;

use serin_api::Finding;
use serin_routing::Model;

use crate::authorization;
use crate::cluster::{Clusters, GatewayKind};
use crate::gateway::Edge;
use crate::mesh::{Mesh, Seen};
use crate::proxy::{Proxy, ProxyKind};
use crate::scope::Scope;
use crate::snapshot::{Snapshot, same};

/// What a proxy is to execute.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// The model.
    pub model: Model,
    /// What was found that concerns this proxy. What was found whatever the proxy, [`Snapshot::findings`] tells.
    pub findings: Vec<Finding>,
}

/// The model of `proxy` in a mesh.
pub fn translate(snapshot: &Snapshot, proxy: &Proxy) -> Translation {
    Parts::new(snapshot, proxy).translation(snapshot, proxy)
}

/// Makes models of one proxy, one after the other: what has not changed is the same `Arc` again, and costs little.
#[derive(Debug)]
pub struct Translator {
    proxy: Proxy,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    snapshot: Arc<Snapshot>,
    parts: Parts,
}

impl Translator {
    /// A translator for `proxy`.
    pub const fn new(proxy: Proxy) -> Self {
        Self { proxy, last: None }
    }

    /// The model in the mesh as it is now.
    pub fn translate(&mut self, snapshot: &Arc<Snapshot>) -> Translation {
        let parts = match &self.last {
            Some(last) => last.parts.next(&last.snapshot, snapshot, &self.proxy),
            None => Parts::new(snapshot, &self.proxy),
        };
        let translation = parts.translation(snapshot, &self.proxy);
        self.last = Some(Last { snapshot: Arc::clone(snapshot), parts });
        translation
    }
}

/// The parts of a model, with what they were made from.
#[derive(Debug)]
struct Parts {
    scope: Scope,
    traffic: Traffic,
    clusters: Arc<Clusters>,
}

/// Listeners and route tables.
#[derive(Debug)]
enum Traffic {
    Sidecar(Box<Mesh>),
    Gateway(Box<Edge>),
}

impl Parts {
    fn new(snapshot: &Snapshot, proxy: &Proxy) -> Self {
        let scope = Scope::new(snapshot, proxy);
        let traffic = Traffic::new(Seen { snapshot, scope: &scope }, proxy);
        let clusters = Arc::new(traffic.clusters(snapshot, &scope, proxy));
        Self { scope, traffic, clusters }
    }

    fn next(&self, before: &Snapshot, snapshot: &Snapshot, proxy: &Proxy) -> Self {
        let scope = self.scope.next(before, snapshot, proxy);
        let seen_before = Seen { snapshot: before, scope: &self.scope };
        let traffic = self.traffic.next(seen_before, Seen { snapshot, scope: &scope }, proxy);
        let same_clusters = snapshot.differs_in_rules_only(before)
            && same(self.scope.services(), scope.services())
            && self.traffic.needs_clusters_as(&traffic);
        let clusters = if same_clusters {
            Arc::clone(&self.clusters)
        } else {
            Arc::new(traffic.clusters(snapshot, &scope, proxy).sharing_with(&self.clusters))
        };
        Self { scope, traffic, clusters }
    }

    fn translation(&self, snapshot: &Snapshot, proxy: &Proxy) -> Translation {
        let (listeners, route_tables, findings) = match &self.traffic {
            Traffic::Sidecar(mesh) => (&mesh.listeners, &mesh.route_tables, &mesh.findings),
            Traffic::Gateway(edge) => (&edge.listeners, &edge.route_tables, &edge.findings),
        };
        let model = Model {
            listeners: listeners.clone(),
            route_tables: route_tables.clone(),
            clusters: self.clusters.clusters.clone(),
            endpoints: self.clusters.endpoints.clone(),
            authorization: authorization::of_gateway(snapshot, proxy, listeners),
            inbounds: Arc::clone(snapshot.inbounds()),
        };
        Translation { model, findings: findings.clone() }
    }
}

impl Traffic {
    fn new(seen: Seen<'_>, proxy: &Proxy) -> Self {
        match proxy.kind {
            ProxyKind::Sidecar => Self::Sidecar(Box::new(Mesh::new(seen, proxy))),
            ProxyKind::Gateway => Self::Gateway(Box::new(Edge::new(seen, proxy))),
        }
    }

    fn next(&self, before: Seen<'_>, seen: Seen<'_>, proxy: &Proxy) -> Self {
        match self {
            Self::Sidecar(mesh) => Self::Sidecar(Box::new(mesh.next(before, seen, proxy))),
            Self::Gateway(edge) => Self::Gateway(Box::new(edge.next(before, seen, proxy))),
        }
    }

    fn clusters(&self, snapshot: &Snapshot, scope: &Scope, proxy: &Proxy) -> Clusters {
        match self.gateway_kind() {
            None => Clusters::of_sidecar(snapshot, scope, proxy),
            Some(kind) => Clusters::of_gateway(snapshot, scope, proxy, kind),
        }
    }

    /// What a gateway is for; none for sidecars.
    const fn gateway_kind(&self) -> Option<GatewayKind> {
        match self {
            Self::Sidecar(_) => None,
            Self::Gateway(edge) => Some(edge.kind),
        }
    }

    fn needs_clusters_as(&self, other: &Self) -> bool {
        self.gateway_kind() == other.gateway_kind()
    }
}

#[cfg(test)]
mod tests;
