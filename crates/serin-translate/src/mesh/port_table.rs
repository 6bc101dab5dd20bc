//! The virtual hosts for one port of a sidecar (Istio's `BuildSidecarOutboundVirtualHosts`).
//!
//! In the mesh VirtualServices are not merged: of several for one host the first holds, and the others count for nothing there.
//! A service whose VirtualService has no rule for this proxy is reached as if it had none.

mod hosts;
mod on_port;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serin_api::Finding;
use serin_routing::model::{Route, RouteTable, VirtualHost};

use super::domains::{self, Domains};
use super::outbound::{self, Outbound};
use super::rule_index::RuleIndex;
use crate::host::Host;
use crate::registry::{Resolution, Service};
use crate::scope::EgressListener;
use crate::snapshot::same;
use crate::virtual_service::{ResolvedVirtualService, Semantics};

use hosts::HostList;
use on_port::{OnPort, PortServices};

/// The virtual hosts for a port.
#[derive(Clone, Debug)]
pub(super) struct PortTable {
    /// All of them by name, and last the one for unknown hosts.
    pub(super) table: Arc<RouteTable>,
    /// What was found about rules, by VirtualService.
    findings: BTreeMap<usize, Vec<Finding>>,
    plan: Arc<Plan>,
}

/// What does not depend on the rules but on who has some. VirtualServices are places in the listener's list.
#[derive(Debug)]
struct Plan {
    /// The services on the port.
    services: Arc<PortServices>,
    /// VirtualServices that were looked at.
    by_rules: BTreeMap<usize, Asked>,
    /// The place of the virtual host for each domain, made when it is first asked for.
    by_domain: OnceLock<HashMap<Arc<str>, usize>>,
    /// Hosts that several VirtualServices want.
    conflicts: Vec<Finding>,
}

/// A VirtualService that was asked for its routes.
#[derive(Debug)]
struct Asked {
    has_routes: bool,
    /// The places of its virtual hosts in the table; none if others have all its hosts.
    hosts: Vec<usize>,
}

/// A service port that is an HTTP proxy for every port.
pub(super) const EVERY_PORT: u16 = 0;

impl PortTable {
    /// The virtual hosts for `port` of the services and VirtualServices that `listener` imports. `index` is that of the
    /// listener's VirtualServices. Virtual hosts that are as in `last` are the same `Arc`s.
    pub(super) fn new(
        name: &str,
        port: u16,
        listener: &EgressListener,
        index: &RuleIndex<'_>,
        outbound: &Outbound<'_>,
        last: Option<&Self>,
    ) -> Self {
        let services = Arc::new(PortServices::new(port, listener));
        let mut builder = Builder::new(port, &services, listener, outbound);
        for place in builder.places(index) {
            builder.claim(place);
        }
        builder.add_claimed();
        builder.add_services();
        builder.finish(name, last)
    }

    /// The same table with new rules at `changed` places of the listener's list, whose hosts are as before. `None` if that
    /// changes more than rules: a VirtualService gains its first or loses its last rule for this proxy.
    pub(super) fn with_rules(
        &self,
        port: u16,
        listener: &EgressListener,
        outbound: &Outbound<'_>,
        changed: &[usize],
    ) -> Option<Self> {
        let touched =
            changed.iter().filter_map(|place| Some((*place, self.plan.by_rules.get(place)?)));
        let touched: Vec<_> = touched.collect();
        if touched.is_empty() {
            return Some(self.clone());
        }
        let services = OnPort::new(port, &self.plan.services, listener, outbound);
        let mut hosts = self.table.virtual_hosts.clone();
        let mut findings = self.findings.clone();
        for (place, Asked { has_routes, hosts: places }) in touched {
            let rules = &listener.virtual_services()[place];
            let (mut made, found) = services.routes(rules);
            if made.is_empty() == *has_routes {
                return None;
            }
            if found.is_empty() {
                findings.remove(&place);
            } else {
                findings.insert(place, found);
            }
            for host in places {
                let host = hosts.get_mut(*host)?;
                reuse_routes(&mut made, &host.routes);
                if !same(&host.routes, &made) {
                    *host = Arc::new(VirtualHost { routes: made.clone(), ..(**host).clone() });
                }
            }
        }
        let table =
            Arc::new(RouteTable { name: Arc::clone(&self.table.name), virtual_hosts: hosts });
        Some(Self { table, findings, plan: Arc::clone(&self.plan) })
    }

