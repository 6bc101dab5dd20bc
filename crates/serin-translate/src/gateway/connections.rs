//! Connections that a gateway passes on: filter chains by the rules of VirtualServices for TCP and TLS (Istio's
//! `createGatewayTCPFilterChainOpts`).

use std::sync::Arc;

use serin_api::networking::{L4MatchAttributes, RouteDestination, TcpRoute};
use serin_api::{FieldPath, Finding};
use serin_routing::model::{DownstreamTls, FilterChain, FilterChainMatch, NetworkFilter, TcpProxy};

use super::View;
use super::listeners::Chains;
use super::server::{Reading, Server};
use crate::cluster::sni_name;
use crate::codes::{CONNECTION_RULE_UNUSED, SERVER_NAME_IN_RULES_TAKEN};
use crate::host::Host;
use crate::mesh::{criteria, routed, single, tcp, texts, with_policy};
use crate::registry::{Protocol, Resolution};
use crate::virtual_service::ResolvedVirtualService;

/// The protocols that mutual TLS of the mesh announces.
const ALPN_MESH: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// Adds the chains for connections to `server`, of which `tls` terminates TLS.
pub(super) fn add(
    view: &View<'_>,
    server: &Server<'_>,
    tls: Option<DownstreamTls>,
    chains: &mut Chains,
    findings: &mut Vec<Finding>,
) {
    match server.reading {
        Reading::AutoPassthrough => add_by_cluster(view, server, chains),
        Reading::Passthrough => add_by_server_name(view, server, None, chains, findings),
        _ => {
            if !add_first_rule(view, server, &tls, chains, findings) && tls.is_some() {
                // What the Gateway API's routes for TLS become keeps its server names where TLS is terminated.
                add_by_server_name(view, server, tls, chains, findings);
            }
        }
    }
}

/// The rules for TCP that are for a server, with their places in their VirtualServices.
fn rules_for_tcp<'a>(
    view: &View<'a>,
    server: &Server<'_>,
) -> impl Iterator<Item = (&'a Arc<ResolvedVirtualService>, usize, &'a TcpRoute)> {
    let outbound = view.outbound(server);
    let place = outbound.place(server.port);
    let is_for = |it: &L4MatchAttributes| place.is_for(it.port, &it.gateways);
    let fits = |it: &TcpRoute| {
        !it.route.is_empty() && (it.matches.is_empty() || it.matches.iter().any(is_for))
    };
    let all = view.rules(server).flat_map(|rules| {
        rules.tcp.iter().enumerate().map(move |(index, route)| (rules, index, route))
    });
    all.filter(|(_, _, route)| fits(route)).collect::<Vec<_>>().into_iter()
}

/// Of all rules for TCP the first alone holds. Whether there is one.
fn add_first_rule(
    view: &View<'_>,
    server: &Server<'_>,
    tls: &Option<DownstreamTls>,
    chains: &mut Chains,
    findings: &mut Vec<Finding>,
) -> bool {
    let mut rules = rules_for_tcp(view, server);
    let Some((first, first_index, route)) = rules.next() else { return false };
    let names = if tls.is_some() { server.all_hosts() } else { Vec::new() };
    let chain = FilterChain {
        name: chain_name(server),
        criteria: criteria(names.iter().map(|it| it.as_str()), &[]),
        tls: tls.clone(),
        filter: destinations(view, server, &route.route),
    };
    if !chains.add(chain) {
        let message = "connections for these server names go to another server";
        findings.push(server.finding(SERVER_NAME_IN_RULES_TAKEN, "hosts", message));
    }
    let tcp = |index: usize| FieldPath::spec().key("tcp").index(index);
    for (rules, index, _) in rules.filter(|(_, _, it)| it.route != route.route) {
        let message = format!(
            "connections to port {} of Gateway {} go where {} says, the first rule for them; this rule has no effect there",
            server.port,
            server.name,
            first.object.reference(),
        );
        let finding =
            CONNECTION_RULE_UNUSED.finding(&rules.object.reference(), tcp(index), message);
        let related = first.object.reference();
        findings.push(finding.with_related(&related, tcp(first_index), "is the first rule"));
    }
    true
}

