//! Route tables of a gateway (Istio's `buildGatewayHTTPRouteConfig`).
//!
//! A table has a virtual host for each host that a server and a VirtualService bound to it have in common; of a name and a
//! wildcard over it, that is the name. Unlike in the mesh, the rules of several VirtualServices for one host are all there, in
//! the order of the VirtualServices, and only those that take every request go behind all others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Finding;
use serin_api::networking::DestinationRule;
use serin_routing::model::{Route, VirtualHost};

use super::View;
use super::server::Server;
use crate::host::{Host, intersection};
use crate::mesh::{Outbound, host_of_address};
use crate::registry::Service;
use crate::route::{RouteContext, ServiceLookup, is_catch_all, routes};
use crate::virtual_service::{GatewayName, ResolvedVirtualService};

/// The routes that VirtualServices make, kept for as long as nothing else that they depend on changes.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteCache(HashMap<usize, OfRules>);

/// What one VirtualService makes. It is held here, so that its address, by which it is found, stays its own.
#[derive(Clone, Debug)]
struct OfRules {
    rules: Arc<ResolvedVirtualService>,
    made: Vec<(Key, Made)>,
}

/// What routes are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    gateway: GatewayName,
    port: u16,
    terminates_tls: bool,
}

#[derive(Clone, Debug)]
struct Made {
    routes: Vec<Arc<Route>>,
    findings: Vec<Finding>,
}

/// Makes route tables.
pub(super) struct Builder<'a> {
    view: View<'a>,
    last: &'a RouteCache,
    cache: RouteCache,
    findings: Vec<Finding>,
}

impl<'a> Builder<'a> {
    /// Routes are taken from `last` where it has them.
    pub(super) fn new(view: View<'a>, last: &'a RouteCache) -> Self {
        Self { view, last, cache: RouteCache::default(), findings: Vec::new() }
    }

    /// The routes that were made, and what was found on the way.
    pub(super) fn finish(self) -> (RouteCache, Vec<Finding>) {
        (self.cache, self.findings)
    }

    /// The virtual hosts of a table for these servers, by name.
    pub(super) fn hosts(&mut self, servers: &[&Server<'_>]) -> Vec<VirtualHost> {
        let mut hosts = BTreeMap::new();
        for server in servers {
            self.add(server, &mut hosts);
        }
        let mut hosts = joined(hosts);
        if hosts.is_empty() {
            let port = servers.first().map_or(0, |it| it.port);
            hosts.push(virtual_host(format!("blackhole:{port}").into(), Host::ANY.into()));
        }
        hosts.sort_by(|one, other| one.name.cmp(&other.name));
        hosts
    }

    fn add(&mut self, server: &Server<'_>, hosts: &mut BTreeMap<Host, VirtualHost>) {
        for rules in self.view.bound(server) {
            let common = intersection(&server.hosts_for(rules.namespace()), &rules.hosts);
            if common.is_empty() {
                continue;
            }
            let routes = self.routes(rules, server);
            if routes.is_empty() {
                continue;
            }
            for host in common {
                let host = hosts.entry(host).or_insert_with_key(|host| VirtualHost {
                    require_tls: server.redirects(),
                    ..host_of(host, server)
                });
                host.routes.extend(routes.iter().cloned());
            }
        }
        if server.redirects() {
            for host in server.all_hosts() {
                let entry = hosts.entry(host.clone());
                entry.or_insert_with_key(|host| host_of(host, server)).require_tls = true;
            }
        }
    }

    /// The routes of `rules` for requests to a server.
    fn routes(
        &mut self,
        rules: &Arc<ResolvedVirtualService>,
        server: &Server<'_>,
    ) -> Vec<Arc<Route>> {
        let key = Key {
            gateway: server.name.clone(),
            port: server.port,
            terminates_tls: server.reading.is_tls(),
        };
        let address = Arc::as_ptr(rules).addr();
        let known = |cache: &RouteCache| {
            let (_, made) = cache.0.get(&address)?.made.iter().find(|(it, _)| *it == key)?;
            Some(made.clone())
        };
        if let Some(made) = known(&self.cache) {
            return made.routes;
        }
        let mut made = known(self.last).unwrap_or_else(|| make(&self.view, rules, server));
        let of_rules = self
            .cache
            .0
            .entry(address)
            .or_insert_with(|| OfRules { rules: Arc::clone(rules), made: Vec::new() });
        debug_assert!(Arc::ptr_eq(&of_rules.rules, rules));
        // Virtual hosts with the same routes are joined, and the same are found by address.
        if let Some((_, same)) = of_rules.made.iter().find(|(_, it)| it.routes == made.routes) {
            made.routes.clone_from(&same.routes);
        }
        self.findings.extend(made.findings.iter().cloned());
        of_rules.made.push((key, made.clone()));
        made.routes
    }
}

fn make(view: &View<'_>, rules: &Arc<ResolvedVirtualService>, server: &Server<'_>) -> Made {
    let outbound = view.outbound(server);
    let services = RuleServices { outbound: &outbound, namespace: rules.namespace() };
    let context = RouteContext {
        terminates_tls: server.reading.is_tls(),
        ..outbound.routes(server.port, &services)
    };
    let made = routes(rules, &context);
    Made { findings: made.findings_about(rules), routes: made.routes }
}

/// The services that the rules of a VirtualService lead to: those of its own namespace go before others that the proxy sees
/// (`buildNameToServiceMapForHTTPRoutes`).
struct RuleServices<'a> {
    outbound: &'a Outbound<'a>,
    namespace: &'a str,
}

