//! A model as every core executes it: compiled, with what the cores share of each cluster.

use std::collections::HashMap;
use std::sync::Arc;

use serin_routing::Model;
use serin_routing::balancer::EndpointSet;
use serin_routing::breaker::Breaker;
use serin_routing::compiled::{CompiledModel, CompiledTable};
use serin_routing::model::{ByName, Cluster, Listener};

/// A version of the model. Requests hold on to the one they began with.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counted from 1; 0 before the first.
    pub(crate) version: u64,
    /// Listeners, route tables and clusters.
    pub(crate) compiled: CompiledModel,
    /// What the cores share of each cluster.
    pub(crate) clusters: HashMap<Arc<str>, Arc<SharedCluster>>,
    listeners: ByName<Listener>,
}

/// What the cores share of a cluster.
#[derive(Debug)]
pub(crate) struct SharedCluster {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) endpoints: Arc<EndpointSet>,
    /// Limits hold for all cores together.
    pub(crate) breaker: Arc<Breaker>,
}

impl Snapshot {
    /// Compiles a model, taking over from the version before what is the same.
    pub(crate) fn new(version: u64, model: Model, before: Option<&Self>) -> Self {
        let model = Arc::new(model);
        let compiled = match before {
            Some(before) => before.compiled.updated(Arc::clone(&model)),
            None => CompiledModel::new(Arc::clone(&model)),
        };
        let clusters = model.clusters.iter().map(|(name, cluster)| {
            let old = before.and_then(|before| before.clusters.get(name));
            let is_same = |old: &&Arc<SharedCluster>| {
                let known = before.and_then(|it| it.compiled.model().endpoints.get(name));
                Arc::ptr_eq(&old.cluster, cluster)
                    && known.map(Arc::as_ptr) == model.endpoints.get(name).map(Arc::as_ptr)
            };
            let shared = old.filter(is_same).cloned();
            let shared = shared.unwrap_or_else(|| SharedCluster::new(cluster, &model, old));
            (Arc::clone(name), shared)
        });
        Self { version, clusters: clusters.collect(), listeners: model.listeners.clone(), compiled }
    }

    /// Whether a listener of the name has a place in this version.
    pub(crate) fn has_listener(&self, name: &str) -> bool {
        self.listeners.contains_key(name)
    }

    /// A listener, by name.
    pub(crate) fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.get(name)
    }

    /// A route table, by name.
    pub(crate) fn table(&self, name: &str) -> Option<&CompiledTable> {
        self.compiled.table(name).map(|table| &**table)
    }
}

impl SharedCluster {
    fn new(cluster: &Arc<Cluster>, model: &Model, old: Option<&Arc<Self>>) -> Arc<Self> {
        let endpoints = model.endpoints.get(&cluster.name).cloned().unwrap_or_default();
        let same_limits = old.filter(|old| old.cluster.limits == cluster.limits);
        let breaker = same_limits
            .map_or_else(|| Breaker::new(cluster.limits.clone()), |old| Arc::clone(&old.breaker));
        let endpoints = Arc::new(EndpointSet::new(cluster, endpoints));
        Arc::new(Self { cluster: Arc::clone(cluster), endpoints, breaker })
    }
}
