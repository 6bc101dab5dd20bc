//! Connections to a service that are not read as HTTP: filter chains by server name and destination (Istio's `tls.go` and
//! `networkfilter.go`).

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::IpNet;
use serin_api::networking::{DestinationRule, RouteDestination};
use serin_routing::model::{FilterChain, FilterChainMatch, NetworkFilter, TcpProxy, Tunnel};

use super::chains::{chain, criteria, tcp};
use super::domains;
use super::outbound::{Outbound, service_cluster, single};
use crate::host::Host;
use crate::registry::{Protocol, Service};
use crate::route::connection_destinations;
use crate::virtual_service::ResolvedVirtualService;

/// A service on a listener.
pub(super) struct Target<'a> {
    pub(super) service: &'a Service,
    /// The listener's port, which is the service's unless a Sidecar says otherwise.
    pub(super) port: u16,
    /// What the port speaks.
    pub(super) protocol: Protocol,
    /// Blocks of addresses that the service has.
    pub(super) subnets: Vec<IpNet>,
    /// Other services share the listener's address, so that only the server name tells them apart.
    pub(super) needs_names: bool,
}

impl<'a> Target<'a> {
    /// The chains for connections to the service. `rules` are the VirtualServices for it, in order.
    pub(super) fn chains(
        &self,
        rules: impl Iterator<Item = &'a Arc<ResolvedVirtualService>>,
        outbound: &Outbound<'_>,
    ) -> Vec<FilterChain> {
        let chains = if self.protocol.is_tls() {
            self.tls_chains(rules, outbound)
        } else {
            self.tcp_chains(rules, outbound)
        };
        // Admission lets no rule without destinations pass; one that came past it would leave connections hanging.
        chains.into_iter().filter(|it| !is_empty(it)).collect()
    }

    fn tls_chains(
        &self,
        rules: impl Iterator<Item = &'a Arc<ResolvedVirtualService>>,
        outbound: &Outbound<'_>,
    ) -> Vec<FilterChain> {
        let place = outbound.place(self.port);
        let mut made = Vec::new();
        let mut conditions = HashSet::new();
        // A rule's subnets stay in force for the rules after it that have none, as in Istio.
        let mut subnets = self.subnets.clone();
        for rules in rules {
            for route in &rules.tls {
                for condition in route.matches.iter().filter(|it| place.takes_tls(it)) {
                    if !condition.destination_subnets.is_empty() {
                        subnets = parse_subnets(&condition.destination_subnets);
                    }
                    // Of rules that only differ in what was decided above, the first holds.
                    if conditions.insert((&condition.sni_hosts, &condition.destination_subnets)) {
                        let criteria =
                            criteria(condition.sni_hosts.iter().map(String::as_str), &subnets);
                        made.push(chain(
                            rule_name(rules),
                            criteria,
                            self.routed(&route.route, outbound),
                        ));
                    }
                }
            }
        }
        if made.is_empty() {
            let names = if self.needs_names { self.server_names(outbound) } else { Vec::new() };
            let criteria = criteria(names.iter().map(|it| &**it), &self.subnets);
            made.push(self.plain(criteria, outbound));
        }
        made
    }

    fn tcp_chains(
        &self,
        rules: impl Iterator<Item = &'a Arc<ResolvedVirtualService>>,
        outbound: &Outbound<'_>,
    ) -> Vec<FilterChain> {
        let place = outbound.place(self.port);
        let mut made = Vec::new();
        let own = criteria([], &self.subnets);
        for (rules, route) in
            rules.flat_map(|rules| rules.tcp.iter().map(move |route| (rules, route)))
        {
            let taken: Vec<_> = route.matches.iter().filter(|it| place.takes_tcp(it)).collect();
            let is_for_all = route.matches.is_empty()
                || taken.iter().any(|it| it.destination_subnets.is_empty());
            let filter = || self.routed(&route.route, outbound);
            if is_for_all {
                made.push(chain(rule_name(rules), own, filter()));
                return made;
            }
            let subnets: Vec<_> =
                taken.iter().flat_map(|it| parse_subnets(&it.destination_subnets)).collect();
            if !subnets.is_empty() {
                let criteria = criteria([], &subnets);
                let is_own = criteria == own;
                made.push(chain(rule_name(rules), criteria, filter()));
                if is_own {
                    return made;
                }
            }
        }
        made.push(self.plain(own, outbound));
        made
    }

