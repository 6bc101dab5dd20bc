//! Sidecar proxies: outbound and inbound listeners and route tables.
//!
//! Outbound, listeners follow from the services in scope (`listeners`, `connections`), and the route table of a port from the services on
//! it and the VirtualServices for them (`port_table`, `domains`). Inbound, listeners follow from the services that lead to the
//! workload or from its Sidecar (`inbound`), and from who may speak to it how (`peer_authentication`). Clusters and
//! endpoints are made elsewhere.
//!
//! [`Mesh::next`] makes the next version out of the last: what is equal is the same `Arc` again, and a change that only touches the rules
//! of some VirtualServices costs what depends on those.

mod chains;
mod connections;
mod domains;
mod inbound;
mod listeners;
mod outbound;
mod peer_authentication;
mod port_table;
mod rule_index;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serin_api::Finding;
use serin_routing::model::{ByName, Listener, RouteTable};

use crate::proxy::Proxy;
use crate::scope::{EgressListener, Scope};
use crate::snapshot::{Snapshot, same};
use crate::virtual_service::GatewayName;

pub(crate) use chains::{IDLE_TIMEOUT, criteria, tcp, texts};
pub(crate) use connections::{routed, with_policy};
pub(crate) use domains::host_of_address;
pub use inbound::received;
pub(crate) use inbound::{inbound_cluster_name, mesh_tls, wildcard};
pub(crate) use outbound::{Outbound, single};
pub(crate) use peer_authentication::{Mode, Modes};
pub(crate) use port_table::{reuse_routes, reused, table_of};

use inbound::Inbound;
use listeners::{HTTP_PROXY_TABLE, Listeners, TableSource, outbound_listeners};
use port_table::PortTable;
use rule_index::RuleIndex;

/// Listeners and route tables of a sidecar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    /// By name.
    pub(crate) listeners: ByName<Listener>,
    /// By name.
    pub(crate) route_tables: ByName<RouteTable>,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
    outbound: Arc<Listeners>,
    inbound: Arc<Inbound>,
    ports: BTreeMap<TableKey, PortTable>,
}

/// The port that the listeners of a table are looked up by, and the port whose virtual hosts it has.
type TableKey = (u16, u16);

/// What a proxy sees of a mesh at one time.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The mesh.
    pub(crate) snapshot: &'a Snapshot,
    /// The part of it in the proxy's scope.
    pub(crate) scope: &'a Scope,
}

impl Mesh {
    /// The listeners and route tables of `proxy`.
    pub(crate) fn new(seen: Seen<'_>, proxy: &Proxy) -> Self {
        Self::default().rebuilt(seen, proxy)
    }

    /// The next version for the same proxy; this one was made from `before`.
    pub(crate) fn next(&self, before: Seen<'_>, now: Seen<'_>, proxy: &Proxy) -> Self {
        match changed_rules(before, now) {
            Some(changed) => self.with_rules(now, proxy, &changed),
            None => self.rebuilt(now, proxy),
        }
    }

    /// Everything made anew. What turns out to be equal is taken from this version.
    fn rebuilt(&self, Seen { snapshot, scope }: Seen<'_>, proxy: &Proxy) -> Self {
        let mesh = [GatewayName::mesh()];
        let outbound = Outbound { snapshot, scope, proxy, gateways: &mesh };
        let listeners = Arc::new(outbound_listeners(&outbound));
        let mut ports = BTreeMap::new();
        let mut indexes = BTreeMap::<usize, RuleIndex<'_>>::new();
        for key in listeners.tables.values().map(TableSource::key) {
            let Some((place, listener)) = egress(scope, key) else { continue };
            let index = indexes.entry(place).or_insert_with(|| http_index(listener));
            let last = self.ports.get(&key);
            ports.entry(key).or_insert_with(|| {
                PortTable::new(&table_name(key), key.1, listener, index, &outbound, last)
            });
        }
        let inbound = Arc::new(inbound::inbound(snapshot, scope, proxy));
        self.assembled(listeners, inbound, ports)
    }

    /// The same with new rules in the VirtualServices at `changed` places of each egress listener's list.
    fn with_rules(
        &self,
        Seen { snapshot, scope }: Seen<'_>,
        proxy: &Proxy,
        changed: &Changed,
    ) -> Self {
        let mesh = [GatewayName::mesh()];
        let outbound = Outbound { snapshot, scope, proxy, gateways: &mesh };
        let listeners = if changed.connections {
            Arc::new(outbound_listeners(&outbound))
        } else {
            Arc::clone(&self.outbound)
        };
        let mut ports = BTreeMap::new();
        for (key, last) in &self.ports {
            let Some((place, listener)) = egress(scope, *key) else { continue };
            let places = changed.places.get(place).map_or(&[][..], Vec::as_slice);
            let table = last.with_rules(key.1, listener, &outbound, places).unwrap_or_else(|| {
                PortTable::new(
                    &table_name(*key),
                    key.1,
                    listener,
                    &http_index(listener),
                    &outbound,
                    Some(last),
                )
            });
            ports.insert(*key, table);
        }
        self.assembled(listeners, Arc::clone(&self.inbound), ports)
    }

