//! Looking at a proxy that runs, from any thread: every core is asked and answers between two events of its loop.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serin_routing::Model;
use serin_routing::model::EndpointAddress;
use serin_telemetry::focus::{Focus, Sight};
use serin_telemetry::{Metrics, Rule, Traffic};
use tokio::sync::{mpsc, oneshot};

use crate::core::Command;
use crate::proxy::OWN;
use crate::telemetry::Seen;

/// Looks at a proxy. Holding one does not keep the proxy running.
#[derive(Clone, Debug)]
pub struct Observer {
    workers: Vec<mpsc::WeakUnboundedSender<Command>>,
    in_force: Arc<Mutex<Workloads>>,
}

/// What is in force, by workload.
pub(crate) type Workloads = BTreeMap<Arc<str>, InForce>;

/// What a proxy executes.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Version of the model; 0 before the first.
    pub version: u64,
    /// The model.
    pub model: Arc<Model>,
    /// Where each listener with a socket listens.
    pub listening: BTreeMap<Arc<str>, SocketAddr>,
}

/// What a core has counted.
#[derive(Clone, Debug, Default)]
pub struct CoreStats {
    /// Requests and connections, by Istio's labels.
    pub metrics: Metrics,
    /// Connections of clients that are open.
    pub downstream_active: usize,
    /// Connections of clients so far.
    pub downstream_total: u64,
    /// Copies of requests that did not keep up.
    pub mirrors_dropped: u64,
    /// The clusters of one workload, by name.
    pub clusters: BTreeMap<Arc<str>, ClusterStats>,
}

/// What a core has counted of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterStats {
    /// Connections that are open.
    pub connections: usize,
    /// Tries so far.
    pub requests: u64,
    /// Requests that a circuit breaker refused.
    pub overflows: u64,
    /// Its endpoints.
    pub endpoints: Vec<EndpointStats>,
}

/// How a core sees an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointStats {
    /// Its address.
    pub address: EndpointAddress,
    /// Its share.
    pub weight: u32,
    /// Whether it is ready.
    pub healthy: bool,
    /// Whether it is ejected for failing.
    pub ejected: bool,
    /// Requests under way.
    pub active: u32,
}

impl Observer {
    pub(crate) const fn new(
        workers: Vec<mpsc::WeakUnboundedSender<Command>>,
        in_force: Arc<Mutex<Workloads>>,
    ) -> Self {
        Self { workers, in_force }
    }

    /// What is in force now as the proxy's own.
    pub fn in_force(&self) -> InForce {
        self.in_force_of(OWN).unwrap_or_default()
    }

    /// What is in force now for a workload; `None` if it is not served.
    pub fn in_force_of(&self, key: &str) -> Option<InForce> {
        self.lock().get(key).cloned()
    }

    /// The workloads that are served, with the versions of their models.
    pub fn workloads(&self) -> BTreeMap<Arc<str>, u64> {
        self.lock().iter().map(|(key, it)| (Arc::clone(key), it.version)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Workloads> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each core has counted, with the clusters of the proxy's own model.
    pub async fn stats(&self) -> Vec<CoreStats> {
        self.stats_of(OWN).await
    }

    /// What each core has counted, with the clusters of a workload's model.
    pub async fn stats_of(&self, key: &str) -> Vec<CoreStats> {
        let key: Arc<str> = key.into();
        self.ask(|answer| Command::Stats { key: Arc::clone(&key), answer }).await
    }

    /// What went from whom to whom so far, in the order of both. Cheap enough to be asked for every second.
    pub async fn traffic(&self) -> Vec<Traffic> {
        Traffic::sum(self.ask(|answer| Command::Traffic { answer }).await)
    }

    /// What was seen of what `focus` looks at, since this was last asked with the same one. The first question only makes the
    /// cores look; they do as long as this is asked every minute.
    pub async fn look_closer(&self, focus: &Arc<Focus>) -> Sight {
        Sight::sum(self.ask(|answer| Command::Look { focus: Arc::clone(focus), answer }).await)
    }

    /// Waits until nothing is under way to a pod: no request that has chosen it. Once all cores have acknowledged that it has left,
    /// none is added. Connections of bytes, which may be idle for ever, are not waited for once they are open.
    pub async fn until_over(&self, address: IpAddr) {
        self.ask(|done| Command::WhenOver { address, done }).await;
    }

    /// A sample of requests, the latest last.
    pub async fn sample(&self) -> Vec<Seen> {
        let mut all: Vec<Seen> =
            self.ask(|answer| Command::Sample { answer }).await.into_iter().flatten().collect();
        all.sort_by_key(|seen| seen.started);
        all
    }

    /// How often each rule took a request so far, of all workloads together.
    pub async fn hits(&self) -> BTreeMap<Rule, u64> {
        let mut all = BTreeMap::new();
        for (rule, count) in self.ask(|answer| Command::Hits { answer }).await.into_iter().flatten()
        {
            *all.entry(rule).or_default() += count;
        }
        all
    }

    async fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut answers = Vec::new();
        for worker in self.workers.iter().filter_map(mpsc::WeakUnboundedSender::upgrade) {
            let (answer, waiting) = oneshot::channel();
            if worker.send(command(answer)).is_ok() {
                answers.push(waiting);
            }
        }
        let mut all = Vec::new();
        for waiting in answers {
            // A core that ends meanwhile has nothing to say.
            all.extend(waiting.await);
        }
        all
    }
}
