//! The rules of the VirtualService that a release sets: destinations, weights, mirrors and cookies.
//!
//! The rules follow from the plan and from where the traffic shall go, and from nothing else: editing the plan in the middle
//! of a release changes the rules and leaves the weights.

use serin_api::delivery::SessionAffinity;
use serin_api::networking::{
    Destination, HeaderOperations, Headers, HttpMatchRequest, HttpRewrite, HttpRoute,
    HttpRouteDestination,
};
use serin_api::values::{Percent, PortSelector, StringMatch};

use crate::action::Side;
use crate::plan::Plan;
use crate::state::Routes;

mod gateway;

pub use gateway::{gateway_rules, read_gateway_rules};

/// The name of the Service that users call.
pub fn apex(plan: &Plan) -> &str {
    if plan.service.name.is_empty() { &plan.target } else { &plan.service.name }
}

/// The rules, first match first.
pub fn http_rules(plan: &Plan, routes: &Routes) -> Vec<HttpRoute> {
    let cookies = &routes.cookies;
    let mut rules = Vec::new();
    if let Some(affinity) = &plan.affinity {
        if let Some(value) = &cookies.canary {
            let matches = with_cookie(plan, &affinity.cookie_name, value);
            rules.push(sticky(rule(plan, routes, matches, 100)));
        }
        if let Some(value) = &cookies.expired {
            let mut freed = weighted(plan, routes, with_cookie(plan, &affinity.cookie_name, value));
            // A browser forgets a cookie only by the domain and the path that it was set with.
            let gone = set_cookie(affinity, &affinity.cookie_name, value, -1);
            add_cookie(&mut freed.headers, gone);
            rules.push(sticky(freed));
        }
        if let Some(value) =
            cookies.primary.as_ref().filter(|_| !affinity.primary_cookie_name.is_empty())
        {
            let at_primary = with_cookie(plan, &affinity.primary_cookie_name, value);
            rules.push(sticky(rule(plan, routes, at_primary, 0)));
        }
    }
    if plan.is_for_chosen() {
        rules.push(weighted(plan, routes, multiplied(&plan.service.matches, &plan.matches)));
        let mut others = rule(plan, routes, plan.service.matches.clone(), 0);
        others.route.truncate(1);
        rules.push(others);
    } else {
        rules.push(weighted(plan, routes, plan.service.matches.clone()));
    }
    rules
}

/// A rule for those whom a cookie keeps where they are, under the name that Flagger gives it.
fn sticky(rule: HttpRoute) -> HttpRoute {
    HttpRoute { name: "sticky-route".to_owned(), ..rule }
}

/// The rule by which users come to one or the other version, and get the cookie of the one they came to.
fn weighted(plan: &Plan, routes: &Routes, matches: Vec<HttpMatchRequest>) -> HttpRoute {
    let mut rule = rule(plan, routes, matches, routes.canary);
    let Some(affinity) = &plan.affinity else { return rule };
    let interval = plan.interval.0 / 1000;
    let age = if affinity.max_age > 0 { i64::from(affinity.max_age) } else { 86_400 };
    let [primary, canary] = rule.route.as_mut_slice() else { return rule };
    if let Some(value) = &routes.cookies.canary {
        add_cookie(&mut canary.headers, set_cookie(affinity, &affinity.cookie_name, value, age));
    }
    if let Some(value) = &routes.cookies.primary {
        let cookie = set_cookie(affinity, &affinity.primary_cookie_name, value, interval);
        add_cookie(&mut primary.headers, cookie);
    }
    rule
}

/// A rule that gives the canary `weight`, with everything that the plan says of all rules.
fn rule(plan: &Plan, routes: &Routes, matches: Vec<HttpMatchRequest>, weight: u32) -> HttpRoute {
    let service = &plan.service;
    let to = |side: Side, weight: u32| HttpRouteDestination {
        destination: Some(destination(plan, side)),
        weight: i32::try_from(weight).unwrap_or(100),
        headers: None,
    };
    // Copies are made of what the primary answers, whichever rule sends it there.
    let mirror = routes.mirror.filter(|_| weight < 100);
    HttpRoute {
        matches,
        route: vec![to(Side::Primary, 100 - weight), to(Side::Canary, weight)],
        mirror: mirror.map(|_| destination(plan, Side::Canary)),
        // Absent is all.
        mirror_percentage: mirror
            .filter(|percent| *percent < 100)
            .map(|percent| Percent { value: f64::from(percent) }),
        timeout: service.timeout,
        retries: service.retries.clone(),
        headers: service.headers.clone(),
        cors_policy: service.cors_policy.clone(),
        rewrite: service.rewrite.as_ref().map(|it| HttpRewrite {
            uri: it.uri.clone(),
            authority: it.authority.clone(),
            uri_regex_rewrite: None,
        }),
        ..HttpRoute::default()
    }
}

