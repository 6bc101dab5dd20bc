//! Clusters of one core: which endpoint is next, and connections opened, reused, given back.

mod call;
mod connect;
mod http1;
mod http2;
mod labels;
mod pool;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::balancer::{Attempts, Choice, ClusterState, EndpointId};
use serin_routing::model::{EndpointAddress, EndpointTls, Health, UpstreamProtocol};
use serin_routing::time::Instant;
use serin_telemetry::{DestinationId, Metrics};

use crate::clock::Clock;
use crate::observe::{ClusterStats, EndpointStats};
use crate::request::Request;
use crate::snapshot::{SharedCluster, Snapshot};
use crate::worker::{Random, Worker};

pub(crate) use call::{Answer, Connection, UpstreamError};
pub(crate) use connect::{Manner, connect};
pub(crate) use http1::{has_token, keeps_alive};
pub(crate) use pool::{OpenError, Pool};

use labels::{Counters, Labels};

/// The clusters of one core, by name.
pub(crate) struct Upstreams {
    clusters: RefCell<HashMap<Arc<str>, Rc<Upstream>>>,
    metrics: Rc<RefCell<Metrics>>,
    cluster_id: Arc<str>,
}

/// A cluster as one core uses it. Lives on while requests use it after it has left the model.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) shared: Arc<SharedCluster>,
    state: Rc<RefCell<ClusterState>>,
    pools: Rc<RefCell<Pools>>,
    clock: Clock,
    counters: Rc<Counters>,
    labels: Rc<Labels>,
}

/// Pools by endpoint, and by the manner of opening connections: one opened for another server name is for others' requests.
type Pools = HashMap<EndpointAddress, EndpointPools>;

struct EndpointPools {
    /// Of connections that are opened in no special manner.
    plain: Rc<Pool>,
    others: HashMap<Manner, Rc<Pool>>,
}

impl EndpointPools {
    fn all(&self) -> impl Iterator<Item = &Rc<Pool>> {
        std::iter::once(&self.plain).chain(self.others.values())
    }
}

/// The endpoint that was chosen.
pub(crate) struct Target {
    pub(crate) id: EndpointId,
    pub(crate) address: EndpointAddress,
    /// Whether it takes mesh TLS.
    pub(crate) tls: EndpointTls,
    /// What it counts as.
    pub(crate) destination: DestinationId,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// The name in logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A connection to an endpoint for one request, in the version that the cluster speaks; `downstream` is the request's.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    target: &Target,
    request: &Request,
    downstream: Version,
) -> Result<Connection, OpenError> {
    let version = match upstream.shared.cluster.protocol {
        UpstreamProtocol::Http2 => Version::Http2,
        UpstreamProtocol::SameAsDownstream => downstream,
        UpstreamProtocol::Http1 | UpstreamProtocol::Tcp => Version::Http1,
    };
    let manner = upstream.manner(target, request);
    let pool = upstream.pool(&target.address, &manner);
    let place = Place { upstream, address: &target.address, manner: &manner };
    match version {
        Version::Http1 => pool.lease(worker, place).await.map(Connection::Http1),
        Version::Http2 => pool.stream(worker, place).await.map(Connection::Http2),
    }
}

/// Where a connection goes, and how it is opened.
#[derive(Clone, Copy)]
struct Place<'p> {
    upstream: &'p Upstream,
    address: &'p EndpointAddress,
    manner: &'p Manner,
}

impl Upstreams {
    /// No clusters. `metrics` knows destinations by numbers, and `cluster_id` names where known workloads run.
    pub(crate) fn new(metrics: Rc<RefCell<Metrics>>, cluster_id: Arc<str>) -> Self {
        Self { clusters: RefCell::default(), metrics, cluster_id }
    }

    /// What was counted of each cluster.
    pub(crate) fn stats(&self) -> BTreeMap<Arc<str>, ClusterStats> {
        let clusters = self.clusters.borrow();
        clusters.iter().map(|(name, upstream)| (Arc::clone(name), upstream.stats())).collect()
    }

    /// A cluster, by name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Upstream>> {
        self.clusters.borrow().get(name).cloned()
    }

    /// Takes over a new version of the model. What is under way goes on; balancing goes on where it was.
    pub(crate) fn update(&self, snapshot: &Snapshot, clock: Clock, random: &mut Random) {
        let mut clusters = self.clusters.borrow_mut();
        clusters.retain(|name, _| snapshot.clusters.contains_key(name));
        for (name, shared) in &snapshot.clusters {
            let now = clock.now();
            let new = match clusters.get(name) {
                Some(old) if Arc::ptr_eq(&old.shared, shared) => continue,
                Some(old) => {
                    old.state.borrow_mut().update(Arc::clone(&shared.endpoints), now);
                    old.close_departed(&shared.endpoints);
                    Upstream {
                        shared: Arc::clone(shared),
                        state: Rc::clone(&old.state),
                        pools: if old.shared.opens_like(shared) {
                            Rc::clone(&old.pools)
                        } else {
                            Rc::default()
                        },
                        clock,
                        counters: Rc::clone(&old.counters),
                        labels: self.labels(),
                    }
                }
                None => Upstream::new(Arc::clone(shared), clock, self.labels(), random),
            };
            clusters.insert(Arc::clone(name), Rc::new(new));
        }
    }

    fn labels(&self) -> Rc<Labels> {
        Rc::new(Labels::new(Rc::clone(&self.metrics), Arc::clone(&self.cluster_id)))
    }

    /// Closes connections that have been idle for too long, and lets ejected endpoints return.
    pub(crate) fn sweep(&self, now: Instant) {
        for upstream in self.clusters.borrow().values() {
            let mut state = upstream.state.borrow_mut();
            if state.next_sweep().is_some_and(|due| due <= now) {
                state.sweep(now);
            }
            let cluster = &upstream.shared.cluster;
            let mut pools = upstream.pools.borrow_mut();
            for pools in pools.values_mut() {
                pools.plain.close_idle(now, cluster);
                // Manners go by what clients say, of which there is no end: what is not used is forgotten.
                pools.others.retain(|_, pool| {
                    pool.close_idle(now, cluster);
                    !pool.is_unused()
                });
            }
        }
    }
}

