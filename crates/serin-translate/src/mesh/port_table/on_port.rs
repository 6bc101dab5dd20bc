//! The services on a port, as rules see them.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serin_api::Finding;
use serin_api::networking::DestinationRule;
use serin_routing::model::Route;

use super::EVERY_PORT;
use crate::host::Host;
use crate::mesh::outbound::Outbound;
use crate::mesh::rule_index::suffixes;
use crate::registry::{Protocol, Service};
use crate::route::{ServiceLookup, routes};
use crate::scope::EgressListener;
use crate::virtual_service::{ResolvedVirtualService, Semantics};

/// The services that have a port.
#[derive(Debug)]
pub(super) struct PortServices {
    /// In the order of the listener.
    pub(super) list: Vec<Arc<Service>>,
    by_host: HashMap<Host, usize>,
}

impl PortServices {
    /// Those of a listener that have `port`; all of them for [`EVERY_PORT`].
    pub(super) fn new(port: u16, listener: &EgressListener) -> Self {
        let has_port = |it: &&Arc<Service>| port == EVERY_PORT || it.port(port).is_some();
        let list: Vec<_> = listener.services().iter().filter(has_port).cloned().collect();
        let by_host = list.iter().enumerate().map(|(place, it)| (it.host.clone(), place)).collect();
        Self { list, by_host }
    }

    fn get(&self, host: &str) -> Option<&Arc<Service>> {
        self.by_host.get(host).map(|place| &self.list[*place])
    }
}

/// The services that have a port, as destinations of rules see them: a service that does not have the listener's port counts
/// as unknown there, which is Istio's way in sidecars.
pub(super) struct OnPort<'a> {
    port: u16,
    services: &'a PortServices,
    listener: &'a EgressListener,
    outbound: &'a Outbound<'a>,
    wildcards: OnceCell<Wildcards<'a>>,
}

/// Services as wildcards of VirtualServices see them.
struct Wildcards<'a> {
    /// What follows the star of every wildcard that a service falls under.
    above: HashSet<&'a str>,
    /// What follows the star of services that are wildcards.
    services: HashSet<&'a str>,
    /// Services by the VirtualService of the most specific host for them, as its address.
    assigned: HashMap<usize, Vec<&'a Arc<Service>>>,
}

impl<'a> OnPort<'a> {
    /// Those of `listener` that have `port`.
    pub(super) fn new(
        port: u16,
        services: &'a PortServices,
        listener: &'a EgressListener,
        outbound: &'a Outbound<'a>,
    ) -> Self {
        Self { port, services, listener, outbound, wildcards: OnceCell::new() }
    }

    /// The routes of a VirtualService here.
    pub(super) fn routes(&self, rules: &ResolvedVirtualService) -> (Vec<Arc<Route>>, Vec<Finding>) {
        let made = routes(rules, &self.outbound.routes(self.port, self));
        let findings = made.findings_about(rules);
        (made.routes, findings)
    }

    /// The ports of a service that HTTP may be sent to from here.
    pub(super) fn http_ports(&self, service: &'a Service) -> impl Iterator<Item = u16> + use<'a> {
        let only = self.port;
        let is_http = |protocol: Protocol| protocol.is_http() || protocol.is_sniffed();
        let ports = service.ports.iter().filter(move |it| only == EVERY_PORT || it.number == only);
        ports.filter(move |it| is_http(it.protocol)).map(|it| it.number)
    }

    /// The hosts of a VirtualService: those that are no services on this port, and the services. A service under a wildcard
    /// belongs to the VirtualService with the most specific host for it, and to no other.
    pub(super) fn separate(
        &self,
        rules: &'a Arc<ResolvedVirtualService>,
    ) -> (Vec<&'a Host>, Vec<&'a Arc<Service>>) {
        let mut others = Vec::new();
        let mut services = Vec::new();
        for host in rules.hosts.iter().filter(|it| !it.is_wildcard()) {
            match self.services.get(host) {
                Some(service) => services.push(service),
                None => others.push(host),
            }
        }
        for host in rules.hosts.iter().filter(|it| it.is_wildcard()) {
            if rules.semantics == Semantics::Gateway || !self.wildcards().meet(host) {
                others.push(host);
            } else {
                let assigned = self.wildcards().assigned.get(&Arc::as_ptr(rules).addr());
                services.extend(assigned.into_iter().flatten().filter(|it| it.host.matches(host)));
            }
        }
        (others, services)
    }

    fn wildcards(&self) -> &Wildcards<'a> {
        self.wildcards.get_or_init(|| {
            let hosts = || self.services.list.iter().map(|it| &it.host);
            let mut assigned = HashMap::<_, Vec<_>>::new();
            for service in &self.services.list {
                if let Some(rules) = self.listener.virtual_service_of(&service.host) {
                    assigned.entry(Arc::as_ptr(rules).addr()).or_default().push(service);
                }
            }
            Wildcards {
                above: hosts().flat_map(suffixes).collect(),
                services: hosts().filter_map(|it| it.strip_prefix('*')).collect(),
                assigned,
            }
        })
    }
}

impl Wildcards<'_> {
    /// Whether `wildcard` has a service in common with the registry.
    fn meet(&self, wildcard: &Host) -> bool {
        let suffix = wildcard.strip_prefix('*').unwrap_or(wildcard);
        self.above.contains(suffix) || suffixes(wildcard).any(|it| self.services.contains(it))
    }
}

impl ServiceLookup for OnPort<'_> {
    fn only_port(&self, host: &str) -> Option<u16> {
        let service = self.services.get(host).filter(|_| self.port == EVERY_PORT)?;
        match &*service.ports {
            [only] => Some(only.number),
            _ => None,
        }
    }

    fn stands_for(&self, host: &str) -> Option<&Host> {
        self.services.get(host)?.external_name.as_ref()
    }

    fn destination_rule(&self, host: &str) -> Option<&DestinationRule> {
        self.outbound.destination_rule(host)
    }
}
