//! Gateways as users write them, and what proxies make of them.

mod certificates;
mod connections;
mod merging;
mod selection;
mod tables;
mod versions;

use serin_api::Code;
use serin_routing::model::{
    Action, Bind, ClientCertificates, Direction, FilterChain, NetworkFilter, Route, VirtualHost,
};

use super::*;
use crate::testing::{cluster, cluster_with, gateway};

/// A Service of the ingress gateway, whose ports 80 and 443 are its proxy's 8080 and 8443, and services to route to.
const SERVICES: &str = "
kind: Service
metadata: {name: ingress, namespace: istio-system}
spec: {selector: {istio: ingress}, ports: [{port: 80, targetPort: 8080, name: http}, {port: 443, targetPort: 8443, name: https}]}
---
kind: Service
metadata: {name: a}
spec: {ports: [{port: 9080, name: http}]}
---
kind: Service
metadata: {name: b}
spec: {ports: [{port: 9080, name: http}, {port: 9081, name: tcp}]}
";

/// The proxy of the ingress gateway.
fn ingress() -> Proxy {
    gateway("istio-system", "istio=ingress")
}

fn snapshot(text: &str) -> Snapshot {
    cluster(&format!("{SERVICES}\n---\n{text}"))
}

fn edge_for(text: &str, proxy: &Proxy) -> Edge {
    edge_in(&snapshot(text), proxy)
}

fn edge_in(snapshot: &Snapshot, proxy: &Proxy) -> Edge {
    Edge::new(Seen { snapshot, scope: &Scope::new(snapshot, proxy) }, proxy)
}

/// What the ingress gateway makes of the services above and `text`.
fn edge(text: &str) -> Edge {
    edge_for(text, &ingress())
}

/// A Gateway `name` with servers as in YAML.
fn gw(name: &str, servers: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "kind: Gateway\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{selector: {{istio: ingress}}, servers: [{servers}]}}"
    )
}

/// A server for HTTP.
fn http(port: u16, hosts: &str) -> String {
    format!("{{port: {{number: {port}, name: http-{port}, protocol: HTTP}}, hosts: [{hosts}]}}")
}

/// A server for TLS, with the fields of `tls`.
fn tls(protocol: &str, port: u16, hosts: &str, tls: &str) -> String {
    let name = protocol.to_ascii_lowercase();
    format!(
        "{{port: {{number: {port}, name: {name}-{port}, protocol: {protocol}}}, hosts: [{hosts}], tls: {{{tls}}}}}"
    )
}

fn https(port: u16, hosts: &str) -> String {
    tls("HTTPS", port, hosts, "mode: SIMPLE, credentialName: cert")
}

/// A VirtualService with the fields of `spec`.
fn rules(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "kind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}"
    )
}

/// A VirtualService of `gw` that sends all requests for `hosts` to a host.
fn to(name: &str, hosts: &str, destination: &str) -> String {
    let route = format!("http: [{{route: [{{destination: {{host: {destination}}}}}]}}]");
    rules(name, &format!("gateways: [default/gw], hosts: [{hosts}], {route}"))
}

fn all(parts: &[String]) -> String {
    parts.join("\n---\n")
}

/// A route as text: its condition, and clusters or the status of an answer.
fn shown(route: &Route) -> String {
    let path = format!("{:?}", route.condition.path).replace("Prefix(\"/\")", "*");
    let headers = if route.condition.headers.is_empty() { "" } else { " if" };
    let action = match &route.action {
        Action::Forward(forward) => {
            let list = forward.destinations.list().iter();
            let clusters: Vec<_> =
                list.map(|it| it.cluster.replace(".svc.cluster.local", "")).collect();
            clusters.join(", ")
        }
        Action::Direct(response) => response.status.to_string(),
        Action::Redirect(redirect) => redirect.status.to_string(),
    };
    format!("{path}{headers} -> {action}")
}

fn shown_host(host: &VirtualHost) -> String {
    let domains: Vec<_> = host.domains.iter().map(|it| &**it).collect();
    let routes: Vec<_> = host.routes.iter().map(|it| shown(it)).collect();
    let redirect = if host.require_tls { " (https)" } else { "" };
    format!("{} [{}]{redirect} {}", host.name, domains.join(" "), routes.join("; "))
}