impl RuleServices<'_> {
    fn service(&self, host: &str) -> Option<&Arc<Service>> {
        let host = Host::new(host);
        let registry = self.outbound.snapshot.registry();
        let own = registry.by_host(&host).and_then(|it| it.get(self.namespace));
        let seer = &self.outbound.proxy.namespace;
        own.filter(|it| it.visibility.includes(seer)).or_else(|| self.outbound.scope.service(&host))
    }
}

impl ServiceLookup for RuleServices<'_> {
    fn only_port(&self, host: &str) -> Option<u16> {
        match &*self.service(host)?.ports {
            [only] => Some(only.number),
            _ => None,
        }
    }

    fn stands_for(&self, host: &str) -> Option<&Host> {
        self.service(host)?.external_name.as_ref()
    }

    fn destination_rule(&self, host: &str) -> Option<&DestinationRule> {
        self.outbound.destination_rule(host)
    }
}

fn host_of(host: &Host, server: &Server<'_>) -> VirtualHost {
    let domain = host.parse().map_or_else(|_| host.shared(), host_of_address);
    virtual_host(format!("{domain}:{}", server.port).into(), domain)
}

fn virtual_host(name: Arc<str>, domain: Arc<str>) -> VirtualHost {
    VirtualHost { name, domains: vec![domain], routes: Vec::new(), require_tls: false }
}

/// Virtual hosts with rules that take every request behind all others. Those with the same routes become one, which has the
/// name of the most specific (`collapseDuplicateRoutes`).
fn joined(hosts: BTreeMap<Host, VirtualHost>) -> Vec<VirtualHost> {
    let mut hosts: Vec<_> = hosts.into_iter().collect();
    hosts.sort_by(|(one, _), (other, _)| one.cmp_specific_first(other));
    let mut joined = Vec::<VirtualHost>::new();
    let mut places = HashMap::new();
    for (_, mut host) in hosts {
        host.routes.sort_by_key(|it| is_catch_all(it));
        let routes: Vec<_> = host.routes.iter().map(|it| Arc::as_ptr(it).addr()).collect();
        let place = *places.entry((routes, host.require_tls)).or_insert(joined.len());
        match joined.get_mut(place) {
            Some(same) => same.domains.append(&mut host.domains),
            None => joined.push(host),
        }
    }
    joined
}