    /// What was found on the way.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values().flatten().chain(&self.plan.conflicts)
    }

    /// The table of a listener that is for one service only: the service's virtual host takes every request.
    pub(super) fn of_service(
        &self,
        name: &str,
        service: &str,
        last: Option<&Arc<RouteTable>>,
    ) -> Arc<RouteTable> {
        let by_domain = self.plan.by_domain.get_or_init(|| {
            let hosts = self.table.virtual_hosts.iter().enumerate();
            hosts
                .flat_map(|(place, host)| {
                    host.domains.iter().map(move |it| (Arc::clone(it), place))
                })
                .collect()
        });
        let host = by_domain.get(service).and_then(|place| self.table.virtual_hosts.get(*place));
        let is_same = |last: &&Arc<RouteTable>| match (&*last.virtual_hosts, host) {
            ([last], Some(host)) => last.name == host.name && same(&last.routes, &host.routes),
            (last, host) => last.is_empty() && host.is_none(),
        };
        if let Some(last) = last.filter(is_same) {
            return Arc::clone(last);
        }
        let alone = |host: &Arc<VirtualHost>| VirtualHost {
            domains: vec![Arc::from(Host::ANY)],
            ..(**host).clone()
        };
        let virtual_hosts = host.map(|host| Arc::new(alone(host))).into_iter().collect();
        Arc::new(RouteTable { name: Arc::from(name), virtual_hosts })
    }
}

/// Services on a port, and the VirtualServices that have claimed some of them.
struct Builder<'a> {
    port: u16,
    listener: &'a EgressListener,
    outbound: &'a Outbound<'a>,
    list: &'a Arc<PortServices>,
    services: OnPort<'a>,
    claims: Vec<Claim<'a>>,
    claimed: HashSet<&'a str>,
    by_rules: BTreeMap<usize, Asked>,
    findings: BTreeMap<usize, Vec<Finding>>,
    hosts: HostList,
}

/// Hosts that a VirtualService has rules for.
struct Claim<'a> {
    place: usize,
    port: u16,
    services: Vec<&'a Arc<Service>>,
    /// Hosts that are no services.
    hosts: Vec<&'a Host>,
    routes: Vec<Arc<Route>>,
}

impl<'a> Builder<'a> {
    fn new(
        port: u16,
        list: &'a Arc<PortServices>,
        listener: &'a EgressListener,
        outbound: &'a Outbound<'a>,
    ) -> Self {
        Self {
            port,
            listener,
            outbound,
            list,
            services: OnPort::new(port, list, listener, outbound),
            claims: Vec::new(),
            claimed: HashSet::new(),
            by_rules: BTreeMap::new(),
            findings: BTreeMap::new(),
            hosts: HostList::default(),
        }
    }

    /// The VirtualServices to look at: those for a service on the port. On port 80 all of them, since there even hosts that
    /// are no services are served.
    fn places(&self, index: &RuleIndex<'_>) -> Vec<usize> {
        if self.port == 80 {
            (0..self.listener.virtual_services().len()).collect()
        } else {
            index.matching(self.list.list.iter().map(|it| &it.host)).into_iter().collect()
        }
    }

