//! What serves: Services, ServiceEntries, workloads and their endpoints.
//!
//! Both kinds of declaration become a [`Service`], their endpoints [`ServiceEndpoint`]s. Which of several services of one host
//! a proxy uses depends on the proxy and is decided by its scope; what TLS, balancing and subsets make of the endpoints is
//! decided by the clusters.

mod alias;
mod auto_address;
mod endpoint;
mod injection;
mod kubernetes;
mod locality;
mod service;
mod service_entry;
mod target;
pub(crate) mod topology;
mod workloads;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Object;
use serin_api::networking::ServiceEntry;

pub use endpoint::{EndpointSource, ServiceEndpoint, Workload};
pub use injection::{is_gateway, is_injected};
pub use serin_api::values::Protocol;
pub use service::{
    Alias, Resolution, Service, ServicePort, ServiceRegistry, TargetPort, TrafficDistribution,
};
pub use target::ServiceTarget;
pub use workloads::pod_workloads;

use crate::host::Host;
use crate::snapshot::{Objects, Settings, same};
use crate::visibility::VisibilityIndex;
use kubernetes::EndpointLists;
use workloads::Workloads;

/// Every service, found by host and by who sees it, and its endpoints.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    services: VisibilityIndex<Arc<Service>>,
    /// The service of each host and namespace; of several the Kubernetes Service, else the oldest.
    by_host: HashMap<Host, BTreeMap<Arc<str>, Arc<Service>>>,
    /// Endpoints of all declarations of a host in a namespace, which share them.
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

impl Registry {
    /// The services of all objects.
    pub(crate) fn new(objects: &Objects, settings: &Settings) -> Self {
        let workloads = Workloads::new(objects, settings);
        let lists = EndpointLists::new(objects, &workloads, settings);
        let mut registry = Self::default();
        for service in services(objects, settings) {
            registry.add(Arc::new(service));
        }
        for object in &objects.services {
            let host = Host::of_service(
                &object.meta.name,
                &object.meta.namespace,
                &settings.cluster_domain,
            );
            registry.add_endpoints(host, &object.meta.namespace, lists.of(object));
        }
        for object in &objects.service_entries {
            for service in service_entry::services(object, settings) {
                let endpoints =
                    service_entry::endpoints(object, &service, &workloads, settings.expects_pods);
                registry.add_endpoints(service.host, &object.meta.namespace, endpoints);
            }
        }
        registry
    }

    /// Whether two sets of objects give the same registry, because those it is made from are the same.
    pub(crate) fn depends_on_same(one: &Objects, other: &Objects) -> bool {
        same(&one.services, &other.services)
            && same(&one.service_entries, &other.service_entries)
            && same(&one.workload_entries, &other.workload_entries)
            && same(&one.endpoint_slices, &other.endpoint_slices)
            && same(&one.endpoints, &other.endpoints)
            && same(&one.pods, &other.pods)
            && same(&one.nodes, &other.nodes)
            && same(&one.namespaces, &other.namespaces)
            && same(&one.deployments, &other.deployments)
            && same(&one.replica_sets, &other.replica_sets)
            && same(&one.stateful_sets, &other.stateful_sets)
            && same(&one.daemon_sets, &other.daemon_sets)
            && same(&one.jobs, &other.jobs)
    }

    fn add(&mut self, service: Arc<Service>) {
        let of_host = self.by_host.entry(service.host.clone()).or_default();
        let existing =
            of_host.entry(Arc::clone(&service.namespace)).or_insert_with(|| Arc::clone(&service));
        if existing.registry > service.registry {
            *existing = Arc::clone(&service);
        }
        self.services.add(Arc::clone(&service), &service.namespace, &service.visibility);
    }

    fn add_endpoints(&mut self, host: Host, namespace: &str, endpoints: Vec<ServiceEndpoint>) {
        let key = Key { host, namespace: Arc::from(namespace) };
        self.endpoints.entry(key).or_default().extend(endpoints.into_iter().map(Arc::new));
    }

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

    /// The endpoints of one port of a service.
    pub fn endpoints_of_port<'a>(
        &'a self,
        service: &Service,
        port: &'a ServicePort,
    ) -> impl Iterator<Item = &'a Arc<ServiceEndpoint>> + use<'a> {
        self.endpoints(service).iter().filter(|endpoint| endpoint.port_name == port.name)
    }
}

/// The services that all objects declare, in Istio's order, with aliases and automatic addresses.
fn services(objects: &Objects, settings: &Settings) -> Vec<Service> {
    let of_entry = |object: &'_ Arc<Object<ServiceEntry>>| {
        let declared = service_entry::services(object, settings);
        declared.into_iter().map(|service| (service, Arc::clone(object))).collect::<Vec<_>>()
    };
    let mut from_entries: Vec<_> = objects.service_entries.iter().flat_map(of_entry).collect();
    auto_address::assign(from_entries.iter_mut().map(|(service, object)| (service, &*object)));
    let mut services: Vec<_> =
        objects.services.iter().map(|object| kubernetes::service(object, settings)).collect();
    services.extend(from_entries.into_iter().map(|(service, _)| service));
    services.sort_by(|one, other| {
        (&one.created, &one.name, &one.namespace).cmp(&(
            &other.created,
            &other.name,
            &other.namespace,
        ))
    });
    alias::resolve(&mut services);
    services
}

#[cfg(test)]
mod tests;
