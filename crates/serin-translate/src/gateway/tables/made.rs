//! The routes that VirtualServices make for servers, kept from one version to the next.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::Finding;
use serin_api::networking::DestinationRule;
use serin_routing::model::Route;

use crate::gateway::View;
use crate::gateway::server::Server;
use crate::host::Host;
use crate::mesh::{Outbound, reuse_routes};
use crate::registry::Service;
use crate::route::{RouteContext, ServiceLookup, routes};
use crate::virtual_service::{GatewayName, ResolvedVirtualService};

/// What routes are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    gateway: GatewayName,
    port: u16,
    terminates_tls: bool,
}

impl Key {
    pub(super) fn of(server: &Server<'_>) -> Self {
        let terminates_tls = server.reading.is_tls();
        Self { gateway: server.name.clone(), port: server.port, terminates_tls }
    }
}

/// The routes of a VirtualService for a key, and what was found on the way.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) findings: Vec<Finding>,
}

/// What VirtualServices have made; kept for as long as nothing else that it depends on changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteCache(HashMap<usize, Arc<OfRules>>);

/// What one VirtualService makes. It is held here, so that its address, by which it is found, stays its own.
#[derive(Clone, Debug)]
struct OfRules {
    rules: Arc<ResolvedVirtualService>,
    made: Vec<(Key, Arc<Made>)>,
}

impl OfRules {
    fn get(&self, key: &Key) -> Option<&Arc<Made>> {
        self.made.iter().find(|(it, _)| it == key).map(|(_, made)| made)
    }
}

impl RouteCache {
    pub(super) fn get(&self, rules: &Arc<ResolvedVirtualService>, key: &Key) -> Option<&Arc<Made>> {
        self.0.get(&Arc::as_ptr(rules).addr())?.get(key)
    }

    /// Takes out what a VirtualService has made.
    pub(super) fn remove(&mut self, rules: &Arc<ResolvedVirtualService>) {
        self.0.remove(&Arc::as_ptr(rules).addr());
    }

    pub(super) fn insert(
        &mut self,
        rules: &Arc<ResolvedVirtualService>,
        key: &Key,
        made: Arc<Made>,
    ) -> Arc<Made> {
        let of_rules = self
            .0
            .entry(Arc::as_ptr(rules).addr())
            .or_insert_with(|| Arc::new(OfRules { rules: Arc::clone(rules), made: Vec::new() }));
        debug_assert!(Arc::ptr_eq(&of_rules.rules, rules), "the address is that of these rules");
        // Virtual hosts with the same routes are joined, and the same are found by address.
        let same = of_rules.made.iter().find(|(_, it)| it.routes == made.routes);
        let made = match same {
            Some((_, same)) => {
                let (routes, findings) = (same.routes.clone(), made.findings.clone());
                Arc::new(Made { routes, findings })
            }
            None => made,
        };
        Arc::make_mut(of_rules).made.push((key.clone(), Arc::clone(&made)));
        made
    }
}

/// The routes of `rules` for requests to the servers of a key; what is equal in `last` is taken from there.
pub(super) fn make(
    view: &View<'_>,
    rules: &Arc<ResolvedVirtualService>,
    key: &Key,
    last: Option<&Made>,
) -> Arc<Made> {
    let outbound = Outbound {
        snapshot: view.snapshot,
        scope: view.scope,
        proxy: view.proxy,
        gateways: std::slice::from_ref(&key.gateway),
    };
    let services = RuleServices { outbound: &outbound, namespace: rules.namespace() };
    let context =
        RouteContext { terminates_tls: key.terminates_tls, ..outbound.routes(key.port, &services) };
    let made = routes(rules, &context);
    let findings = made.findings_about(rules);
    let mut routes = made.routes;
    reuse_routes(&mut routes, last.map_or(&[], |last| &last.routes));
    Arc::new(Made { routes, findings })
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
