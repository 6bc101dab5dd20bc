//! The clusters that a workload uses on one core: which endpoint is next, and connections opened, reused, given back.

mod call;
mod connect;
mod http1;
mod http2;
mod labels;
mod pool;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::balancer::{Active, Attempts, Choice, ClusterState, EndpointId, EndpointSet};
use serin_routing::model::{
    Cluster, ClusterTls, Discovery, Endpoint, EndpointAddress, EndpointTls, Endpoints, Health,
    UpstreamProtocol, UpstreamTlsMode, WorkloadIdentity,
};
use serin_routing::outlier::Outcome;
use serin_routing::time::Instant;
use serin_routing::{Model, TextHash};
use serin_telemetry::{DestinationId, Workload};

use crate::clock::Clock;
use crate::core::{Core, Random};
use crate::observe::{ClusterStats, EndpointStats};
use crate::request::Request;
use crate::snapshot::{SharedCluster, Snapshot};
use crate::under_way::Visitor;
use crate::worker::Worker;

pub(crate) use call::{Answer, Connection, UpstreamError};
pub(crate) use connect::{ConnectError, Manner, connect};
pub(crate) use http1::{has_token, keeps_alive};
pub(crate) use pool::{OpenError, Pool};

use labels::{Counters, Labels, Naming};

/// The clusters that a workload has used on one core, by name.
pub(crate) struct Upstreams {
    clusters: RefCell<HashMap<Arc<str>, Rc<Upstream>, TextHash>>,
    naming: RefCell<Rc<Naming>>,
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
type Pools = HashMap<EndpointAddress, EndpointPools, TextHash>;

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
    /// `None` for the address that the client meant, which nobody keeps a list of.
    pub(crate) id: Option<EndpointId>,
    /// Its place in the list as it was when it was chosen.
    index: Option<usize>,
    pub(crate) address: EndpointAddress,
    /// Whether it takes mesh TLS.
    tls: EndpointTls,
    /// It is in one of this process's networks, and its workload is known.
    is_here: bool,
    /// It is under way.
    _visitor: Option<Visitor>,
    /// What it counts as.
    pub(crate) destination: DestinationId,
}

impl Target {
    /// Whether it is a pod of the mesh in this process, for which it counts what arrives.
    pub(crate) fn is_received(&self) -> bool {
        self.is_here && self.tls == EndpointTls::Mesh
    }

    /// Whether callers of the mesh are known to it: they would speak the mesh's mutual TLS with it.
    pub(crate) fn is_mutual(&self, cluster: &Cluster) -> bool {
        let speaks_it = match &cluster.tls {
            ClusterTls::Plain => false,
            ClusterTls::Always(tls) => tls.mode == UpstreamTlsMode::IstioMutual,
            ClusterTls::Automatic(_) => true,
        };
        speaks_it && self.tls == EndpointTls::Mesh
    }

    /// Whether it takes the mesh's TLS, and is to be spoken to so: within this process there is nothing to protect.
    fn takes_mesh_tls(&self) -> bool {
        !self.is_here && self.tls == EndpointTls::Mesh
    }
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
    /// None, for a workload of which nothing is known yet.
    pub(crate) fn new(core: &Core) -> Self {
        let naming = Naming::new(core, &Workload::default());
        Self { clusters: RefCell::default(), naming: RefCell::new(naming) }
    }

    /// What was counted of each cluster of a model, also of those that were never used.
    pub(crate) fn stats(&self, model: &Model) -> BTreeMap<Arc<str>, ClusterStats> {
        let clusters = self.clusters.borrow();
        let stats = |name: &Arc<str>| match clusters.get(name) {
            Some(upstream) => upstream.stats(),
            None => unused(model.endpoints.get(name).map(|it| &**it)),
        };
        model.clusters.keys().map(|name| (Arc::clone(name), stats(name))).collect()
    }

