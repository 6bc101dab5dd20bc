//! How one version follows another.

use super::*;
use crate::testing::objects;
use crate::{Objects, Settings, SnapshotBuilder};

/// Makes the versions of an edge, one after the other.
struct Versions {
    builder: SnapshotBuilder,
    objects: Objects,
    snapshot: Arc<Snapshot>,
    edge: Edge,
}

impl Versions {
    fn new(text: &str) -> Self {
        let mut builder = SnapshotBuilder::default();
        let objects = objects(&format!("{SERVICES}\n---\n{text}"));
        let snapshot = builder.build(objects.clone(), Settings::default());
        let edge = edge_in(&snapshot, &ingress());
        Self { builder, objects, snapshot, edge }
    }

    /// The last version and the next, after a change of the objects.
    fn next(&mut self, change: impl FnOnce(&mut Objects)) -> (Edge, &Edge) {
        change(&mut self.objects);
        let snapshot = self.builder.build(self.objects.clone(), Settings::default());
        let proxy = ingress();
        let (scope_before, scope) =
            (Scope::new(&self.snapshot, &proxy), Scope::new(&snapshot, &proxy));
        let before = Seen { snapshot: &self.snapshot, scope: &scope_before };
        let seen = Seen { snapshot: &snapshot, scope: &scope };
        let edge = self.edge.next(before, seen, &proxy);
        let fresh = Edge::new(seen, &proxy);
        assert_eq!(
            (&edge.listeners, &edge.route_tables, &edge.findings),
            (&fresh.listeners, &fresh.route_tables, &fresh.findings)
        );
        self.snapshot = snapshot;
        (std::mem::replace(&mut self.edge, edge), &self.edge)
    }
}

const TEXT: &str = "
kind: Gateway
metadata: {name: gw}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}, {port: {number: 81, name: http-81, protocol: HTTP}, hosts: [b.com]}]}
---
kind: VirtualService
metadata: {name: a}
spec: {gateways: [gw], hosts: [a.com], http: [{route: [{destination: {host: a}}]}, {route: [{destination: {host: b}}]}]}
---
kind: VirtualService
metadata: {name: b}
spec: {gateways: [gw], hosts: [b.com], http: [{route: [{destination: {host: b}}]}]}
";

fn remove_first_rule(objects: &mut Objects) {
    let mut rules = (*objects.virtual_services[0]).clone();
    rules.spec.http.remove(0);
    objects.virtual_services[0] = Arc::new(rules);
}

#[test]
fn a_change_of_rules_leaves_everything_else_as_it_is() {
    let mut versions = Versions::new(TEXT);
    let (before, after) = versions.next(remove_first_rule);
    for (name, listener) in &before.listeners {
        assert!(Arc::ptr_eq(listener, &after.listeners[name]), "{name}");
    }
    assert!(Arc::ptr_eq(&before.route_tables["http.81"], &after.route_tables["http.81"]));
    let hosts = |edge: &Edge| edge.route_tables["http.8080"].virtual_hosts.clone();
    let (before, after) = (hosts(&before), hosts(after));
    assert!(!Arc::ptr_eq(&before[0], &after[0]));
    assert!(Arc::ptr_eq(&before[1], &after[1]));
}

#[test]
fn nothing_is_new_where_nothing_changed() {
    let mut versions = Versions::new(TEXT);
    let (before, after) = versions.next(|_| {});
    for (name, table) in &before.route_tables {
        assert!(Arc::ptr_eq(table, &after.route_tables[name]), "{name}");
    }
}

#[test]
fn findings_stay_while_their_cause_does() {
    let mut versions = Versions::new(TEXT);
    let (before, after) = versions.next(|_| {});
    assert_eq!(found(&before, "SRN0314").len(), 1);
    assert_eq!(found(after, "SRN0314").len(), 1);
    let (_, after) = versions.next(remove_first_rule);
    assert!(found(after, "SRN0314").is_empty());
}

#[test]
fn a_change_of_services_changes_destinations() {
    let mut versions = Versions::new(TEXT);
    let (_, after) = versions.next(|objects| {
        let place = objects.services.iter().position(|it| it.meta.name == "b").unwrap();
        let mut service = (*objects.services[place]).clone();
        service.spec.ports.truncate(1);
        objects.services[place] = Arc::new(service);
    });
    check_table(after, "http.81", &["b.com:81 [b.com] * -> outbound|9080||b.default"]);
}

#[test]
fn a_gateway_that_is_gone_leaves_nothing() {
    let mut versions = Versions::new(TEXT);
    let (_, after) = versions.next(|objects| objects.gateways.clear());
    assert!(after.listeners.is_empty() && after.route_tables.is_empty());
}
