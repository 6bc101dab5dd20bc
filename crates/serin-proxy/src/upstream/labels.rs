//! What is counted of a cluster on one core, and under which destination its requests count.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::TextHash;
use serin_routing::model::{Cluster, Endpoint, EndpointAddress, EndpointTls, WorkloadIdentity};
use serin_telemetry::{Destination, DestinationId, Workload};

use crate::core::Core;
use crate::network::Networks;
use crate::telemetry::Counters as CoreCounters;
use crate::under_way::{UnderWay, Visitor, Visitors};

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
    under_way: Rc<UnderWay>,
    cluster_id: Arc<str>,
    networks: Option<Arc<dyn Networks>>,
    /// The domain of the workload's own identity, which pods of the mesh have in common; `None` if it is not in the mesh.
    trust_domain: Option<Arc<str>>,
}

impl Naming {
    pub(super) fn new(core: &Core, workload: &Workload) -> Rc<Self> {
        let settings = &core.settings;
        Rc::new(Self {
            counters: Rc::clone(&core.counters),
            under_way: Rc::clone(&core.under_way),
            cluster_id: Arc::clone(&settings.cluster_id),
            networks: settings.networks.clone(),
            trust_domain: workload.trust_domain().map(Arc::from),
        })
    }

    /// What is under way to an address in one of this process's networks; `None` if it is in none of them.
    fn visitors(&self, address: &EndpointAddress) -> Option<Rc<Visitors>> {
        let EndpointAddress::Socket(ip, _) = address else { return None };
        let owns = self.networks.as_ref().is_some_and(|networks| networks.owns(*ip));
        owns.then(|| self.under_way.to(*ip))
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
struct Known {
    destination: DestinationId,
    /// Those under way to it, if it is in one of this process's networks.
    visitors: Option<Rc<Visitors>>,
}

impl Known {
    fn visit(&self) -> (DestinationId, Option<Visitor>) {
        (self.destination, self.visitors.as_ref().map(Visitor::new))
    }
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

    /// A request to an endpoint; with what says that it is under way if that is in one of this process's networks.
    pub(super) fn of_endpoint(
        &self,
        cluster: &Cluster,
        endpoint: &Endpoint,
    ) -> (DestinationId, Option<Visitor>) {
        let identity = &endpoint.identity;
        let key = Arc::as_ptr(identity).addr();
        if let Some((_, known)) = self.endpoints.borrow().get(&key) {
            return known.visit();
        }
        let visitors = self.naming.visitors(&endpoint.address);
        let destination = self.naming.destination(cluster, Some((endpoint, visitors.is_some())));
        let known = Known { destination, visitors };
        let visit = known.visit();
        self.endpoints.borrow_mut().insert(key, (Arc::clone(identity), known));
        visit
    }

    /// The endpoint that the name or address of a Service stands for; `None` if it is none.
    pub(super) fn behind(&self, service: &EndpointAddress) -> Option<EndpointAddress> {
        let endpoint = self.naming.networks.as_ref()?.behind(service)?;
        Some(EndpointAddress::Socket(endpoint.ip(), endpoint.port()))
    }

    /// Something under way to an address that a client meant.
    pub(super) fn visit(&self, address: &EndpointAddress) -> Option<Visitor> {
        self.naming.visitors(address).as_ref().map(Visitor::new)
    }
}
