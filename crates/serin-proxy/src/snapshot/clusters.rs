//! What cores share of a workload's clusters: made when a core first uses a cluster, for most workloads use few of those that
//! they know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serin_routing::Model;
use serin_routing::balancer::{EndpointSet, Observed};
use serin_routing::breaker::Breaker;
use serin_routing::model::{
    ByName, Cluster, ClusterTls, EndpointTls, Endpoints, Tls, UpstreamTlsMode,
};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::{TlsProblem, tell};
use crate::tls::{Certificates, ClientTls, TlsError};

/// TLS towards a cluster; an error where it cannot be made, so that nothing leaves without it.
type UpstreamTls = Result<Arc<ClientTls>, TlsError>;

/// The clusters of one version of a workload's model.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    clusters: ByName<Cluster>,
    endpoints: ByName<Endpoints>,
    /// Names of those that ask for TLS.
    with_tls: Arc<[Arc<str>]>,
    tls: HashMap<Arc<str>, UpstreamTls>,
    endpoint_sets: Arc<EndpointSets>,
    made: Mutex<HashMap<Arc<str>, Arc<SharedCluster>>>,
}

/// What the cores share of a cluster.
#[derive(Debug)]
pub(crate) struct SharedCluster {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) endpoints: Observed,
    /// What they were made from.
    listed: Arc<Endpoints>,
    /// Limits hold for all cores together.
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) tls: Option<UpstreamTls>,
    /// Tells of the breaker's limit of connections, if there is one, that a connection has closed.
    closed: Arc<Notify>,
}

/// What TLS towards clusters is made with.
pub(super) struct ClusterTlsMaker<'m> {
    pub(super) certificates: &'m mut Certificates,
    pub(super) problems: &'m mut Vec<TlsProblem>,
}

impl Clusters {
    /// The clusters of a new version: the very same ones if nothing about them has changed.
    pub(super) fn next(
        old: Option<&Arc<Self>>,
        model: &Model,
        endpoint_sets: &Arc<EndpointSets>,
        has_networks: bool,
        maker: &mut ClusterTlsMaker<'_>,
    ) -> Arc<Self> {
        let same_clusters = old.filter(|old| old.clusters.is(&model.clusters));
        let with_tls = same_clusters
            .map_or_else(|| names_with_tls(model, has_networks), |old| Arc::clone(&old.with_tls));
        let tls: HashMap<_, _> = with_tls
            .iter()
            .filter_map(|name| {
                let before = old.and_then(|old| old.tls.get(name));
                Some((Arc::clone(name), maker.make(model, name, before)?))
            })
            .collect();
        let is_same =
            |old: &&Arc<Self>| old.endpoints.is(&model.endpoints) && same_all(&old.tls, &tls);
        if let Some(old) = same_clusters.filter(is_same) {
            return Arc::clone(old);
        }
        let new = Self {
            clusters: model.clusters.clone(),
            endpoints: model.endpoints.clone(),
            with_tls,
            tls,
            endpoint_sets: Arc::clone(endpoint_sets),
            made: Mutex::default(),
        };
        // What is in use stays ready.
        for (name, shared) in old.iter().flat_map(|old| old.in_use()) {
            new.make(&name, Some(&shared));
        }
        Arc::new(new)
    }

    /// A cluster, by name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<SharedCluster>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        made.or_else(|| self.make(name, None))
    }

    fn in_use(&self) -> Vec<(Arc<str>, Arc<SharedCluster>)> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().map(|(name, shared)| (Arc::clone(name), Arc::clone(shared))).collect()
    }

    fn make(&self, name: &str, old: Option<&Arc<SharedCluster>>) -> Option<Arc<SharedCluster>> {
        let cluster = self.clusters.get(name)?;
        let endpoints = self.endpoints.get(name).cloned().unwrap_or_default();
        let tls = self.tls.get(name).cloned();
        let is_unchanged = |old: &&Arc<SharedCluster>| {
            Arc::ptr_eq(&old.cluster, cluster)
                && Arc::ptr_eq(&old.listed, &endpoints)
                && same_tls(old.tls.as_ref(), tls.as_ref())
        };
        let shared = old.filter(is_unchanged).cloned().unwrap_or_else(|| {
            let same_limits = old.filter(|old| old.cluster.limits == cluster.limits);
            let (breaker, closed) = same_limits.map_or_else(
                || (Breaker::new(cluster.limits.clone()), Arc::default()),
                |old| (Arc::clone(&old.breaker), Arc::clone(&old.closed)),
            );
            let set = self.endpoint_sets.get(cluster, &endpoints);
            let observed = match old {
                Some(old) => old.endpoints.next(set),
                None => Observed::new(set),
            };
            let cluster = Arc::clone(cluster);
            Arc::new(SharedCluster {
                cluster,
                endpoints: observed,
                listed: endpoints,
                breaker,
                tls,
                closed,
            })
        });
        // Another core may have been first.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(made.entry(name.into()).or_insert(shared)))
    }
}

