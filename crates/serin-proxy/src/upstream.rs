//! Clusters of one core: which endpoint is next, and connections opened, reused, given back.

mod connect;
mod http1;
mod pool;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::balancer::{Attempts, Choice, ClusterState, EndpointId};
use serin_routing::model::EndpointAddress;
use serin_routing::time::Instant;

use crate::clock::Clock;
use crate::snapshot::{SharedCluster, Snapshot};
use crate::worker::Random;

pub(crate) use connect::connect;
pub(crate) use http1::{Http1Connection, UpstreamError, has_token, keeps_alive};
pub(crate) use pool::{Lease, Pool};

/// The clusters of one core, by name.
#[derive(Default)]
pub(crate) struct Upstreams {
    clusters: RefCell<HashMap<Arc<str>, Rc<Upstream>>>,
}

/// A cluster as one core uses it. Lives on while requests use it after it has left the model.
pub(crate) struct Upstream {
    pub(crate) shared: Arc<SharedCluster>,
    state: Rc<RefCell<ClusterState>>,
    pools: Rc<RefCell<HashMap<EndpointAddress, Rc<Pool>>>>,
}

/// The endpoint that was chosen.
pub(crate) struct Target {
    pub(crate) id: EndpointId,
    pub(crate) address: EndpointAddress,
    pub(crate) pool: Rc<Pool>,
}

impl Upstreams {
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
                        pools: Rc::clone(&old.pools),
                    }
                }
                None => Upstream::new(Arc::clone(shared), now, random),
            };
            clusters.insert(Arc::clone(name), Rc::new(new));
        }
    }

    /// Closes connections that have been idle for too long, and lets ejected endpoints return.
    pub(crate) fn sweep(&self, now: Instant) {
        for upstream in self.clusters.borrow().values() {
            let mut state = upstream.state.borrow_mut();
            if state.next_sweep().is_some_and(|due| due <= now) {
                state.sweep(now);
            }
            if let Some(limit) = upstream.shared.cluster.idle_timeout {
                upstream.pools.borrow().values().for_each(|pool| pool.close_idle(now, limit));
            }
        }
    }
}

impl Upstream {
    fn new(shared: Arc<SharedCluster>, now: Instant, random: &mut Random) -> Self {
        let state = ClusterState::new(Arc::clone(&shared.endpoints), now, random);
        Self { shared, state: Rc::new(RefCell::new(state)), pools: Rc::default() }
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
        let address = state.endpoints().endpoint(index)?.address.clone();
        let pool = Rc::clone(self.pools.borrow_mut().entry(address.clone()).or_default());
        attempts.record(id);
        Some(Target { id, address, pool })
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