/// The virtual hosts of a table, each as `NAME [DOMAINS] ROUTES`.
#[track_caller]
fn check_table(edge: &Edge, name: &str, expect: &[&str]) {
    let names = || edge.route_tables.keys().map(|it| &**it).collect::<Vec<_>>();
    let table =
        edge.route_tables.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", names()));
    let hosts: Vec<_> = table.virtual_hosts.iter().map(|it| shown_host(it)).collect();
    assert_eq!(hosts.iter().map(|it| it.trim_end()).collect::<Vec<_>>(), expect, "{name}");
}

fn shown_chain(chain: &FilterChain) -> String {
    let names: Vec<_> = chain.criteria.server_names.iter().map(|it| &**it).collect();
    let tls = if chain.tls.is_some() { "tls " } else { "" };
    let filter = match &chain.filter {
        NetworkFilter::Http(connection) => connection.routes.to_string(),
        NetworkFilter::Tcp(proxy) => {
            let list = proxy.destinations.list().iter();
            let clusters: Vec<_> =
                list.map(|it| it.cluster.replace(".svc.cluster.local", "")).collect();
            clusters.join(", ")
        }
    };
    format!("[{}] {tls}-> {filter}", names.join(" "))
}

/// The listeners, each with its chains as `[SERVER NAMES] -> ROUTE TABLE or CLUSTERS`.
#[track_caller]
fn check_listeners(edge: &Edge, expect: &[(&str, &[&str])]) {
    let shown: Vec<_> = edge
        .listeners
        .values()
        .map(|it| (&*it.name, it.filter_chains.iter().map(shown_chain).collect::<Vec<_>>()))
        .collect();
    let shown: Vec<(_, Vec<_>)> = shown
        .iter()
        .map(|(name, chains)| (*name, chains.iter().map(String::as_str).collect()))
        .collect();
    let expect: Vec<(_, Vec<_>)> =
        expect.iter().map(|(name, chains)| (*name, chains.to_vec())).collect();
    assert_eq!(shown, expect);
}

/// The objects and fields that findings of a code are about.
fn found(edge: &Edge, code: &'static str) -> Vec<String> {
    let of_code = edge.findings.iter().filter(|it| it.code == Code(code));
    of_code.map(|it| format!("{} {}", it.object.as_ref().unwrap(), it.field)).collect()
}

#[test]
fn http_at_the_edge_trusts_nobody_and_says_who_the_client_is() {
    let edge = edge(&all(&[gw("gw", &http(80, "'*'")), to("vs", "'*'", "a")]));
    let listener = &edge.listeners["0.0.0.0_8080"];
    assert_eq!(listener.direction, Direction::Gateway);
    assert_eq!(listener.bind, Bind::Socket);
    assert!(!listener.inspect.tls);
    let NetworkFilter::Http(connection) = &listener.filter_chains[0].filter else { panic!() };
    assert!(connection.use_remote_address);
    assert_eq!(connection.trusted_hops, 0);
    assert_eq!(connection.client_certificates, ClientCertificates::SanitizeSet);
    assert_eq!(&*connection.server_name, "istio-envoy");
}

#[test]
fn the_mesh_says_which_proxies_stand_before_gateways() {
    let text = format!("{SERVICES}\n---\n{}", gw("gw", &http(80, "'*'")));
    let snapshot = cluster_with(&text, |mesh| {
        let written = serde_json::json!({
            "numTrustedProxies": 2, "forwardClientCertDetails": "APPEND_FORWARD", "proxyProtocol": {},
        });
        mesh.default_config.gateway_topology = Some(serde_json::from_value(written).unwrap());
    });
    let edge = edge_in(&snapshot, &ingress());
    let listener = &edge.listeners["0.0.0.0_8080"];
    assert!(listener.inspect.proxy_protocol);
    let NetworkFilter::Http(connection) = &listener.filter_chains[0].filter else { panic!() };
    assert_eq!(connection.trusted_hops, 2);
    assert_eq!(connection.client_certificates, ClientCertificates::AppendForward);
}
