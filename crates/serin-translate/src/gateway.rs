//! Gateway proxies: the Gateways that choose them become listeners and route tables.
//!
//! Which Gateways those are and on which ports they are served (`selection`), what their servers share (`merge`), how
//! connections are read (`listeners`), under which certificates (`certificates`) and where they go (`connections`), and by which
//! virtual hosts requests are routed (`tables`). Clusters and endpoints are made elsewhere.

mod certificates;
mod connections;
mod listeners;
mod merge;
mod selection;
mod server;
mod tables;

use std::sync::Arc;

use serin_api::{Finding, ObjectRef};
use serin_routing::model::{ByName, Listener, RouteTable};

use crate::cluster::GatewayKind;
use crate::mesh::{Outbound, Seen, reuse, without_repetition};
use crate::proxy::Proxy;
use crate::scope::Scope;
use crate::snapshot::{Snapshot, same};
use crate::virtual_service::ResolvedVirtualService;

use merge::Merged;
use server::{Reading, Server};
use tables::Tables;

/// Listeners and route tables of a gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    /// By name.
    pub(crate) listeners: ByName<Listener>,
    /// By name.
    pub(crate) route_tables: ByName<RouteTable>,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
    /// Which clusters it needs.
    pub(crate) kind: GatewayKind,
    /// What was found about Gateways and connections.
    found: Vec<Finding>,
    tables: Tables,
}

impl Edge {
    /// The listeners and route tables of `proxy`.
    pub(crate) fn new(seen: Seen<'_>, proxy: &Proxy) -> Self {
        Self::default().rebuilt(View::new(seen, proxy), false)
    }

    /// The next version for the same proxy; this one was made from `before`. What is equal is the same `Arc` again.
    pub(crate) fn next(&self, before: Seen<'_>, seen: Seen<'_>, proxy: &Proxy) -> Self {
        let view = View::new(seen, proxy);
        let (last, snapshot) = (before.snapshot, seen.snapshot);
        let changed = changed_rules(last, snapshot);
        changed
            .and_then(|changed| self.with_rules(view, &changed))
            .unwrap_or_else(|| self.rebuilt(view, snapshot.differs_in_rules_only(last)))
    }

    /// Everything made anew; routes only if not `keeps_routes`. What turns out to be equal is taken from this version.
    fn rebuilt(&self, view: View<'_>, keeps_routes: bool) -> Self {
        let targets = view.snapshot.registry().targets(view.proxy);
        let gateways = &view.snapshot.objects().gateways;
        let selected = selection::selected(gateways, view.proxy, &targets);
        let Merged { sockets, tables, findings: mut found } = Merged::new(&selected, view.proxy);

        let mut listeners = ByName::default();
        let mut builder = listeners::Builder::new(view);
        let mut kind = GatewayKind::Routing;
        for (place, socket) in &sockets {
            if socket.served.iter().any(|it| it.server.reading == Reading::AutoPassthrough) {
                kind = GatewayKind::AutoPassthrough;
            }
            if let Some(listener) = builder.listener(*place, socket) {
                let name = Arc::clone(&listener.name);
                listeners.extend([reuse(&self.listeners, name, Arc::new(listener))]);
            }
        }
        found.extend(builder.into_findings());
        let tables = Tables::new(view, tables, &self.tables, keeps_routes);
        Self::assembled(listeners, kind, found, tables)
    }

    /// The same with new rules for HTTP in some VirtualServices; `None` if that changes more than rules.
    fn with_rules(&self, view: View<'_>, changed: &[Changed<'_>]) -> Option<Self> {
        let tables = self.tables.with_rules(view, changed)?;
        let found = self.found.clone();
        Some(Self::assembled(self.listeners.clone(), self.kind, found, tables))
    }

    fn assembled(
        listeners: ByName<Listener>,
        kind: GatewayKind,
        found: Vec<Finding>,
        tables: Tables,
    ) -> Self {
        let route_tables = tables.made.clone().into();
        let findings = without_repetition(found.iter().chain(tables.findings()));
        Self { listeners, route_tables, findings, kind, found, tables }
    }
}

/// The objects, as somebody wrote them, whose servers a gateway serves on a port of its own.
pub fn served_at(snapshot: &Snapshot, proxy: &Proxy, port: u16) -> Vec<ObjectRef> {
    let targets = snapshot.registry().targets(proxy);
    let selected = selection::selected(&snapshot.objects().gateways, proxy, &targets);
    let mut objects = Vec::new();
    for gateway in &selected {
        for server in gateway.servers.iter().filter(|it| gateway.ports(it.port).contains(&port)) {
            let (object, _) = server.place();
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
    }
    objects
}

/// The place of a VirtualService with new rules, and what stood there.
type Changed<'a> = (usize, &'a Arc<ResolvedVirtualService>);

/// The VirtualServices that have changed from `before` to `now`, if nothing that gateways depend on has changed but rules for
/// HTTP.
fn changed_rules<'a>(before: &'a Snapshot, now: &Snapshot) -> Option<Vec<Changed<'a>>> {
    let (objects, last) = (now.objects(), before.objects());
    let (rules, known) = (now.virtual_services(), before.virtual_services());
    let is_same = now.differs_in_rules_only(before)
        && rules.differ_in_rules_only(known)
        && same(&objects.gateways, &last.gateways)
        && same(&objects.secrets, &last.secrets)
        && same(&objects.reference_grants, &last.reference_grants);
    if !is_same {
        return None;
    }
    let pairs = known.all().iter().zip(rules.all()).enumerate();
    let changed = pairs.filter(|(_, (one, other))| !Arc::ptr_eq(one, other));
    let only_http = |(place, (one, other)): (usize, (&'a Arc<ResolvedVirtualService>, &Arc<_>))| {
        let other: &ResolvedVirtualService = other;
        (one.tls == other.tls && one.tcp == other.tcp).then_some((place, one))
    };
    changed.map(only_http).collect()
}

/// A gateway and what it sees.
#[derive(Clone, Copy)]
struct View<'a> {
    snapshot: &'a Snapshot,
    scope: &'a Scope,
    proxy: &'a Proxy,
}

impl<'a> View<'a> {
    const fn new(Seen { snapshot, scope }: Seen<'a>, proxy: &'a Proxy) -> Self {
        Self { snapshot, scope, proxy }
    }

    /// What connections and requests to a server are routed by.
    fn outbound<'s>(&self, server: &'s Server<'_>) -> Outbound<'s>
    where
        'a: 's,
    {
        Outbound {
            snapshot: self.snapshot,
            scope: self.scope,
            proxy: self.proxy,
            gateways: std::slice::from_ref(&server.name),
        }
    }

    /// The VirtualServices bound to a server's Gateway, in Istio's order.
    fn bound(
        &self,
        server: &Server<'_>,
    ) -> impl Iterator<Item = &'a Arc<ResolvedVirtualService>> + use<'a> {
        self.snapshot.virtual_services().bound_to(&server.name, &self.proxy.namespace)
    }

    /// Those among them that are for a host of the server.
    fn rules<'s>(
        &self,
        server: &'s Server<'_>,
    ) -> impl Iterator<Item = &'a Arc<ResolvedVirtualService>> + use<'a, 's> {
        self.bound(server).filter(|it| server.serves(it.namespace(), &it.hosts))
    }
}

#[cfg(test)]
mod tests;