/// A chain for each match of rules for TLS.
fn add_by_server_name(
    view: &View<'_>,
    server: &Server<'_>,
    tls: Option<DownstreamTls>,
    chains: &mut Chains,
    findings: &mut Vec<Finding>,
) {
    let outbound = view.outbound(server);
    let place = outbound.place(server.port);
    for rules in view.rules(server) {
        for (index, route) in rules.tls.iter().enumerate().filter(|(_, it)| !it.route.is_empty()) {
            let filter = destinations(view, server, &route.route);
            for (match_index, condition) in route.matches.iter().enumerate() {
                if !place.is_for(condition.port, &condition.gateways) {
                    continue;
                }
                let meta = &rules.object.meta;
                let name = format!(
                    "{}.{}.{}.{index}.{match_index}",
                    chain_name(server),
                    meta.name,
                    meta.namespace
                );
                let chain = FilterChain {
                    name: Arc::from(name),
                    criteria: criteria(condition.sni_hosts.iter().map(String::as_str), &[]),
                    tls: tls.clone(),
                    filter: filter.clone(),
                };
                if chains.in_the_way(&chain).is_some_and(|it| it.filter != chain.filter) {
                    let field = FieldPath::spec().key("tls").index(index).key("match");
                    findings.push(name_taken(rules, field.index(match_index), &chain, server));
                }
                chains.add(chain);
            }
        }
    }
}

fn name_taken(
    rules: &ResolvedVirtualService,
    field: FieldPath,
    chain: &FilterChain,
    server: &Server<'_>,
) -> Finding {
    let names: Vec<_> = chain.criteria.server_names.iter().map(|it| &**it).collect();
    let names = if names.is_empty() { Host::ANY.to_owned() } else { names.join(", ") };
    let message = format!(
        "connections for {names} to port {} of Gateway {} are taken by an earlier rule or server; this match has no effect there",
        server.port, server.name,
    );
    let field = field.key("sniHosts");
    SERVER_NAME_IN_RULES_TAKEN.finding(&rules.object.reference(), field, message)
}

/// A chain for each cluster of the services that the server's hosts cover, by the name that mutual TLS spells it with.
fn add_by_cluster(view: &View<'_>, server: &Server<'_>, chains: &mut Chains) {
    let hosts = server.all_hosts();
    let is_covered = |host: &Host| hosts.iter().any(|it| host.is_subset_of(it));
    let outbound = view.outbound(server);
    for service in view.scope.services().iter().filter(|it| {
        !it.mesh_external && it.resolution != Resolution::Alias && is_covered(&it.host)
    }) {
        let rule = outbound.rule(&service.host).map(|it| &it.spec);
        let subsets = rule.into_iter().flat_map(|it| &it.subsets).map(|it| it.name.as_str());
        let subsets: Vec<_> = std::iter::once("").chain(subsets).collect();
        for port in service.ports.iter().filter(|it| it.protocol != Protocol::Udp) {
            for subset in &subsets {
                let cluster = sni_name(&service.host, subset, port.number);
                let proxy = with_policy(tcp(single(Arc::clone(&cluster))), rule, subset);
                chains.add(passthrough(cluster, proxy));
            }
        }
    }
}

fn passthrough(name: Arc<str>, proxy: TcpProxy) -> FilterChain {
    let criteria = FilterChainMatch {
        server_names: vec![Arc::clone(&name)],
        application_protocols: texts(ALPN_MESH),
        ..FilterChainMatch::default()
    };
    FilterChain { name, criteria, tls: None, filter: NetworkFilter::Tcp(proxy) }
}

fn destinations(
    view: &View<'_>,
    server: &Server<'_>,
    routes: &[RouteDestination],
) -> NetworkFilter {
    NetworkFilter::Tcp(routed(routes, server.port, &view.outbound(server)))
}

fn chain_name(server: &Server<'_>) -> Arc<str> {
    Arc::from(format!("{}.{}", server.name, server.index))
}
