//! What is counted of a cluster on one core, and under which destination its requests count.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::model::{Cluster, WorkloadIdentity};
use serin_telemetry::{Destination, DestinationId, Metrics};

/// Counters of a cluster, whatever its version.
#[derive(Default)]
pub(super) struct Counters {
    /// Tries.
    pub(super) requests: Cell<u64>,
    /// Requests that a circuit breaker refused.
    pub(super) overflows: Cell<u64>,
}

/// The destinations of one version of a cluster, found without looking at a label.
pub(super) struct Labels {
    metrics: Rc<RefCell<Metrics>>,
    cluster_id: Arc<str>,
    cluster: Cell<Option<DestinationId>>,
    /// By the identity's address in memory, which is kept alive so that it stays one identity's.
    endpoints: RefCell<HashMap<usize, (Arc<WorkloadIdentity>, DestinationId)>>,
}

impl Labels {
    pub(super) fn new(metrics: Rc<RefCell<Metrics>>, cluster_id: Arc<str>) -> Self {
        Self { metrics, cluster_id, cluster: Cell::new(None), endpoints: RefCell::default() }
    }

    /// Requests for which no endpoint was chosen.
    pub(super) fn of_cluster(&self, cluster: &Cluster) -> DestinationId {
        if let Some(known) = self.cluster.get() {
            return known;
        }
        let id = self.make(cluster, None);
        self.cluster.set(Some(id));
        id
    }

    /// Requests to an endpoint.
    pub(super) fn of_endpoint(
        &self,
        cluster: &Cluster,
        identity: &Arc<WorkloadIdentity>,
    ) -> DestinationId {
        let key = Arc::as_ptr(identity).addr();
        if let Some((_, known)) = self.endpoints.borrow().get(&key) {
            return *known;
        }
        let id = self.make(cluster, Some(identity));
        self.endpoints.borrow_mut().insert(key, (Arc::clone(identity), id));
        id
    }

    fn make(&self, cluster: &Cluster, identity: Option<&WorkloadIdentity>) -> DestinationId {
        let destination = Destination::new(cluster, identity, &self.cluster_id);
        self.metrics.borrow_mut().destination(destination)
    }
}