impl Upstream {
    fn new(
        shared: Arc<SharedCluster>,
        clock: Clock,
        labels: Rc<Labels>,
        random: &mut Random,
    ) -> Self {
        let state = ClusterState::new(Arc::clone(&shared.endpoints), clock.now(), random);
        Self {
            shared,
            state: Rc::new(RefCell::new(state)),
            pools: Rc::default(),
            clock,
            counters: Rc::default(),
            labels,
        }
    }

    /// What requests count as before an endpoint is chosen.
    pub(crate) fn destination(&self) -> DestinationId {
        self.labels.of_cluster(&self.shared.cluster)
    }

    /// A circuit breaker has refused a request.
    pub(crate) fn overflowed(&self) {
        self.counters.overflows.set(self.counters.overflows.get() + 1);
    }

    fn stats(&self) -> ClusterStats {
        let state = self.state.borrow();
        let set = state.endpoints();
        let endpoints = state.ids().filter_map(|(index, id)| {
            let endpoint = set.endpoint(index)?;
            Some(EndpointStats {
                address: endpoint.address.clone(),
                weight: endpoint.weight,
                healthy: endpoint.health == Health::Healthy,
                ejected: state.is_ejected(id),
                active: state.active(id),
            })
        });
        let pools = self.pools.borrow();
        ClusterStats {
            connections: pools.values().flat_map(EndpointPools::all).map(|pool| pool.open()).sum(),
            requests: self.counters.requests.get(),
            overflows: self.counters.overflows.get(),
            endpoints: endpoints.collect(),
        }
    }

    /// Chooses where a try goes.
    pub(crate) fn choose(
        &self,
        hash: Option<u64>,
        attempts: &mut Attempts,
        now: Instant,
        random: &mut Random,
    ) -> Option<Target> {
        let mut state = self.state.borrow_mut();
        let Choice::Endpoint { id, index } = state.choose(hash, attempts, now, random) else {
            return None;
        };
        let endpoint = state.endpoints().endpoint(index)?;
        let (address, tls) = (endpoint.address.clone(), endpoint.tls);
        let destination = self.labels.of_endpoint(&self.shared.cluster, &endpoint.identity);
        attempts.record(id);
        self.counters.requests.set(self.counters.requests.get() + 1);
        Some(Target { id, address, tls, destination })
    }

    /// The connections to an endpoint that were opened in a certain manner.
    fn pool(&self, address: &EndpointAddress, manner: &Manner) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let new = || Rc::new(Pool::new(self.clock));
        let of_endpoint = match pools.get_mut(address) {
            Some(pools) => pools,
            None => pools
                .entry(address.clone())
                .or_insert_with(|| EndpointPools { plain: new(), others: HashMap::new() }),
        };
        if *manner == Manner::default() {
            return Rc::clone(&of_endpoint.plain);
        }
        match of_endpoint.others.get(manner) {
            Some(pool) => Rc::clone(pool),
            None => Rc::clone(of_endpoint.others.entry(manner.clone()).or_insert_with(new)),
        }
    }

    /// How a connection for a request is opened.
    fn manner(&self, target: &Target, request: &Request) -> Manner {
        let downstream = &request.downstream;
        let ends = downstream.direct_remote.zip(downstream.local);
        let host = std::str::from_utf8(request.authority_text()).unwrap_or_default();
        Manner::of(&self.shared, target.tls, host, ends)
    }

    /// The balancer's state, to report to.
    pub(crate) fn state(&self) -> &RefCell<ClusterState> {
        &self.state
    }

    /// Forgets idle connections to endpoints that have left; those in use end with their request.
    fn close_departed(&self, endpoints: &serin_routing::balancer::EndpointSet) {
        let mut here: std::collections::HashSet<&EndpointAddress> =
            std::collections::HashSet::new();
        here.extend(
            (0..endpoints.len())
                .filter_map(|index| endpoints.endpoint(index))
                .map(|it| &it.address),
        );
        self.pools.borrow_mut().retain(|address, _| here.contains(address));
    }
}
