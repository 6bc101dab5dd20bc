//! A model as every core executes it: compiled, with TLS made ready and with what the cores share of each cluster.

use std::collections::HashMap;
use std::sync::Arc;

use serin_routing::Model;
use serin_routing::balancer::EndpointSet;
use serin_routing::breaker::Breaker;
use serin_routing::compiled::{CompiledModel, CompiledTable};
use serin_routing::model::{
    ByName, Cluster, ClusterTls, EndpointTls, Endpoints, FilterChain, Listener, NetworkFilter,
};
use serin_telemetry::access_log::AccessLog;
use serin_telemetry::trace::Tracing;

use crate::tls::{Certificates, ClientTls, ServerTls, TlsError};

/// A version of the model. Requests hold on to the one they began with.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counted from 1; 0 before the first.
    pub(crate) version: u64,
    /// Listeners, route tables and clusters.
    pub(crate) compiled: CompiledModel,
    /// How requests are traced.
    pub(crate) tracing: Option<Arc<Tracing>>,
    /// Where requests are logged.
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// What the cores share of each cluster.
    pub(crate) clusters: HashMap<Arc<str>, Arc<SharedCluster>>,
    listeners: ByName<Listener>,
    /// TLS of each listener's chains, in their order, the default last; `None` where there is none or it cannot be made.
    server_tls: HashMap<Arc<str>, ChainTls>,
}

type ChainTls = Vec<Option<Arc<ServerTls>>>;

/// TLS that is not, or not quite, what the model asks for. Everything else is in force.
#[derive(Clone, Debug)]
pub struct TlsProblem {
    /// The listener or cluster.
    pub subject: Arc<str>,
    /// The listener's filter chain; empty for a cluster.
    pub chain: Arc<str>,
    /// What is wrong.
    pub reason: String,
    /// Whether there is TLS nevertheless, by an older certificate or with less on offer; otherwise connections are refused.
    pub serves: bool,
}

/// What the cores share of a cluster.
#[derive(Debug)]
pub(crate) struct SharedCluster {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) endpoints: Arc<EndpointSet>,
    /// What they were made from.
    listed: Arc<Endpoints>,
    /// Limits hold for all cores together.
    pub(crate) breaker: Arc<Breaker>,
    /// TLS towards endpoints; an error where it cannot be made, so that nothing leaves without it.
    pub(crate) tls: Option<UpstreamTls>,
}

type UpstreamTls = Result<Arc<ClientTls>, TlsError>;

impl Snapshot {
    /// Compiles a model, taking over from the version before what is the same.
    pub(crate) fn new(
        version: u64,
        model: Arc<Model>,
        certificates: &mut Certificates,
        before: Option<&Self>,
    ) -> (Self, Vec<TlsProblem>) {
        let mut problems = Vec::new();
        let compiled = match before {
            Some(before) => before.compiled.updated(Arc::clone(&model)),
            None => CompiledModel::new(Arc::clone(&model)),
        };
        let clusters = model.clusters.iter().map(|(name, cluster)| {
            let old = before.and_then(|before| before.clusters.get(name));
            let endpoints = model.endpoints.get(name);
            let tls = cluster_tls(cluster, endpoints, certificates, old, &mut problems);
            let is_same = |old: &&Arc<SharedCluster>| {
                let known = before.and_then(|it| it.compiled.model().endpoints.get(name));
                Arc::ptr_eq(&old.cluster, cluster)
                    && same_tls(old.tls.as_ref(), tls.as_ref())
                    && known.map(Arc::as_ptr) == model.endpoints.get(name).map(Arc::as_ptr)
            };
            let shared = old.filter(is_same).cloned();
            let shared = shared.unwrap_or_else(|| SharedCluster::new(cluster, &model, tls, old));
            (Arc::clone(name), shared)
        });
        let clusters = clusters.collect();
        let server_tls = model.listeners.iter().map(|(name, listener)| {
            let old = before.and_then(|before| before.server_tls.get(name));
            (Arc::clone(name), chains_tls(listener, certificates, old, &mut problems))
        });
        let server_tls = server_tls.collect();
        let listeners = model.listeners.clone();
        let (access_log, tracing) = (None, None);
        (Self { version, compiled, access_log, tracing, clusters, listeners, server_tls }, problems)
    }

    /// Whether a listener of the name has a place in this version.
    pub(crate) fn has_listener(&self, name: &str) -> bool {
        self.listeners.contains_key(name)
    }