    /// Server names of the service.
    fn server_names(&self, outbound: &Outbound<'_>) -> Vec<Arc<str>> {
        let domain = &outbound.snapshot.settings().cluster_domain;
        let aliases = self.service.aliases.iter().flat_map(|alias| {
            let short = domains::short_forms(&alias.host, &outbound.proxy.namespace, domain);
            std::iter::once(alias.host.shared()).chain(short)
        });
        std::iter::once(self.service.host.shared()).chain(aliases).collect()
    }

    /// The chain to the service itself.
    fn plain(&self, criteria: FilterChainMatch, outbound: &Outbound<'_>) -> FilterChain {
        let port = match &*self.service.ports {
            [only] => only.number,
            _ => self.port,
        };
        let cluster = service_cluster(self.service, port);
        let rule = outbound.rule(&self.service.host).map(|it| &it.spec);
        let proxy = with_policy(tcp(single(Arc::clone(&cluster))), rule, "");
        chain(cluster, criteria, NetworkFilter::Tcp(proxy))
    }

    fn routed(&self, routes: &[RouteDestination], outbound: &Outbound<'_>) -> NetworkFilter {
        NetworkFilter::Tcp(routed(routes, self.port, outbound))
    }
}

/// Where a rule sends connections to `port`. Its first destination's policy holds for all of them.
pub(crate) fn routed(routes: &[RouteDestination], port: u16, outbound: &Outbound<'_>) -> TcpProxy {
    let destinations = connection_destinations(routes, &outbound.routes(port, outbound));
    let first = routes.first().and_then(|it| it.destination.as_ref());
    let rule = first.and_then(|it| outbound.rule(&Host::new(&it.host))).map(|it| &it.spec);
    let subset = if routes.len() == 1 { first.map_or("", |it| &it.subset) } else { "" };
    with_policy(tcp(destinations), rule, subset)
}

fn is_empty(chain: &FilterChain) -> bool {
    matches!(&chain.filter, NetworkFilter::Tcp(proxy) if proxy.destinations.list().is_empty())
}

fn rule_name(rules: &ResolvedVirtualService) -> Arc<str> {
    Arc::from(format!("{}.{}", rules.object.meta.name, rules.namespace()))
}

/// Addresses and blocks; what is neither is passed over.
fn parse_subnets(written: &[String]) -> Vec<IpNet> {
    let parse = |it: &String| {
        it.parse().ok().or_else(|| Some(IpNet::from(it.parse::<std::net::IpAddr>().ok()?)))
    };
    written.iter().filter_map(parse).collect()
}

/// The parts of a DestinationRule that concern the connection from the client.
pub(crate) fn with_policy(
    proxy: TcpProxy,
    rule: Option<&DestinationRule>,
    subset: &str,
) -> TcpProxy {
    let policy = rule.and_then(|it| it.traffic_policy.as_ref());
    let pool = policy.and_then(|it| it.connection_pool.as_ref()).and_then(|it| it.tcp.as_ref());
    let idle_timeout = match pool.and_then(|it| it.idle_timeout) {
        Some(written) => Some(written.to_std()).filter(|it| !it.is_zero()),
        None => proxy.idle_timeout,
    };
    let max_duration = pool.and_then(|it| it.max_connection_duration).map(|it| it.to_std());
    let hash_source_address = hashes_source(rule, subset);
    let tunnel = tunnel(rule, subset);
    TcpProxy { idle_timeout, max_duration, hash_source_address, tunnel, ..proxy }
}

/// The tunnel of the subset, or of the whole service. Several destinations have the service's, for it is asked for before one of
/// them is drawn.
fn tunnel(rule: Option<&DestinationRule>, subset: &str) -> Option<Tunnel> {
    let rule = rule?;
    let own = rule.subsets.iter().find(|it| it.name == subset && !subset.is_empty());
    let own = own.and_then(|it| it.traffic_policy.as_ref()?.tunnel.as_ref());
    let settings = own.or_else(|| rule.traffic_policy.as_ref()?.tunnel.as_ref())?;
    let (host, port) = (&settings.target_host, settings.target_port);
    let is_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    let authority = if is_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Some(Tunnel { authority: authority.into(), by_post: settings.protocol == "POST" })
}

fn hashes_source(rule: Option<&DestinationRule>, subset: &str) -> bool {
    let Some(rule) = rule else { return false };
    let balancer = |policy: &serin_api::networking::TrafficPolicy| policy.load_balancer.clone();
    let own = rule.subsets.iter().find(|it| it.name == subset && !subset.is_empty());
    let own = own.and_then(|it| it.traffic_policy.as_ref()).and_then(balancer);
    let settings = own.or_else(|| rule.traffic_policy.as_ref().and_then(balancer));
    settings.and_then(|it| it.consistent_hash).is_some_and(|it| it.use_source_ip == Some(true))
}
