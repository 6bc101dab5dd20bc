//! What consistent hashing hashes: the DestinationRules of a rule's destinations say it, the route carries it.

use std::sync::Arc;

use serin_api::networking::{
    ConsistentHashLb, Destination, DestinationRule, HttpRoute, LoadBalancerSettings,
    PortTrafficPolicy, TrafficPolicy,
};
use serin_routing::model::{HashKey, HashPolicy};

use super::RouteContext;

/// The hash policies of a rule's destinations, in order. Destinations that get nothing do not count.
pub(super) fn policies(rule: &HttpRoute, context: &RouteContext<'_>) -> Vec<HashPolicy> {
    let lone = rule.route.len() == 1;
    rule.route
        .iter()
        .filter(|it| lone || it.weight != 0)
        .filter_map(|it| it.destination.as_ref())
        .filter_map(|destination| {
            let rule = context.services.destination_rule(&destination.host)?;
            policy(of_destination(rule, destination)?)
        })
        .collect()
}

/// The hash policy for requests to a port of a service that no VirtualService is for.
pub(crate) fn port_hash_policy(rule: &DestinationRule, port: u16) -> Option<HashPolicy> {
    let policy_of_rule = rule.traffic_policy.as_ref()?;
    policy(of_port(policy_of_rule, u32::from(port)).or_else(|| of_policy(policy_of_rule))?)
}

/// The most particular setting: of the subset's port, the subset, the port, the host. Ports count only where the
/// destination names one (`hashForHTTPDestination`).
fn of_destination<'a>(
    rule: &'a DestinationRule,
    destination: &Destination,
) -> Option<&'a ConsistentHashLb> {
    let port = destination.port.as_ref().map(|port| port.number);
    let subset = rule.subsets.iter().find(|it| it.name == destination.subset);
    let of_subset = subset.and_then(|it| it.traffic_policy.as_ref());
    let of_rule = rule.traffic_policy.as_ref();
    let port_of = |policy: Option<&'a TrafficPolicy>| of_port(policy?, port?);
    port_of(of_subset)
        .or_else(|| of_policy(of_subset?))
        .or_else(|| port_of(of_rule))
        .or_else(|| of_policy(of_rule?))
}

fn of_policy(policy: &TrafficPolicy) -> Option<&ConsistentHashLb> {
    of_balancer(policy.load_balancer.as_ref())
}

fn of_port(policy: &TrafficPolicy, port: u32) -> Option<&ConsistentHashLb> {
    let is_for = |it: &&PortTrafficPolicy| it.port.as_ref().is_some_and(|it| it.number == port);
    of_balancer(policy.port_level_settings.iter().find(is_for)?.load_balancer.as_ref())
}

fn of_balancer(settings: Option<&LoadBalancerSettings>) -> Option<&ConsistentHashLb> {
    settings?.consistent_hash.as_ref()
}

fn policy(written: &ConsistentHashLb) -> Option<HashPolicy> {
    let text = |text: &str| Arc::<str>::from(text);
    let key = if let Some(name) = &written.http_header_name {
        HashKey::Header(Arc::from(name.to_ascii_lowercase()))
    } else if let Some(cookie) = &written.http_cookie {
        HashKey::Cookie {
            name: text(&cookie.name),
            path: (!cookie.path.is_empty()).then(|| text(&cookie.path)),
            ttl: cookie.ttl.map(|ttl| ttl.to_std()),
            attributes: cookie
                .attributes
                .iter()
                .map(|it| (text(&it.name), text(&it.value)))
                .collect(),
        }
    } else if written.use_source_ip == Some(true) {
        HashKey::SourceAddress
    } else {
        HashKey::Query(text(written.http_query_parameter_name.as_deref()?))
    };
    Some(HashPolicy { key, terminal: false })
}

#[cfg(test)]
mod tests;