    fn rules(&self, place: usize) -> &'a Arc<ResolvedVirtualService> {
        &self.listener.virtual_services()[place]
    }

    fn claim(&mut self, place: usize) {
        let rules = self.rules(place);
        let (routes, findings) = self.services.routes(rules);
        if !findings.is_empty() {
            self.findings.insert(place, findings);
        }
        let asked = Asked { has_routes: !routes.is_empty(), hosts: Vec::new() };
        self.by_rules.insert(place, asked);
        if routes.is_empty() {
            return;
        }
        let (hosts, mut services) = self.services.separate(rules);
        if rules.semantics == Semantics::Gateway {
            // Routes of the Gateway API are for their namespace's services and for their namespace's clients only.
            let home = rules.namespace();
            services.retain(|it| *it.namespace == *home || self.outbound.proxy.namespace == home);
            if services.is_empty() {
                return;
            }
        }
        let mut by_port = BTreeMap::<u16, Vec<&Arc<Service>>>::new();
        for service in services {
            for port in self.services.http_ports(service) {
                by_port.entry(port).or_default().push(service);
            }
        }
        if by_port.is_empty() && self.port == 80 {
            by_port.insert(80, Vec::new());
        }
        for (port, services) in by_port {
            self.claimed.extend(services.iter().map(|it| it.host.as_str()));
            self.claims.push(Claim {
                place,
                port,
                services,
                hosts: hosts.clone(),
                routes: routes.clone(),
            });
        }
    }

    fn add_claimed(&mut self) {
        let unclaimed = self.unclaimed().into_iter().map(|(service, _)| service.host.shared());
        let claimed = self.claims.iter().flat_map(|it| &it.services).map(|it| it.host.shared());
        self.hosts.known = claimed.chain(unclaimed).collect();
        for claim in std::mem::take(&mut self.claims) {
            let rules = self.rules(claim.place);
            for host in claim.hosts {
                let name = host.parse().map_or_else(|_| host.shared(), domains::host_of_address);
                let domains = Domains { all: vec![name], short_forms: Vec::new() };
                self.hosts.add(
                    host,
                    claim.port,
                    domains,
                    &claim.routes,
                    Some((claim.place, rules)),
                );
            }
            for service in claim.services {
                let domains = self.domains(service);
                self.hosts.add(
                    &service.host,
                    claim.port,
                    domains,
                    &claim.routes,
                    Some((claim.place, rules)),
                );
            }
        }
    }

    /// Services that no VirtualService is for, with their ports.
    fn unclaimed(&self) -> Vec<(&'a Arc<Service>, u16)> {
        let free = self.list.list.iter().filter(|it| {
            !self.claimed.contains(it.host.as_str()) && it.resolution != Resolution::Alias
        });
        free.flat_map(|it| self.services.http_ports(it).map(move |port| (it, port))).collect()
    }

    fn add_services(&mut self) {
        for (service, port) in self.unclaimed() {
            let route = Arc::new(outbound::service_route(service, port, self.outbound));
            let domains = self.domains(service);
            self.hosts.add(&service.host, port, domains, &[route], None);
        }
    }

    fn domains(&self, service: &Service) -> Domains {
        domains::of_service(
            service,
            self.outbound.proxy,
            &self.outbound.snapshot.settings().cluster_domain,
        )
    }

    fn finish(self, name: &str, last: Option<&PortTable>) -> PortTable {
        let HostList { mut made, conflicts, taken, .. } = self.hosts;
        let mut by_rules = self.by_rules;
        made.sort_by(|one, other| one.0.name.cmp(&other.0.name));
        if !taken.contains(Host::ANY) {
            made.push((outbound::catch_all(self.outbound), None));
        }
        for (place, (_, rules)) in made.iter().enumerate() {
            if let Some(asked) = rules.and_then(|rules| by_rules.get_mut(&rules)) {
                asked.hosts.push(place);
            }
        }
        let hosts = made.into_iter().map(|(host, _)| host);
        let table = table_of(name, hosts, last.map(|last| &last.table));
        let services = Arc::clone(self.list);
        let plan = Arc::new(Plan { services, by_rules, by_domain: OnceLock::new(), conflicts });
        PortTable { table, findings: self.findings, plan }
    }
}

/// A table of these virtual hosts; what is as in `last` is taken from there.
pub(crate) fn table_of(
    name: &str,
    hosts: impl Iterator<Item = VirtualHost>,
    last: Option<&Arc<RouteTable>>,
) -> Arc<RouteTable> {
    let known: HashMap<_, _> =
        last.iter().flat_map(|it| &it.virtual_hosts).map(|it| (Arc::clone(&it.name), it)).collect();
    let virtual_hosts: Vec<_> = hosts
        .map(|host| match known.get(&host.name) {
            Some(last) => reused(last, host),
            None => Arc::new(host),
        })
        .collect();
    let is_same = |last: &&Arc<RouteTable>| {
        last.virtual_hosts.len() == virtual_hosts.len()
            && last
                .virtual_hosts
                .iter()
                .zip(&virtual_hosts)
                .all(|(one, other)| Arc::ptr_eq(one, other))
    };
    match last.filter(is_same) {
        Some(last) => Arc::clone(last),
        None => Arc::new(RouteTable { name: Arc::from(name), virtual_hosts }),
    }
}

/// A virtual host: the last one if it is equal, else with what is equal of it.
pub(crate) fn reused(last: &Arc<VirtualHost>, mut host: VirtualHost) -> Arc<VirtualHost> {
    reuse_routes(&mut host.routes, &last.routes);
    let is_equal = host.name == last.name
        && host.domains == last.domains
        && host.require_tls == last.require_tls
        && same(&host.routes, &last.routes);
    if is_equal { Arc::clone(last) } else { Arc::new(host) }
}

/// Takes those routes from `last` that are equal to what stood in their place.
pub(crate) fn reuse_routes(routes: &mut [Arc<Route>], last: &[Arc<Route>]) {
    for (route, last) in routes.iter_mut().zip(last) {
        if route == last {
            *route = Arc::clone(last);
        }
    }
}
