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

use serin_api::Finding;
use serin_routing::model::{ByName, Listener, RouteTable};

use crate::cluster::GatewayKind;
use crate::mesh::{Outbound, Seen, reuse, table_of, without_repetition};
use crate::proxy::Proxy;
use crate::scope::Scope;
use crate::snapshot::Snapshot;
use crate::virtual_service::ResolvedVirtualService;

use merge::Merged;
use server::{Reading, Server};
use tables::RouteCache;

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
    routes: RouteCache,
}

impl Edge {
    /// The listeners and route tables of `proxy`.
    pub(crate) fn new(seen: Seen<'_>, proxy: &Proxy) -> Self {
        Self::default().rebuilt(View::new(seen, proxy))
    }

    /// The next version for the same proxy; this one was made from `before`. What is equal is the same `Arc` again.
    pub(crate) fn next(&self, before: Seen<'_>, seen: Seen<'_>, proxy: &Proxy) -> Self {
        let view = View::new(seen, proxy);
        if seen.snapshot.differs_in_rules_only(before.snapshot) {
            self.rebuilt(view)
        } else {
            Self { routes: RouteCache::default(), ..self.clone() }.rebuilt(view)
        }
    }

    fn rebuilt(&self, view: View<'_>) -> Self {
        let targets = view.snapshot.registry().targets(view.proxy);
        let gateways = &view.snapshot.objects().gateways;
        let selected = selection::selected(gateways, view.proxy, &targets);
        let Merged { sockets, tables, mut findings } = Merged::new(&selected, view.proxy);

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
        findings.extend(builder.into_findings());

        let mut route_tables = ByName::default();
        let mut builder = tables::Builder::new(view, &self.routes);
        for (name, servers) in tables {
            let hosts = builder.hosts(&servers).into_iter();
            let table = table_of(&name, hosts, self.route_tables.get(&name));
            route_tables.insert(name, table);
        }
        let (routes, found) = builder.finish();
        findings.extend(found);
        let findings = without_repetition(findings.iter());
        Self { listeners, route_tables, findings, kind, routes }
    }
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
