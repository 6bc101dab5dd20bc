//! A workload's model as every core executes it: compiled, with TLS made ready and with what the cores share of each cluster.

mod clusters;

use std::collections::HashMap;
use std::sync::Arc;

use serin_routing::compiled::{CompiledModel, CompiledTable, Sharing};
use serin_routing::model::{FilterChain, Listener, NetworkFilter};
use serin_telemetry::Workload;
use serin_telemetry::access_log::AccessLog;
use serin_telemetry::customization::Customizations;
use serin_telemetry::trace::Tracing;

use crate::publication::Publication;
use crate::tls::{Certificates, ServerTls, TlsError};

use clusters::ClusterTlsMaker;
pub(crate) use clusters::{Clusters, EndpointSets, SharedCluster};

/// A version of a workload's model. Requests hold on to the one they began with.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counted from 1; 0 before the first.
    pub(crate) version: u64,
    /// Listeners, route tables and clusters.
    pub(crate) compiled: Arc<CompiledModel>,
    /// Who sends requests.
    pub(crate) workload: Workload,
    /// Nothing of what it sends is counted for it.
    pub(crate) is_silent: bool,
    /// It is a pod, in a network of its own.
    pub(crate) is_of_pod: bool,
    /// How requests are traced.
    pub(crate) tracing: Option<Arc<Tracing>>,
    /// Where requests are logged.
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// How metrics differ from Istio's.
    pub(crate) customizations: Customizations,
    /// What the cores share of each cluster that is in use.
    pub(crate) clusters: Arc<Clusters>,
    /// TLS of those listeners that have any: of each chain, in their order, the default last; `None` where there is none or it
    /// cannot be made.
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

/// What snapshots are made with.
pub(crate) struct Maker<'m> {
    pub(crate) certificates: &'m mut Certificates,
    pub(crate) sharing: &'m mut Sharing,
    pub(crate) endpoint_sets: &'m Arc<EndpointSets>,
    /// The mesh's pods are in networks of this process, and reached without the mesh's TLS.
    pub(crate) has_networks: bool,
}

impl Maker<'_> {
    /// Compiles a model, taking over from the version before, and from other workloads, what is the same.
    pub(crate) fn make(
        self,
        version: u64,
        publication: &Publication,
        before: Option<&Snapshot>,
    ) -> (Snapshot, Vec<TlsProblem>) {
        let mut problems = Vec::new();
        let model = &publication.model;
        let none = CompiledModel::default();
        let compiled = before.map_or(&none, |before| &*before.compiled);
        let compiled = compiled.updated_sharing(model, self.sharing);
        let old = before.map(|before| &before.clusters);
        let mut of_clusters =
            ClusterTlsMaker { certificates: self.certificates, problems: &mut problems };
        let clusters =
            Clusters::next(old, model, self.endpoint_sets, self.has_networks, &mut of_clusters);
        let listeners = &model.listeners;
        let same_listeners =
            before.filter(|before| before.compiled.model().listeners.is(listeners));
        let with_tls: Vec<&Arc<str>> = match same_listeners {
            Some(before) => before.server_tls.keys().collect(),
            None => listeners.iter().filter(|(_, it)| has_tls(it)).map(|(name, _)| name).collect(),
        };
        let server_tls = with_tls.into_iter().filter_map(|name| {
            let old = before.and_then(|before| before.server_tls.get(name));
            let listener = listeners.get(name)?;
            let tls = chains_tls(listener, self.certificates, old, &mut problems);
            Some((Arc::clone(name), tls))
        });
        let server_tls = server_tls.collect();
        let snapshot = Snapshot {
            version,
            compiled,
            workload: publication.workload.clone(),
            is_silent: publication.is_silent(),
            is_of_pod: publication.network.is_some(),
            tracing: publication.tracing.clone(),
            access_log: publication.access_log.clone(),
            customizations: publication.customizations.clone(),
            clusters,
            server_tls,
        };
        (snapshot, problems)
    }
}

impl Snapshot {
    /// Whether a listener of the name has a place in this version.
    pub(crate) fn has_listener(&self, name: &str) -> bool {
        self.compiled.model().listeners.contains_key(name)
    }

    /// A listener, by name.
    pub(crate) fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.compiled.model().listeners.get(name)
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

fn chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain)
}

fn has_tls(listener: &Listener) -> bool {
    chains(listener).any(|chain| chain.tls.is_some())
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