impl SharedCluster {
    /// The next time that there may be room under the limit of connections, by the doing of any core. There is none to wait
    /// for before it is enabled.
    pub(crate) fn turn(&self) -> Notified<'_> {
        self.closed.notified()
    }

    /// A connection has closed: whoever waits for room looks again.
    pub(crate) fn connection_closed(&self) {
        if self.breaker.limits().max_connections < u32::MAX {
            self.closed.notify_waiters();
        }
    }

    /// Whether connections that were opened by one version of a cluster may serve the other.
    pub(crate) fn opens_like(&self, other: &Self) -> bool {
        self.cluster.tls == other.cluster.tls
            && same_tls(self.tls.as_ref(), other.tls.as_ref())
            && self.cluster.proxy_protocol == other.cluster.proxy_protocol
    }
}

/// Endpoints prepared for balancing, once for all workloads and cores that have the same.
#[derive(Debug, Default)]
pub(crate) struct EndpointSets {
    by_address: Mutex<HashMap<(usize, usize), KnownSet>>,
}

/// A set and its cluster, which is held so that its address stays its own; the set itself holds the endpoints.
#[derive(Debug)]
struct KnownSet {
    set: Weak<EndpointSet>,
    _cluster: Arc<Cluster>,
}

impl EndpointSets {
    fn get(&self, cluster: &Arc<Cluster>, endpoints: &Arc<Endpoints>) -> Arc<EndpointSet> {
        let key = (Arc::as_ptr(cluster).addr(), Arc::as_ptr(endpoints).addr());
        let mut known = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = known.get(&key).and_then(|known| known.set.upgrade()) {
            return set;
        }
        if known.len() == known.capacity() {
            known.retain(|_, known| known.set.strong_count() > 0);
        }
        let set = Arc::new(EndpointSet::new(cluster, Arc::clone(endpoints)));
        let _cluster = Arc::clone(cluster);
        known.insert(key, KnownSet { set: Arc::downgrade(&set), _cluster });
        set
    }
}

/// The clusters that ask for TLS of their own. The mesh's TLS is not made where pods are reached in networks of this process:
/// both ends are known by construction, and an endpoint elsewhere that wants it is refused.
fn names_with_tls(model: &Model, has_networks: bool) -> Arc<[Arc<str>]> {
    let asks = |cluster: &Cluster| {
        tls_of(cluster).is_some_and(|tls| !has_networks || tls.mode != UpstreamTlsMode::IstioMutual)
    };
    let asking = model.clusters.iter().filter(|(_, cluster)| asks(cluster));
    asking.map(|(name, _)| Arc::clone(name)).collect()
}

fn tls_of(cluster: &Cluster) -> Option<&Tls> {
    match &cluster.tls {
        ClusterTls::Plain => None,
        ClusterTls::Always(tls) | ClusterTls::Automatic(tls) => Some(tls),
    }
}

impl ClusterTlsMaker<'_> {
    /// TLS towards a cluster. What is automatic counts only where an endpoint takes it.
    fn make(
        &mut self,
        model: &Model,
        name: &str,
        before: Option<&UpstreamTls>,
    ) -> Option<UpstreamTls> {
        let cluster = model.clusters.get(name)?;
        let wanted = tls_of(cluster)?;
        let is_automatic = matches!(cluster.tls, ClusterTls::Automatic(_));
        if is_automatic && !model.endpoints.get(name).is_some_and(|it| offers_mesh_tls(it)) {
            return None;
        }
        let before = before.and_then(|before| before.as_ref().ok());
        let mut minor = Vec::new();
        let made = ClientTls::make(wanted, self.certificates, before, &mut minor);
        tell(self.problems, (&cluster.name, &Arc::default()), made.as_ref().err(), &minor);
        Some(made)
    }
}

fn offers_mesh_tls(endpoints: &Endpoints) -> bool {
    let mut all = endpoints.localities.iter().flat_map(|locality| &locality.endpoints);
    all.any(|endpoint| endpoint.tls == EndpointTls::Mesh)
}

fn same_all(one: &HashMap<Arc<str>, UpstreamTls>, other: &HashMap<Arc<str>, UpstreamTls>) -> bool {
    one.len() == other.len() && one.iter().all(|(name, tls)| same_tls(Some(tls), other.get(name)))
}

fn same_tls(one: Option<&UpstreamTls>, other: Option<&UpstreamTls>) -> bool {
    match (one, other) {
        (Some(Ok(one)), Some(Ok(other))) => Arc::ptr_eq(one, other),
        (Some(Err(one)), Some(Err(other))) => one == other,
        (None, None) => true,
        _ => false,
    }
}
