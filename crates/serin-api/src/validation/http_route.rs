//! Rules for one HTTP route of a VirtualService.

use super::place::Place;
use super::strings::string_match;
use super::{headers, http_actions, names, numbers, virtual_service};
use crate::networking::{Destination, HttpMatchRequest, HttpRoute, HttpRouteDestination};

/// What the VirtualService around a route is.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// It has no hosts, so that others delegate to it.
    pub(super) is_delegate: bool,
    /// It was made from Gateway API routes, which have rules of their own for destinations.
    pub(super) has_gateway_semantics: bool,
}

pub(super) fn check(route: &HttpRoute, around: Around, at: &Place<'_>) {
    conflicts(route, around.is_delegate, at);
    at.key("match").each(&route.matches, match_request);
    headers::headers(route.headers.as_ref(), &at.key("headers"));
    if let Some(policy) = &route.cors_policy {
        http_actions::cors(policy, &at.key("corsPolicy"));
    }
    if let Some(fault) = &route.fault {
        http_actions::fault(fault, &at.key("fault"));
    }
    mirrors(route, at);
    if let Some(redirect) = &route.redirect {
        http_actions::redirect(redirect, &route.matches, &at.key("redirect"));
    }
    if let Some(response) = &route.direct_response {
        http_actions::direct_response(response, &at.key("directResponse"));
    }
    if let Some(retries) = &route.retries {
        http_actions::retries(retries, &at.key("retries"));
    }
    if let Some(rewrite) = &route.rewrite {
        http_actions::rewrite(rewrite, &at.key("rewrite"));
    }
    headers::one_authority(route.rewrite.as_ref(), route.headers.as_ref(), at);
    destinations(&route.route, around, &at.key("route"));
    numbers::duration(route.timeout, &at.key("timeout"));
}

/// Which parts of a route exclude each other, and that there is something to do.
fn conflicts(route: &HttpRoute, is_delegate: bool, at: &Place<'_>) {
    if route.delegate.is_some() && !is_delegate {
        // Everything else comes from the VirtualService that is delegated to.
        if route.redirect.is_some() {
            at.key("redirect").error("a route that delegates must not redirect");
        }
        if !route.route.is_empty() {
            at.key("route").error("a route that delegates must not have destinations");
        }
        return;
    }
    if route.delegate.is_some() {
        at.key("delegate").error("a VirtualService that is delegated to cannot delegate further");
    }
    let answer = if route.redirect.is_some() {
        Some("redirect")
    } else if route.direct_response.is_some() {
        Some("directResponse")
    } else {
        None
    };
    match answer {
        Some(answer) => {
            let others = [
                ("route", !route.route.is_empty()),
                ("fault", route.fault.is_some()),
                ("rewrite", route.rewrite.is_some()),
                ("directResponse", answer == "redirect" && route.direct_response.is_some()),
            ];
            for (other, _) in others.iter().filter(|(_, present)| *present) {
                at.key(other).error(format!("a route cannot have both {other} and {answer}"));
            }
        }
        None if route.route.is_empty() => {
            at.error("a route needs destinations (route), a redirect or a directResponse");
        }
        None => {}
    }
    if route.mirror.is_some() && !route.mirrors.is_empty() {
        at.key("mirrors").error("a route cannot have both mirror and mirrors");
    }
}

fn match_request(request: &HttpMatchRequest, at: &Place<'_>) {
    let named = [("headers", &request.headers), ("withoutHeaders", &request.without_headers)];
    for (list, headers) in named {
        let list_at = at.key(list);
        for (name, comparison) in headers {
            let at = list_at.key(name);
            at.expect(headers::match_name(name));
            // Where headers must be absent, `*` is no expression: it stands for any value.
            if list == "headers" || comparison.text() != Some("*") {
                string_match(comparison, false, &at);
            }
        }
    }
    // Envoy takes an empty prefix of the path, but of nothing else.
    let parts = [
        ("uri", &request.uri, true),
        ("scheme", &request.scheme, false),
        ("method", &request.method, false),
        ("authority", &request.authority, false),
    ];
    for (part, comparison, empty_prefix) in parts {
        if let Some(comparison) = comparison {
            string_match(comparison, empty_prefix, &at.key(part));
        }
    }
    for (name, comparison) in &request.query_params {
        string_match(comparison, false, &at.key("queryParams").key(name));
    }
    if let Some(port) = request.port.filter(|port| *port != 0) {
        at.key("port").expect(numbers::port(port));
    }
    names::object_labels(&request.source_labels, &at.key("sourceLabels"));
    virtual_service::gateway_names(&request.gateways, false, &at.key("gateways"));
    let namespace = &request.source_namespace;
    if !namespace.is_empty() && !names::is_dns_label(namespace) {
        at.key("sourceNamespace").error(format!("{namespace:?} is not the name of a namespace"));
    }
}

fn mirrors(route: &HttpRoute, at: &Place<'_>) {
    if let Some(percent) = route.mirror_percent {
        let at = at.key("mirrorPercent");
        at.warning("mirrorPercent is deprecated: use mirrorPercentage");
        if percent > 100 {
            at.error(format!("the percentage {percent} is not in the range 0 to 100"));
        }
    }
    numbers::mirror_percent(route.mirror_percentage.as_ref(), &at.key("mirrorPercentage"));
    destination(route.mirror.as_ref(), &at.key("mirror"));
    at.key("mirrors").each(&route.mirrors, |mirror, at| {
        if mirror.destination.is_none() {
            at.key("destination").error("a mirror needs a destination");
            return;
        }
        destination(mirror.destination.as_ref(), &at.key("destination"));
        numbers::mirror_percent(mirror.percentage.as_ref(), &at.key("percentage"));
    });
}

fn destinations(routes: &[HttpRouteDestination], around: Around, at: &Place<'_>) {
    at.each(routes, |route, at| {
        headers::headers(route.headers.as_ref(), &at.key("headers"));
        weighted(route.destination.as_ref(), route.weight, around.has_gateway_semantics, at);
    });
    some_weight(routes.iter().map(|route| route.weight), at);
}

/// A destination and its weight.
pub(super) fn weighted(
    target: Option<&Destination>,
    weight: i32,
    has_gateway_semantics: bool,
    at: &Place<'_>,
) {
    if target.is_none() {
        at.key("destination").error("a destination is required");
    }
    if !has_gateway_semantics {
        destination(target, &at.key("destination"));
    }
    if weight < 0 {
        at.key("weight").error(format!("the weight {weight} must not be negative"));
    }
}

/// Of several destinations one at least must have a weight.
pub(super) fn some_weight(weights: impl ExactSizeIterator<Item = i32>, at: &Place<'_>) {
    if weights.len() > 1 && weights.fold(0_i32, i32::wrapping_add) == 0 {
        at.error("the weights of the destinations sum to 0: nothing would receive traffic");
    }
}

/// A service, a subset of it and its port.
pub(super) fn destination(destination: Option<&Destination>, at: &Place<'_>) {
    let Some(destination) = destination else { return };
    if destination.host == "*" {
        at.key("host").error("a destination must name one service, not *");
    } else {
        at.key("host").expect(names::wildcard_domain(&destination.host));
    }
    if !destination.subset.is_empty() {
        at.key("subset").expect(subset_name(&destination.subset));
    }
    numbers::port_selector(destination.port.as_ref(), &at.key("port"));
}

/// The name of a subset.
pub(super) fn subset_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("the name of a subset must not be empty".to_owned())
    } else if !names::is_dns_label(name) {
        Err(format!("{name:?} is not a valid name of a subset"))
    } else {
        Ok(())
    }
}