    fn assembled(
        &self,
        outbound: Arc<Listeners>,
        inbound: Arc<Inbound>,
        ports: BTreeMap<TableKey, PortTable>,
    ) -> Self {
        let is_same =
            Arc::ptr_eq(&outbound, &self.outbound) && Arc::ptr_eq(&inbound, &self.inbound);
        let (listeners, mut route_tables) = if is_same {
            (self.listeners.clone(), self.route_tables.clone())
        } else {
            let own = inbound.listeners.iter().map(|it| (&it.name, Arc::new(it.clone())));
            let all = outbound.made.iter().map(|(name, it)| (name, Arc::clone(it))).chain(own);
            let listeners = all.map(|(name, it)| reuse(&self.listeners, Arc::clone(name), it));
            let tables = inbound.tables.iter().map(|it| (&it.name, Arc::new(it.clone())));
            let tables = tables.map(|(name, it)| reuse(&self.route_tables, Arc::clone(name), it));
            (listeners.collect(), tables.collect::<ByName<_>>())
        };
        let is_as_before = |key: &TableKey| {
            let (last, port) = (self.ports.get(key), ports.get(key));
            last.map(|it| Arc::as_ptr(&it.table)) == port.map(|it| Arc::as_ptr(&it.table))
        };
        for (name, source) in &outbound.tables {
            if is_same && is_as_before(&source.key()) {
                continue;
            }
            let last = self.route_tables.get(name);
            let table = match (ports.get(&source.key()), &source.service) {
                (Some(port), None) => Arc::clone(&port.table),
                (Some(port), Some(service)) => port.of_service(name, service, last),
                (None, _) => {
                    Arc::new(RouteTable { name: Arc::clone(name), virtual_hosts: Vec::new() })
                }
            };
            route_tables.insert(Arc::clone(name), table);
        }
        let found = ports
            .values()
            .flat_map(PortTable::findings)
            .chain(&outbound.findings)
            .chain(&inbound.findings);
        let findings = without_repetition(found);
        Self { listeners, route_tables, findings, outbound, inbound, ports }
    }
}

/// Which VirtualServices have new rules.
struct Changed {
    /// By egress listener, places in its list.
    places: Vec<Vec<usize>>,
    /// Rules for TLS or TCP are among the changes.
    connections: bool,
}

/// What has changed if it is nothing but rules; `None` if more has.
fn changed_rules(before: Seen<'_>, now: Seen<'_>) -> Option<Changed> {
    let (last, scope) = (before.scope, now.scope);
    let is_same = now.snapshot.differs_in_rules_only(before.snapshot)
        && last.egress.len() == scope.egress.len()
        && same(last.services(), scope.services());
    if !is_same {
        return None;
    }
    let mut changed = Changed { places: Vec::new(), connections: false };
    for (last, now) in last.egress.iter().zip(&scope.egress) {
        let (rules, new) = (last.virtual_services(), now.virtual_services());
        if !same(last.services(), now.services()) || rules.len() != new.len() {
            return None;
        }
        let mut places = Vec::new();
        for (place, (one, other)) in rules.iter().zip(new).enumerate() {
            if !Arc::ptr_eq(one, other) {
                // Those without rules for HTTP are not among the VirtualServices that are looked at for a port.
                let is_looked_at = one.http.is_empty() == other.http.is_empty();
                if !is_looked_at || !one.has_same_place(other) {
                    return None;
                }
                changed.connections |= one.tls != other.tls || one.tcp != other.tcp;
                places.push(place);
            }
        }
        changed.places.push(places);
    }
    Some(changed)
}

impl TableSource {
    const fn key(&self) -> TableKey {
        (self.listener_port, self.port)
    }
}

fn table_name((listener_port, _): TableKey) -> String {
    if listener_port == 0 { HTTP_PROXY_TABLE.to_owned() } else { listener_port.to_string() }
}

fn egress(scope: &Scope, (port, _): TableKey) -> Option<(usize, &EgressListener)> {
    let listener = scope.egress_for(port, HTTP_PROXY_TABLE)?;
    scope.egress.iter().position(|it| std::ptr::eq(it, listener)).map(|place| (place, listener))
}

fn http_index(listener: &EgressListener) -> RuleIndex<'_> {
    RuleIndex::new(listener.virtual_services(), |it| !it.http.is_empty())
}

/// The value of `name` in `last` if it is equal, else `value`.
pub(crate) fn reuse<T: PartialEq>(
    last: &BTreeMap<Arc<str>, Arc<T>>,
    name: Arc<str>,
    value: Arc<T>,
) -> (Arc<str>, Arc<T>) {
    match last.get(&name) {
        Some(last) if **last == *value => (name, Arc::clone(last)),
        _ => (name, value),
    }
}

/// A VirtualService that serves several ports yields its findings for each.
pub(crate) fn without_repetition<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Finding> {
    let mut seen = HashSet::new();
    findings
        .filter(|it| {
            seen.insert((it.code, it.object.clone(), it.field.clone(), it.message.clone()))
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
