//! What serves: Services, ServiceEntries, workloads and their endpoints.
//!
//! Both kinds of declaration become a [`Service`], their endpoints [`ServiceEndpoint`]s. Which of several services of one host
//! a proxy uses depends on the proxy and is decided by its scope; what TLS, balancing and subsets make of the endpoints is
//! decided by the clusters.

mod endpoint;
mod service;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use endpoint::{EndpointSource, ServiceEndpoint, Workload};
pub use serin_api::values::Protocol;
pub use service::{Alias, Resolution, Service, ServicePort, ServiceRegistry, TrafficDistribution};

use crate::host::Host;
use crate::visibility::VisibilityIndex;

/// Every service, found by host and by who sees it, and its endpoints.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    services: VisibilityIndex<Arc<Service>>,
    /// The service of each host and namespace; of several the Kubernetes Service, else the oldest.
    by_host: HashMap<Host, BTreeMap<Arc<str>, Arc<Service>>>,
    endpoints: HashMap<Key, Vec<Arc<ServiceEndpoint>>>,
}

/// A host may be declared in several namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    host: Host,
    namespace: Arc<str>,
}

impl Key {
    fn of(service: &Service) -> Self {
        Self { host: service.host.clone(), namespace: Arc::clone(&service.namespace) }
    }
}

/// A port of the proxy's own workload that a service leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTarget {
    /// The service.
    pub service: Arc<Service>,
    /// The service's port.
    pub port: ServicePort,
    /// The workload's port.
    pub target_port: u16,
}

impl Registry {
    /// Every service in Istio's order: by creation, then name, then namespace.
    pub fn services(&self) -> &[Arc<Service>] {
        self.services.all()
    }

    /// The services that `namespace` sees, those exported to few namespaces first. A host may occur more than once.
    pub fn visible_to(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        self.services.seen_by(namespace)
    }

    /// The services of a host by namespace.
    pub fn by_host(&self, host: &Host) -> Option<&BTreeMap<Arc<str>, Arc<Service>>> {
        self.by_host.get(host)
    }

    /// The endpoints of a service, for all its ports.
    pub fn endpoints(&self, service: &Service) -> &[Arc<ServiceEndpoint>] {
        self.endpoints.get(&Key::of(service)).map_or(&[], Vec::as_slice)
    }
}
