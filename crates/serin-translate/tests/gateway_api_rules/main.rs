//! The rules of the Gateway API and of Istio's reading of it, one by one, beyond what Istio's own scenarios show.

#![expect(clippy::unwrap_used, reason = "tests bring what can be read")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_api::networking::{HttpRoute, VirtualService};
use serin_api::values::StringMatch;
use serin_translate::gateway_api::{Converted, ServiceView};

mod addresses;
mod attachment;
mod backends;
mod classes;
mod listeners;
mod order;
mod rules;
mod streams;
#[path = "../support/gateway_api.rs"]
mod support;

use support::{Environment, documents, run};

/// A cluster with the service `edge` in `infra` (port 80 leads to workload port 8080, port 443 to 8443) and services `a`,
/// `b`, `c` with port 80 in `app`.
fn cluster() -> Environment {
    let mut services = String::new();
    for (namespace, name) in [("infra", "edge"), ("app", "a"), ("app", "b"), ("app", "c")] {
        services.push_str(&format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, \
             spec: {{ports: [{{name: http, port: 80}}]}}}}\n"
        ));
    }
    let edge = ServiceView {
        hostname: "edge.infra.svc.cluster.local".to_owned(),
        namespace: "infra".to_owned(),
        ports: vec![80, 443],
        addresses: vec!["10.0.0.1".to_owned()],
        external_addresses: vec!["203.0.113.1".to_owned()],
        endpoint_ports: BTreeMap::from([
            (80, BTreeSet::from([8080])),
            (443, BTreeSet::from([8443])),
        ]),
        ..ServiceView::default()
    };
    Environment {
        domain: "cluster.local".to_owned(),
        registry: vec![edge],
        documents: documents(&services),
    }
}

fn convert(objects: &[String]) -> Converted {
    run(&cluster(), &objects.join("\n---\n"))
}

/// An object in flow style.
fn object(kind: &str, namespace: &str, name: &str, spec: &str) -> String {
    let group = if kind.starts_with('X') {
        "gateway.networking.x-k8s.io/v1alpha1"
    } else {
        "gateway.networking.k8s.io/v1"
    };
    format!(
        "{{apiVersion: {group}, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}"
    )
}

/// The Gateway `infra/gw` on the service `edge`.
fn gateway(listeners: &str) -> String {
    let spec = format!(
        "gatewayClassName: istio, addresses: [{{type: Hostname, value: edge}}], listeners: [{listeners}]"
    );
    object("Gateway", "infra", "gw", &spec)
}

const OPEN: &str =
    "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}";
const PARENT: &str = "parentRefs: [{name: gw, namespace: infra}]";

fn route(name: &str, spec: &str) -> String {
    object("HTTPRoute", "app", name, &format!("{PARENT}, {spec}"))
}

/// An HTTPRoute with one rule that leads to `a`.
fn route_with_rule(rule: &str) -> String {
    route("r", &format!("rules: [{{backendRefs: [{{name: a, port: 80}}], {rule}}}]"))
}

fn the_route(rule: &str) -> HttpRoute {
    let converted = convert(&[gateway(OPEN), route_with_rule(rule)]);
    converted.virtual_services.first().unwrap().spec.http.first().unwrap().clone()
}

/// A condition as `status reason: message`.
fn condition(entry: &Value, kind: &str) -> String {
    let conditions = entry["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|it| it["type"] == kind);
    found.map_or("none".to_owned(), |it| {
        let text = |key: &str| it[key].as_str().unwrap();
        format!("{} {}: {}", text("status"), text("reason"), text("message"))
    })
}

fn status(converted: &Converted, kind: &str, name: &str) -> Value {
    let statuses = converted.statuses("now");
    let found = statuses.into_iter().find(|(object, _)| object.kind == kind && object.name == name);
    found.map_or(Value::Null, |(_, status)| status)
}

/// `Accepted` and `ResolvedRefs` of the parents of a route, in order.
fn parents(converted: &Converted, kind: &str, name: &str) -> Vec<[String; 2]> {
    let parents = status(converted, kind, name)["parents"].as_array().cloned().unwrap_or_default();
    parents.iter().map(|it| [condition(it, "Accepted"), condition(it, "ResolvedRefs")]).collect()
}

fn listener(converted: &Converted, position: usize) -> Value {
    status(converted, "Gateway", "gw")["listeners"][position].clone()
}

fn hosts(converted: &Converted) -> Vec<&str> {
    converted.virtual_services.iter().flat_map(|it| &it.spec.hosts).map(String::as_str).collect()
}

fn find<'c>(converted: &'c Converted, name: &str) -> &'c VirtualService {
    let names: Vec<_> = converted.virtual_services.iter().map(|it| it.meta.name.as_str()).collect();
    let found = converted.virtual_services.iter().find(|it| it.meta.name == name);
    &found.unwrap_or_else(|| panic!("{name} is not among {names:?}")).spec
}

const VALID: [&str; 2] =
    ["True Accepted: Route was valid", "True ResolvedRefs: All references resolved"];
