//! One service for each host, out of several that declare it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::EgressListener;
use crate::host::Host;
use crate::registry::{Registry, Service, ServicePort, ServiceRegistry};

/// Services by host, in the order in which hosts were added.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceSet {
    list: Vec<Arc<Service>>,
    by_host: HashMap<Host, usize>,
}

impl ServiceSet {
    /// The services.
    pub(super) fn list(&self) -> &[Arc<Service>] {
        &self.list
    }

    /// The service of a host.
    pub(super) fn get(&self, host: &Host) -> Option<&Arc<Service>> {
        self.by_host.get(host).map(|&index| &self.list[index])
    }

    /// Adds services in order of preference.
    pub(super) fn extend<'a>(&mut self, services: impl IntoIterator<Item = &'a Arc<Service>>) {
        for service in services {
            self.add(service);
        }
    }

    /// A service for a host that is there already completes it or is passed over: the first holds, except that a Kubernetes
    /// Service goes before a ServiceEntry, lest someone takes its name; two declarations in one namespace put their ports
    /// together (`appendSidecarServices`).
    fn add(&mut self, service: &Arc<Service>) {
        let Some(&index) = self.by_host.get(&service.host) else {
            self.by_host.insert(service.host.clone(), self.list.len());
            self.list.push(Arc::clone(service));
            return;
        };
        let existing = &mut self.list[index];
        match (existing.registry, service.registry) {
            (ServiceRegistry::Kubernetes, ServiceRegistry::ServiceEntry) => {}
            (ServiceRegistry::ServiceEntry, ServiceRegistry::Kubernetes) => {
                *existing = Arc::clone(service)
            }
            _ if Arc::ptr_eq(existing, service) || !can_merge(existing, service) => {}
            _ => {
                let is_new = |port: &&ServicePort| existing.port(port.number).is_none();
                let more: Vec<_> = service.ports.iter().filter(is_new).cloned().collect();
                if !more.is_empty() {
                    *existing =
                        Arc::new(existing.with_ports([existing.ports.clone(), more].concat()));
                }
            }
        }
    }

    /// Adds the services that rules of `listener` send requests to: they need not be imported by name. They do not replace
    /// services that are.
    pub(super) fn infer(
        &mut self,
        registry: &Registry,
        namespace: &str,
        listener: &EgressListener,
    ) {
        for rules in listener.virtual_services() {
            for (host, ports) in rules.destinations_from(namespace) {
                let Some(service) = chosen_by_host(registry, namespace, &host) else { continue };
                let reached = match listener.matched_port() {
                    Some(port) => with_ports(service, |it| it.number == port),
                    None if ports.contains(&0) => Some(Arc::clone(service)),
                    None => with_ports(service, |it| ports.contains(&u32::from(it.number))),
                };
                if let Some(service) = reached {
                    self.add(&service);
                }
            }
        }
    }
}

/// The service of a host for clients of `namespace` that do not say which one they mean: their own, else that of the first
/// namespace by name whose service they see.
fn chosen_by_host<'a>(
    registry: &'a Registry,
    namespace: &str,
    host: &Host,
) -> Option<&'a Arc<Service>> {
    let by_namespace = registry.by_host(host)?;
    by_namespace
        .get(namespace)
        .or_else(|| by_namespace.values().find(|service| service.visibility.includes(namespace)))
}

/// The service with some of its ports; `None` if that leaves no port.
fn with_ports(
    service: &Arc<Service>,
    wanted: impl Fn(&ServicePort) -> bool,
) -> Option<Arc<Service>> {
    let ports: Vec<_> = service.ports.iter().filter(|port| wanted(port)).cloned().collect();
    if ports.len() == service.ports.len() {
        return Some(Arc::clone(service));
    }
    (!ports.is_empty()).then(|| Arc::new(service.with_ports(ports)))
}

fn can_merge(one: &Service, other: &Service) -> bool {
    let numbers = |it: &Service| it.ports.iter().map(|port| port.number).collect::<BTreeSet<_>>();
    one.namespace == other.namespace
        && one.resolution == other.resolution
        && one.selector == other.selector
        && numbers(one) != numbers(other)
}