    /// A cluster that is in use, by name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Upstream>> {
        self.clusters.borrow().get(name).cloned()
    }

    /// Begins to use a cluster.
    pub(crate) fn add(&self, shared: Arc<SharedCluster>, core: &Core) -> Rc<Upstream> {
        let name = Arc::clone(&shared.cluster.name);
        let random = &mut core.random.borrow_mut();
        let new = Rc::new(Upstream::new(shared, core.clock, self.labels(), random));
        self.clusters.borrow_mut().insert(name, Rc::clone(&new));
        new
    }

    /// Forgets all of them. What is under way goes on.
    pub(crate) fn clear(&self) {
        self.clusters.borrow_mut().clear();
    }

    /// Takes over a new version of the model. What is under way goes on; balancing goes on where it was.
    pub(crate) fn update(&self, before: &Snapshot, snapshot: &Snapshot, core: &Core) {
        let is_renamed = before.workload != snapshot.workload;
        if is_renamed {
            *self.naming.borrow_mut() = Naming::new(core, &snapshot.workload);
        } else if Arc::ptr_eq(&before.clusters, &snapshot.clusters) {
            return;
        }
        let now = core.clock.now();
        let next = |upstream: &Rc<Upstream>| {
            let shared = snapshot.clusters.get(&upstream.shared.cluster.name)?;
            if Arc::ptr_eq(&upstream.shared, &shared) && !is_renamed {
                return Some(Rc::clone(upstream));
            }
            Some(Rc::new(upstream.next(shared, self.labels(), now)))
        };
        self.clusters.borrow_mut().retain(|_, upstream| {
            let next = next(upstream);
            let is_there = next.is_some();
            *upstream = next.unwrap_or_else(|| Rc::clone(upstream));
            is_there
        });
    }

    fn labels(&self) -> Rc<Labels> {
        Rc::new(Labels::new(Rc::clone(&self.naming.borrow())))
    }

    /// Lets ejected endpoints return, and closes connections that have been idle for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        for upstream in self.clusters.borrow().values() {
            let state = upstream.state.borrow();
            state.sweep(now);
            // What is wrong with an endpoint may be wrong with connections to it.
            let ejected: HashSet<&EndpointAddress> =
                state.ejected().map(|it| &it.address).collect();
            let cluster = &upstream.shared.cluster;
            // Manners go by what clients say, of which there is no end, and so do addresses that clients mean: what is not used
            // is forgotten.
            let forgets = cluster.discovery == Discovery::OriginalDestination;
            upstream.pools.borrow_mut().retain(|address, pools| {
                let is_ejected = ejected.contains(address);
                let limit = if is_ejected { Some(Duration::ZERO) } else { cluster.idle_timeout };
                pools.plain.close_idle(now, &cluster.limits, limit);
                pools.others.retain(|_, pool| {
                    pool.close_idle(now, &cluster.limits, limit);
                    !pool.is_unused()
                });
                !forgets || !pools.others.is_empty() || !pools.plain.is_unused()
            });
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
        let state = ClusterState::new(shared.endpoints.clone(), clock.now(), random);
        Self {
            shared,
            state: Rc::new(RefCell::new(state)),
            pools: Rc::default(),
            clock,
            counters: Rc::default(),
            labels,
        }
    }

    /// The same cluster in another version.
    fn next(&self, shared: Arc<SharedCluster>, labels: Rc<Labels>, now: Instant) -> Self {
        if !Arc::ptr_eq(&self.shared, &shared) {
            self.state.borrow_mut().update(shared.endpoints.clone(), now);
            self.close_departed(shared.endpoints.set());
        }
        let pools =
            if self.shared.opens_like(&shared) { Rc::clone(&self.pools) } else { Rc::default() };
        Self {
            state: Rc::clone(&self.state),
            clock: self.clock,
            counters: Rc::clone(&self.counters),
            shared,
            pools,
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
            let (ejected, active) = (state.is_ejected(id), state.active(id));
            Some(EndpointStats { ejected, active, ..at_rest(endpoint) })
        });
        let pools = self.pools.borrow();
        ClusterStats {
            connections: pools.values().flat_map(EndpointPools::all).map(|pool| pool.open()).sum(),
            requests: self.counters.requests.get(),
            overflows: self.counters.overflows.get(),
            endpoints: endpoints.collect(),
        }
    }

    /// Chooses where a try goes; `meant` is the address that the client asked for.
    pub(crate) fn choose(
        &self,
        hash: Option<u64>,
        attempts: &mut Attempts,
        meant: Option<SocketAddr>,
        random: &mut Random,
    ) -> Option<Target> {
        let mut state = self.state.borrow_mut();
        let cluster = &self.shared.cluster;
        let target = match state.choose(hash, attempts, self.clock.now(), random) {
            Choice::NoHealthyEndpoint => return None,
            Choice::Endpoint { id, index } => {
                let endpoint = state.endpoints().endpoint(index)?;
                let (destination, mut visitor) = self.labels.of_endpoint(cluster, endpoint);
                attempts.record(id);
                let behind = self.labels.behind(&endpoint.address);
                if let Some(address) = &behind {
                    visitor = self.labels.visit(address);
                }
                Target {
                    id: Some(id),
                    index: Some(index),
                    address: behind.unwrap_or_else(|| endpoint.address.clone()),
                    tls: endpoint.tls,
                    is_here: visitor.is_some(),
                    _visitor: visitor,
                    destination,
                }
            }
            Choice::OriginalDestination => self.as_meant(meant?),
        };
        self.counters.requests.set(self.counters.requests.get() + 1);
        Some(target)
    }

    /// The address that a client asked for. Whether anybody there is in the mesh is not known.
    fn as_meant(&self, meant: SocketAddr) -> Target {
        let cluster = &self.shared.cluster;
        let port = cluster.port_override.unwrap_or(meant.port());
        let address = EndpointAddress::Socket(meant.ip().to_canonical(), port);
        let address = self.labels.behind(&address).unwrap_or(address);
        Target {
            id: None,
            index: None,
            tls: EndpointTls::Plain,
            is_here: false,
            _visitor: self.labels.visit(&address),
            address,
            destination: self.labels.of_cluster(cluster),
        }
    }

    /// Whose an endpoint is that was chosen just now.
    pub(crate) fn identity(&self, target: &Target) -> Option<Arc<WorkloadIdentity>> {
        let state = self.state.borrow();
        state.endpoints().endpoint(target.index?).map(|it| Arc::clone(&it.identity))
    }

    /// A try is under way at an endpoint while what this gives lives.
    pub(crate) fn begin(&self, target: &Target) -> Option<Active> {
        self.state.borrow().begin(target.id?)
    }

    /// Tells how a try at an endpoint went.
    pub(crate) fn report(&self, endpoint: Option<EndpointId>, outcome: Outcome) {
        let state = self.state.borrow();
        // Where nobody counts, the clock is not looked at.
        if let Some(id) = endpoint.filter(|_| state.detects()) {
            // What the detection found shows in the balancer's next choice.
            let _ = state.report(id, outcome, self.clock.now());
        }
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
        Manner::of(&self.shared, target, host, ends)
    }

    /// Forgets idle connections to endpoints that have left; those in use end with their request.
    fn close_departed(&self, endpoints: &EndpointSet) {
        if self.shared.cluster.discovery == Discovery::OriginalDestination {
            return;
        }
        let all = (0..endpoints.len()).filter_map(|index| endpoints.endpoint(index));
        let here: HashSet<&EndpointAddress> = all.map(|it| &it.address).collect();
        self.pools.borrow_mut().retain(|address, _| here.contains(address));
    }
}

/// What there is to say of a cluster that was never used.
fn unused(endpoints: Option<&Endpoints>) -> ClusterStats {
    let localities = endpoints.into_iter().flat_map(|it| &it.localities);
    let endpoints = localities.flat_map(|locality| &locality.endpoints).map(at_rest).collect();
    ClusterStats { endpoints, ..ClusterStats::default() }
}

fn at_rest(endpoint: &Endpoint) -> EndpointStats {
    EndpointStats {
        address: endpoint.address.clone(),
        weight: endpoint.weight,
        healthy: endpoint.health == Health::Healthy,
        ejected: false,
        active: 0,
    }
}
