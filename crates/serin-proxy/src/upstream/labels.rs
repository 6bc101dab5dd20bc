//! What is counted of a cluster on one core, and under which destination its requests count.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::TextHash;
use serin_routing::model::{Cluster, Endpoint, EndpointAddress, EndpointTls, WorkloadIdentity};
use serin_telemetry::{Destination, DestinationId, Workload};

use crate::network::Networks;
use crate::settings::Settings;
use crate::telemetry::Counters as CoreCounters;

/// Counters of a cluster, whatever its version.
#[derive(Default)]
pub(super) struct Counters {
    /// Tries.
    pub(super) requests: Cell<u64>,
    /// Requests that a circuit breaker refused.
    pub(super) overflows: Cell<u64>,
}

/// What endpoints are to a workload: their names in metrics, and whether they are in networks of this process.
pub(super) struct Naming {
    counters: Rc<CoreCounters>,
    cluster_id: Arc<str>,
    networks: Option<Arc<dyn Networks>>,
    /// The domain of the workload's own identity, which pods of the mesh have in common; `None` if it is not in the mesh.
    trust_domain: Option<Arc<str>>,
}

impl Naming {
    pub(super) fn new(
        counters: &Rc<CoreCounters>,
        settings: &Settings,
        workload: &Workload,
    ) -> Rc<Self> {
        Rc::new(Self {
            counters: Rc::clone(counters),
            cluster_id: Arc::clone(&settings.cluster_id),
            networks: settings.networks.clone(),
            trust_domain: workload.trust_domain().map(Arc::from),
        })
    }

    /// Whether an address is in one of this process's networks.
    pub(super) fn is_here(&self, address: &EndpointAddress) -> bool {
        let EndpointAddress::Socket(ip, _) = address else { return false };
        self.networks.as_ref().is_some_and(|networks| networks.owns(*ip))
    }

    fn destination(&self, cluster: &Cluster, endpoint: Option<(&Endpoint, bool)>) -> DestinationId {
        let identity = endpoint.map(|(endpoint, _)| &*endpoint.identity);
        let mut destination = Destination::new(cluster, identity, &self.cluster_id);
        // By TLS each side would have seen whom the other is: here it is known by construction.
        if let (Some((endpoint, true)), Some(domain)) = (endpoint, &self.trust_domain)
            && endpoint.tls == EndpointTls::Mesh
        {
            let account = &endpoint.identity.service_account;
            destination.workload = destination.workload.in_mesh(domain, account);
        }
        self.counters.metrics.borrow_mut().destination(destination)
    }
}

/// The destinations of one version of a cluster, found without looking at a label.
pub(super) struct Labels {
    naming: Rc<Naming>,
    cluster: Cell<Option<DestinationId>>,
    /// By the identity's address in memory, which is kept alive so that it stays one identity's.
    endpoints: RefCell<HashMap<usize, (Arc<WorkloadIdentity>, Known), TextHash>>,
}

/// What is known of an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) destination: DestinationId,
    /// It is in one of this process's networks.
    pub(super) is_here: bool,
}

impl Labels {
    pub(super) fn new(naming: Rc<Naming>) -> Self {
        Self { naming, cluster: Cell::new(None), endpoints: RefCell::default() }
    }

    /// Requests for which no endpoint was chosen.
    pub(super) fn of_cluster(&self, cluster: &Cluster) -> DestinationId {
        if let Some(known) = self.cluster.get() {
            return known;
        }
        let id = self.naming.destination(cluster, None);
        self.cluster.set(Some(id));
        id
    }

    /// Requests to an endpoint.
    pub(super) fn of_endpoint(&self, cluster: &Cluster, endpoint: &Endpoint) -> Known {
        let identity = &endpoint.identity;
        let key = Arc::as_ptr(identity).addr();
        if let Some((_, known)) = self.endpoints.borrow().get(&key) {
            return *known;
        }
        let is_here = self.naming.is_here(&endpoint.address);
        let destination = self.naming.destination(cluster, Some((endpoint, is_here)));
        let known = Known { destination, is_here };
        self.endpoints.borrow_mut().insert(key, (Arc::clone(identity), known));
        known
    }
}
