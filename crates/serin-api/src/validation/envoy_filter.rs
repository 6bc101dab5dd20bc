//! Rules for EnvoyFilters: that the parts of a patch belong together. What the patch says is Envoy's to judge.

use super::place::Place;
use super::{Rules, selectors};
use crate::Meta;
use crate::networking::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, FilterMatch,
    ListenerMatch, PatchOperation,
};

const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// Names of filters before Envoy gave them a common form.
const OLD_NAMES: [(&str, &str); 26] = [
    ("envoy.buffer", "envoy.filters.http.buffer"),
    ("envoy.cors", "envoy.filters.http.cors"),
    ("envoy.csrf", "envoy.filters.http.csrf"),
    ("envoy.ext_authz", "envoy.filters.http.ext_authz"),
    ("envoy.fault", "envoy.filters.http.fault"),
    ("envoy.grpc_http1_bridge", "envoy.filters.http.grpc_http1_bridge"),
    ("envoy.grpc_json_transcoder", "envoy.filters.http.grpc_json_transcoder"),
    ("envoy.grpc_web", "envoy.filters.http.grpc_web"),
    ("envoy.gzip", "envoy.filters.http.gzip"),
    ("envoy.health_check", "envoy.filters.http.health_check"),
    ("envoy.http_dynamo_filter", "envoy.filters.http.dynamo"),
    ("envoy.ip_tagging", "envoy.filters.http.ip_tagging"),
    ("envoy.lua", "envoy.filters.http.lua"),
    ("envoy.rate_limit", "envoy.filters.http.ratelimit"),
    ("envoy.router", "envoy.filters.http.router"),
    ("envoy.squash", "envoy.filters.http.squash"),
    ("envoy.listener.http_inspector", "envoy.filters.listener.http_inspector"),
    ("envoy.listener.original_dst", "envoy.filters.listener.original_dst"),
    ("envoy.listener.tls_inspector", "envoy.filters.listener.tls_inspector"),
    ("envoy.client_ssl_auth", "envoy.filters.network.client_ssl_auth"),
    ("envoy.echo", "envoy.filters.network.echo"),
    ("envoy.http_connection_manager", HTTP_CONNECTION_MANAGER),
    ("envoy.mongo_proxy", "envoy.filters.network.mongo_proxy"),
    ("envoy.ratelimit", "envoy.filters.network.ratelimit"),
    ("envoy.redis_proxy", "envoy.filters.network.redis_proxy"),
    ("envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"),
];

impl Rules for EnvoyFilter {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        spec.warning("an EnvoyFilter depends on internals that may change with any version: prefer other kinds where they do");
        let selector = spec.key("workloadSelector");
        selectors::workload_selector(self.workload_selector.as_ref(), &selector);
        if self.workload_selector.is_some() && !self.target_refs.is_empty() {
            spec.error("only one of workloadSelector and targetRefs can be set");
        }
        spec.key("targetRefs").each(&self.target_refs, selectors::target_ref);
        spec.key("configPatches").each(&self.config_patches, patch);
    }
}

fn patch(patch: &EnvoyConfigObjectPatch, at: &Place<'_>) {
    if patch.apply_to == ApplyTo::Invalid {
        at.key("applyTo").error("applyTo is required");
        return;
    }
    let Some(change) = &patch.patch else {
        at.key("patch").error("a patch is required");
        return;
    };
    if change.operation == PatchOperation::Invalid {
        at.key("patch").key("operation").error("an operation is required");
        return;
    }
    if change.operation != PatchOperation::Remove && change.value.is_none() {
        at.key("patch")
            .key("value")
            .error(format!("the operation {} needs a value", change.operation));
        return;
    }
    if let Some(condition) = &patch.condition {
        self::condition(condition, patch.apply_to, &at.key("match"));
    }
}

fn condition(condition: &EnvoyConfigObjectMatch, apply_to: ApplyTo, at: &Place<'_>) {
    if let Some(proxy) = &condition.proxy
        && let Err(error) = serin_re2::Regex::new(&proxy.proxy_version)
    {
        at.key("proxy")
            .key("proxyVersion")
            .error(format!("the regular expression is not valid RE2: {error}"));
    }
    let objects = [
        ("listener", condition.listener.is_some()),
        ("routeConfiguration", condition.route_configuration.is_some()),
        ("cluster", condition.cluster.is_some()),
        ("waypoint", condition.waypoint.is_some()),
    ];
    let expected = match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => {
            "listener"
        }
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            "routeConfiguration"
        }
        ApplyTo::Cluster => "cluster",
        _ => return,
    };
    for (object, _) in objects
        .iter()
        .filter(|(object, present)| *present && *object != expected && *object != "waypoint")
    {
        at.key(object).error(format!("a patch of {apply_to} can only be limited by {expected}"));
    }
    if let Some(listener) = &condition.listener {
        self::listener(listener, apply_to, &at.key("listener"));
    }
}

fn listener(listener: &ListenerMatch, apply_to: ApplyTo, at: &Place<'_>) {
    let Some(filter) = listener.filter_chain.as_ref().and_then(|chain| chain.filter.as_ref())
    else {
        return;
    };
    let at = at.key("filterChain");
    let at = at.key("filter");
    if matches!(apply_to, ApplyTo::Listener | ApplyTo::FilterChain) {
        at.warning(format!("which filter has no effect on a patch of {apply_to}"));
    }
    if filter.name.is_empty() {
        at.key("name").error("the name of the filter is required");
        return;
    }
    sub_filter(filter, apply_to, &at);
    let names = [
        (at.key("name"), filter.name.as_str()),
        (at.key("subFilter"), filter.sub_filter.as_ref().map_or("", |it| it.name.as_str())),
    ];
    for (at, name) in names {
        if let Some((_, new)) = OLD_NAMES.iter().find(|(old, _)| *old == name) {
            at.warning(format!("{name} is an old name of the filter: use {new}"));
        }
    }
}

fn sub_filter(filter: &FilterMatch, apply_to: ApplyTo, at: &Place<'_>) {
    let Some(sub_filter) = &filter.sub_filter else { return };
    let at = at.key("subFilter");
    if apply_to != ApplyTo::HttpFilter {
        at.error("a filter inside of a filter can be given for patches of HTTP_FILTER only");
    } else if filter.name != HTTP_CONNECTION_MANAGER
        && filter.name != "envoy.http_connection_manager"
    {
        at.error(format!("only {HTTP_CONNECTION_MANAGER} has filters inside"));
    } else if sub_filter.name.is_empty() {
        at.key("name").error("the name of the filter is required");
    }
}