    /// A listener, by name.
    pub(crate) fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.get(name)
    }

    /// How TLS is terminated on a chain of a listener; `None` if the chain has none, or it could not be made.
    pub(crate) fn server_tls(
        &self,
        listener: &Listener,
        chain: &FilterChain,
    ) -> Option<&Arc<ServerTls>> {
        let place = chains(listener).position(|it| std::ptr::eq(it, chain))?;
        self.server_tls.get(&listener.name)?.get(place)?.as_ref()
    }

    /// A route table, by name.
    pub(crate) fn table(&self, name: &str) -> Option<&CompiledTable> {
        self.compiled.table(name).map(|table| &**table)
    }
}

impl SharedCluster {
    fn new(
        cluster: &Arc<Cluster>,
        model: &Model,
        tls: Option<UpstreamTls>,
        old: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let endpoints = model.endpoints.get(&cluster.name).cloned().unwrap_or_default();
        let unchanged = |old: &&Arc<Self>| {
            Arc::ptr_eq(&old.cluster, cluster)
                && Arc::ptr_eq(&old.listed, &endpoints)
                && same_tls(old.tls.as_ref(), tls.as_ref())
        };
        if let Some(old) = old.filter(unchanged) {
            return Arc::clone(old);
        }
        let same_limits = old.filter(|old| old.cluster.limits == cluster.limits);
        let breaker = same_limits
            .map_or_else(|| Breaker::new(cluster.limits.clone()), |old| Arc::clone(&old.breaker));
        let set = Arc::new(EndpointSet::new(cluster, Arc::clone(&endpoints)));
        Arc::new(Self {
            cluster: Arc::clone(cluster),
            endpoints: set,
            listed: endpoints,
            breaker,
            tls,
        })
    }

    /// Whether connections that were opened by one version of a cluster may serve the other.
    pub(crate) fn opens_like(&self, other: &Self) -> bool {
        self.cluster.tls == other.cluster.tls
            && same_tls(self.tls.as_ref(), other.tls.as_ref())
            && self.cluster.proxy_protocol == other.cluster.proxy_protocol
    }
}

/// TLS towards a cluster. What is automatic counts only where an endpoint takes it.
fn cluster_tls(
    cluster: &Cluster,
    endpoints: Option<&Arc<Endpoints>>,
    certificates: &mut Certificates,
    old: Option<&Arc<SharedCluster>>,
    problems: &mut Vec<TlsProblem>,
) -> Option<UpstreamTls> {
    let wanted = match &cluster.tls {
        ClusterTls::Always(wanted) => wanted,
        ClusterTls::Automatic(wanted) if endpoints.is_some_and(|it| offers_mesh_tls(it)) => wanted,
        ClusterTls::Automatic(_) | ClusterTls::Plain => return None,
    };
    let before = old.and_then(|old| old.tls.as_ref()?.as_ref().ok());
    let mut minor = Vec::new();
    let made = ClientTls::make(wanted, certificates, before, &mut minor);
    tell(problems, (&cluster.name, &Arc::default()), made.as_ref().err(), &minor);
    Some(made)
}

fn offers_mesh_tls(endpoints: &Endpoints) -> bool {
    let mut all = endpoints.localities.iter().flat_map(|locality| &locality.endpoints);
    all.any(|endpoint| endpoint.tls == EndpointTls::Mesh)
}

fn same_tls(one: Option<&UpstreamTls>, other: Option<&UpstreamTls>) -> bool {
    match (one, other) {
        (Some(Ok(one)), Some(Ok(other))) => Arc::ptr_eq(one, other),
        (Some(Err(one)), Some(Err(other))) => one == other,
        (None, None) => true,
        _ => false,
    }
}

fn chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain)
}

fn chains_tls(
    listener: &Listener,
    certificates: &mut Certificates,
    before: Option<&ChainTls>,
    problems: &mut Vec<TlsProblem>,
) -> ChainTls {
    let of_chain = |chain: &FilterChain| {
        let wanted = chain.tls.as_ref()?;
        let codec = match &chain.filter {
            NetworkFilter::Http(http) => Some(http.codec),
            NetworkFilter::Tcp(_) => None,
        };
        let (made, minor) =
            ServerTls::make(wanted, codec, certificates, before.into_iter().flatten().flatten());
        tell(problems, (&listener.name, &chain.name), made.as_ref().err(), &minor);
        made.ok()
    };
    chains(listener).map(of_chain).collect()
}

fn tell(
    problems: &mut Vec<TlsProblem>,
    (subject, chain): (&Arc<str>, &Arc<str>),
    major: Option<&TlsError>,
    minor: &[TlsError],
) {
    problems.extend(minor.iter().chain(major).map(|error| TlsProblem {
        subject: Arc::clone(subject),
        chain: Arc::clone(chain),
        reason: error.to_string(),
        serves: major.is_none(),
    }));
}