fn destination(plan: &Plan, side: Side) -> Destination {
    let service = &plan.service;
    let is_outside = service.gateways.first().is_some_and(|gateway| gateway != "mesh");
    let names_port = service.port_discovery && (is_outside || service.delegation);
    let number = u32::try_from(service.port).unwrap_or_default();
    let port = names_port.then_some(PortSelector { number });
    match (&plan.versions, side) {
        (Some(versions), side) => {
            let subset = match side {
                Side::Primary => versions.primary.clone(),
                Side::Canary => versions.canary.clone(),
            };
            Destination { host: apex(plan).to_owned(), subset, port }
        }
        (None, Side::Primary) => {
            Destination { host: format!("{}-primary", apex(plan)), port, ..Destination::default() }
        }
        (None, Side::Canary) => {
            Destination { host: format!("{}-canary", apex(plan)), port, ..Destination::default() }
        }
    }
}

/// The service's conditions, each together with a cookie.
fn with_cookie(plan: &Plan, name: &str, value: &str) -> Vec<HttpMatchRequest> {
    // The cookie as a whole: not the end of another's name, not the value of another.
    let regex = format!("(.*;[ \t]*)?{}={}([ \t]*;.*)?", escaped(name), escaped(value));
    let mut cookie = HttpMatchRequest::default();
    // Spelled as Flagger spells it, and so beside a condition of the user's own on cookies, not in its place.
    cookie.headers.insert("Cookie".to_owned(), StringMatch::Regex(regex));
    multiplied(&plan.service.matches, &[cookie])
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| [(!c.is_ascii_alphanumeric()).then_some('\\'), Some(c)])
        .flatten()
        .collect()
}

/// Both of one and the other: every condition of `a` together with every condition of `b`.
fn multiplied(a: &[HttpMatchRequest], b: &[HttpMatchRequest]) -> Vec<HttpMatchRequest> {
    if a.is_empty() {
        return b.to_vec();
    }
    a.iter().flat_map(|a| b.iter().map(|b| both(a, b))).collect()
}

fn both(a: &HttpMatchRequest, b: &HttpMatchRequest) -> HttpMatchRequest {
    let mut both = a.clone();
    both.headers.extend(b.headers.clone());
    both.without_headers.extend(b.without_headers.clone());
    both.query_params.extend(b.query_params.clone());
    both.source_labels.extend(b.source_labels.clone());
    both.uri = b.uri.clone().or(both.uri);
    both.method = b.method.clone().or(both.method);
    both.authority = b.authority.clone().or(both.authority);
    both.scheme = b.scheme.clone().or(both.scheme);
    both.port = b.port.or(both.port);
    both.ignore_uri_case |= b.ignore_uri_case;
    if both.source_namespace.is_empty() {
        both.source_namespace.clone_from(&b.source_namespace);
    }
    if !b.gateways.is_empty() {
        both.gateways.clone_from(&b.gateways);
    }
    both
}

fn set_cookie(affinity: &SessionAffinity, name: &str, value: &str, age: i64) -> String {
    let mut cookie = format!("{name}={value}; Max-Age={age}");
    let mut add = |text: String| {
        cookie.push_str("; ");
        cookie.push_str(&text);
    };
    let texts = [
        (!affinity.domain.is_empty(), format!("Domain={}", affinity.domain)),
        (affinity.http_only, "HttpOnly".to_owned()),
        (affinity.partitioned, "Partitioned".to_owned()),
        (!affinity.path.is_empty(), format!("Path={}", affinity.path)),
        (!affinity.same_site.is_empty(), format!("SameSite={}", affinity.same_site)),
        (affinity.secure, "Secure".to_owned()),
    ];
    texts.into_iter().filter(|(given, _)| *given).for_each(|(_, text)| add(text));
    cookie
}

/// Adds a cookie to the headers of a response; those of others that share the headers stay as they are.
fn add_cookie(headers: &mut Option<Headers>, cookie: String) {
    let response =
        headers.get_or_insert_default().response.get_or_insert_with(HeaderOperations::default);
    response.add.insert("Set-Cookie".to_owned(), cookie);
}

#[cfg(test)]
mod tests;
