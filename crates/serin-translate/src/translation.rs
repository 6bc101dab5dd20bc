//! The whole model of one proxy.

use std::sync::Arc;

use serin_api::Finding;
use serin_routing::Model;

use crate::cluster::{Clusters, GatewayKind};
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
    Parts::new(snapshot, proxy).translation()
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
        let translation = parts.translation();
        self.last = Some(Last { snapshot: Arc::clone(snapshot), parts });
        translation
    }
}

/// The parts of a model, with what they were made from.
#[derive(Debug)]
struct Parts {
    scope: Scope,
    clusters: Arc<Clusters>,
    mesh: Mesh,
}

impl Parts {
    fn new(snapshot: &Snapshot, proxy: &Proxy) -> Self {
        let scope = Scope::new(snapshot, proxy);
        let clusters = Arc::new(clusters(snapshot, &scope, proxy));
        let mesh = match proxy.kind {
            ProxyKind::Sidecar => Mesh::new(Seen { snapshot, scope: &scope }, proxy),
            ProxyKind::Gateway => Mesh::default(),
        };
        Self { scope, clusters, mesh }
    }

    fn next(&self, before: &Snapshot, snapshot: &Snapshot, proxy: &Proxy) -> Self {
        let scope = self.scope.next(before, snapshot, proxy);
        let same_clusters =
            snapshot.differs_in_rules_only(before) && same(self.scope.services(), scope.services());
        let clusters = if same_clusters {
            Arc::clone(&self.clusters)
        } else {
            Arc::new(clusters(snapshot, &scope, proxy).sharing_with(&self.clusters))
        };
        let mesh = match proxy.kind {
            ProxyKind::Sidecar => {
                let before = Seen { snapshot: before, scope: &self.scope };
                self.mesh.next(before, Seen { snapshot, scope: &scope }, proxy)
            }
            ProxyKind::Gateway => Mesh::default(),
        };
        Self { scope, clusters, mesh }
    }

    fn translation(&self) -> Translation {
        let model = Model {
            listeners: self.mesh.listeners.clone(),
            route_tables: self.mesh.route_tables.clone(),
            clusters: self.clusters.clusters.clone(),
            endpoints: self.clusters.endpoints.clone(),
        };
        Translation { model, findings: self.mesh.findings.clone() }
    }
}

fn clusters(snapshot: &Snapshot, scope: &Scope, proxy: &Proxy) -> Clusters {
    match proxy.kind {
        ProxyKind::Sidecar => Clusters::of_sidecar(snapshot, scope, proxy),
        ProxyKind::Gateway => Clusters::of_gateway(snapshot, scope, proxy, GatewayKind::Routing),
    }
}

#[cfg(test)]
mod tests;
