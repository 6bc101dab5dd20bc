//! Egress listeners: the services and VirtualServices that each imports.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::networking::IstioEgressListener;

use super::pattern::Patterns;
use super::services::ServiceSet;
use crate::host::{Host, HostMap};
use crate::registry::{Alias, Protocol, Service};
use crate::snapshot::Snapshot;
use crate::virtual_service::{GatewayName, ResolvedVirtualService, Semantics};

/// A listener for outbound traffic with what it imports.
#[derive(Clone, Debug)]
pub(crate) struct EgressListener {
    /// As a Sidecar declares it; `None` for the one that imports everything.
    pub(crate) declared: Option<Arc<IstioEgressListener>>,
    services: Arc<ServiceSet>,
    virtual_services: Arc<Vec<Arc<ResolvedVirtualService>>>,
    /// Where each VirtualService stands among those of the snapshot.
    places: Arc<[usize]>,
    by_host: Arc<FirstByHost>,
}

/// The first VirtualService of each host, as its place in a list.
type FirstByHost = HostMap<Option<usize>>;

impl EgressListener {
    /// The listener that imports all that `namespace` sees.
    pub(super) fn everything(snapshot: &Snapshot, namespace: &str) -> Self {
        let mut services = ServiceSet::default();
        services.extend(snapshot.registry().visible_to(namespace));
        let places = imported_rules(snapshot, namespace, None);
        Self::with(None, Arc::new(services), snapshot, places)
    }

    /// The listener that a Sidecar in `namespace` declares.
    pub(super) fn new(
        snapshot: &Snapshot,
        namespace: &str,
        declared: &IstioEgressListener,
    ) -> Self {
        let patterns = Patterns::new(&declared.hosts, namespace);
        let imported =
            |service: &&Arc<Service>| patterns.imports_service(&service.namespace, &service.host);
        let port = matched_port(declared);
        let candidates = snapshot.registry().visible_to(namespace).filter(imported);
        let candidates = candidates.filter_map(|it| trimmed(it, port, &patterns));
        let services = one_namespace_each(&candidates.collect::<Vec<_>>(), namespace);
        let places = imported_rules(snapshot, namespace, Some(&patterns));
        Self::with(Some(Arc::new(declared.clone())), Arc::new(services), snapshot, places)
    }

    fn with(
        declared: Option<Arc<IstioEgressListener>>,
        services: Arc<ServiceSet>,
        snapshot: &Snapshot,
        places: Arc<[usize]>,
    ) -> Self {
        let all = snapshot.virtual_services().all();
        let virtual_services: Vec<_> = places.iter().map(|it| Arc::clone(&all[*it])).collect();
        let by_host = Arc::new(first_by_host(&virtual_services));
        Self { declared, services, virtual_services: Arc::new(virtual_services), places, by_host }
    }

    /// The same listener in a snapshot of which only VirtualServices differ from `before`.
    pub(super) fn with_rules_of(
        &self,
        before: &Snapshot,
        snapshot: &Snapshot,
        namespace: &str,
    ) -> Self {
        let rules = snapshot.virtual_services();
        if !rules.differ_in_rules_only(before.virtual_services()) {
            let patterns = self.declared.as_ref().map(|it| Patterns::new(&it.hosts, namespace));
            let places = imported_rules(snapshot, namespace, patterns.as_ref());
            return Self::with(self.declared.clone(), Arc::clone(&self.services), snapshot, places);
        }
        let mut next = self.clone();
        for (number, place) in self.places.iter().enumerate() {
            let (old, new) = (&self.virtual_services[number], &rules.all()[*place]);
            if !Arc::ptr_eq(old, new) {
                Arc::make_mut(&mut next.virtual_services)[number] = Arc::clone(new);
            }
        }
        next
    }

    /// The set of the services.
    pub(super) fn service_set(&self) -> &Arc<ServiceSet> {
        &self.services
    }

    /// Services that this listener imports, one for each host.
    pub(crate) fn services(&self) -> &[Arc<Service>] {
        self.services.list()
    }

    /// VirtualServices that this listener imports, in Istio's order.
    pub(crate) fn virtual_services(&self) -> &[Arc<ResolvedVirtualService>] {
        &self.virtual_services
    }

    /// The VirtualService whose rules a service gets: that of the most specific host, and of several the first.
    pub(crate) fn virtual_service_of(
        &self,
        service: &Host,
    ) -> Option<&Arc<ResolvedVirtualService>> {
        let (_, index) = self.by_host.most_specific(service)?;
        self.virtual_services.get((*index)?)
    }

    /// The port that services must have to be imported.
    pub(super) fn matched_port(&self) -> Option<u16> {
        self.declared.as_deref().and_then(matched_port)
    }
}

/// The places of VirtualServices for sidecars that `namespace` sees and that `patterns`, if there are any, import.
fn imported_rules(
    snapshot: &Snapshot,
    namespace: &str,
    patterns: Option<&Patterns>,
) -> Arc<[usize]> {
    let rules = snapshot.virtual_services();
    let seen = rules.places_bound_to(&GatewayName::mesh(), namespace);
    let Some(patterns) = patterns else { return seen.collect() };
    let takes = |place: &usize| {
        let it = &rules.all()[*place];
        let loosely = it.semantics != Semantics::Gateway;
        it.hosts.iter().any(|host| patterns.imports_rules(it.namespace(), host, loosely))
    };
    seen.filter(takes).collect()
}

fn first_by_host(list: &[Arc<ResolvedVirtualService>]) -> FirstByHost {
    let mut by_host = FirstByHost::default();
    for (index, rules) in list.iter().enumerate() {
        for host in &rules.hosts {
            by_host.entry(host.clone()).get_or_insert(index);
        }
    }
    by_host
}

/// A listener with a port is for services with that port, unless it is an HTTP proxy for any.
fn matched_port(declared: &IstioEgressListener) -> Option<u16> {
    let port = declared.port.as_ref()?;
    if port.number == 0 || Protocol::parse(&port.protocol) == Protocol::HttpProxy {
        return None;
    }
    u16::try_from(port.number).ok()
}

/// The service as a listener imports it: with the listener's port only, and the aliases that are imported too.
fn trimmed(service: &Arc<Service>, port: Option<u16>, patterns: &Patterns) -> Option<Arc<Service>> {
    let service = match port {
        None => Arc::clone(service),
        Some(port) => Arc::new(service.with_ports(vec![service.port(port)?.clone()])),
    };
    let imported = |alias: &&Alias| patterns.imports_service(&service.namespace, &alias.host);
    let aliases: Vec<_> = service.aliases.iter().filter(imported).cloned().collect();
    if aliases.len() == service.aliases.len() {
        return Some(service);
    }
    Some(Arc::new(Service { aliases, ..(*service).clone() }))
}

/// Of the services of a host in several namespaces those of `namespace`, if there are any, else those of the namespace that
/// comes first; one for each host.
fn one_namespace_each(services: &[Arc<Service>], namespace: &str) -> ServiceSet {
    let mut owners = HashMap::<&Host, &str>::new();
    for service in services {
        let owner = owners.entry(&service.host).or_insert(&service.namespace);
        if *service.namespace == *namespace {
            *owner = namespace;
        }
    }
    let mut chosen = ServiceSet::default();
    chosen.extend(services.iter().filter(|it| owners.get(&it.host) == Some(&&*it.namespace)));
    chosen
}
