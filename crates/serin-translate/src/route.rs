//! Rules of a VirtualService become routes of the model.
//!
//! One match of a rule makes one route; the order is the object's, and nothing is sorted (Istio's
//! `BuildHTTPRoutesForVirtualService`). The same for sidecars and gateways: what differs between them, which services a destination may be looked
//! up in and what the listener is, comes in by [`RouteContext`]. Whether clusters exist is not asked here: a route to a
//! cluster that does not exist answers 503.

mod action;
mod condition;
mod cors;
mod destination;
mod fault;
mod hash;
mod headers;
mod retry;

use std::sync::Arc;

use serin_api::networking::{DestinationRule, HttpMatchRequest, HttpRetry};
use serin_api::{FieldPath, Finding};
use serin_routing::model::{Action, Origin, PathMatch, Route};

use crate::codes::{RULE_UNUSABLE, RULES_CUT};
use crate::host::Host;
use crate::virtual_service::{HttpRule, Place, ResolvedVirtualService};

pub(crate) use condition::any_path;
pub(crate) use destination::{cluster_name, connection_destinations};
pub(crate) use hash::port_hash_policy;
pub(crate) use retry::{inbound_policy, policy as retry_policy};

/// What routes are made for.
#[derive(Clone, Copy)]
pub(crate) struct RouteContext<'a> {
    /// The listener, as rules choose it.
    pub(crate) place: Place<'a>,
    /// Whether the listener terminates TLS.
    pub(crate) terminates_tls: bool,
    /// The services that routes may lead to.
    pub(crate) services: &'a dyn ServiceLookup,
    /// Retries of rules that say nothing of them (`defaultHttpRetryPolicy`); Istio's own default if the mesh has none.
    pub(crate) default_retries: Option<&'a HttpRetry>,
}

/// What routes need to know of the services that they lead to.
pub(crate) trait ServiceLookup {
    /// The port of a destination that names none: the service's only port. `None` means the listener's.
    fn only_port(&self, host: &str) -> Option<u16>;

    /// The host that `host` is another name for.
    fn stands_for(&self, host: &str) -> Option<&Host>;

    /// The DestinationRule for calls to `host`.
    fn destination_rule(&self, host: &str) -> Option<&DestinationRule>;
}

/// The routes that a VirtualService makes for one listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Routes {
    /// In order. Empty if no rule holds here: the VirtualService then counts as absent.
    pub(crate) routes: Vec<Arc<Route>>,
    /// Rules that cannot be used.
    pub(crate) findings: Vec<Finding>,
    /// The first rule that was left out because an earlier one takes every request; `None` if there is none.
    pub(crate) cut_at: Option<usize>,
}

impl Routes {
    /// What is to be said about `rules`, which these routes were made of.
    pub(crate) fn findings_about(&self, rules: &ResolvedVirtualService) -> Vec<Finding> {
        let cut = self.cut_at.map(|index| cut(rules, index));
        self.findings.iter().cloned().chain(cut).collect()
    }
}

fn cut(rules: &ResolvedVirtualService, index: usize) -> Finding {
    // In a root with delegates the places of merged rules are not those of written ones.
    let merged = rules.http.get(index).and_then(|rule| rule.origins.first());
    let written = merged.map(|it| it.root.as_deref().unwrap_or(it));
    let index = written.and_then(|it| usize::try_from(it.index?).ok()).unwrap_or(index);
    let field = FieldPath::spec().key("http").index(index);
    let message =
        "an earlier rule takes every request; this rule and those after it are never reached";
    RULES_CUT.finding(&rules.object.reference(), field, message)
}

/// The routes of `rules` for a listener. Rules after one that takes every request are left out.
pub(crate) fn routes(rules: &ResolvedVirtualService, context: &RouteContext<'_>) -> Routes {
    let mut made = Routes::default();
    for (index, rule) in rules.http.iter().enumerate() {
        let matches: &mut dyn Iterator<Item = (Option<&HttpMatchRequest>, &Origin)> =
            if rule.route.matches.is_empty() {
                &mut std::iter::once(None).zip(&rule.origins)
            } else {
                &mut rule.route.matches.iter().map(Some).zip(&rule.origins)
            };
        let mut takes_all = rule.route.matches.is_empty();
        for (condition, origin) in matches {
            if condition.is_some_and(|it| !context.place.takes_http(it)) {
                continue;
            }
            match route(rules, rule, condition, origin, context) {
                Ok(route) => {
                    takes_all |= is_catch_all(&route);
                    made.routes.push(Arc::new(route));
                }
                Err(problem) => made.findings.push(problem.at(rules, origin)),
            }
            if takes_all {
                break;
            }
        }
        if takes_all {
            made.cut_at = (index + 1 < rules.http.len()).then_some(index + 1);
            break;
        }
    }
    made
}

/// A part of a rule that cannot be put into effect. Admission refuses such rules; one that came past it is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unusable {
    /// The field, below the rule or below its match.
    field: FieldPath,
    in_match: bool,
    why: String,
}

impl Unusable {
    /// About a field of the rule.
    fn new(field: &str, why: impl ToString) -> Self {
        Self { field: FieldPath::root().keys(field), in_match: false, why: why.to_string() }
    }

    /// About a field of the match.
    fn in_match(field: &str, why: impl ToString) -> Self {
        Self { in_match: true, ..Self::new(field, why) }
    }

    /// About a value of a map in the match.
    fn in_match_key(field: &str, key: &str, why: impl ToString) -> Self {
        Self { field: FieldPath::root().key(field).key(key), in_match: true, why: why.to_string() }
    }

    fn at(self, rules: &ResolvedVirtualService, origin: &Origin) -> Finding {
        let mut object = rules.object.reference();
        object.namespace = origin.namespace.to_string();
        object.name = origin.name.to_string();
        let index = |number: Option<u32>| number.and_then(|it| usize::try_from(it).ok());
        let mut field =
            FieldPath::spec().key("http").index(index(origin.index).unwrap_or_default());
        if let Some(match_index) = index(origin.match_index).filter(|_| self.in_match) {
            field = field.key("match").index(match_index);
        }
        let message = format!("the rule has no effect: {}", self.why);
        RULE_UNUSABLE.finding(&object, field.join(&self.field), message)
    }
}

fn route(
    rules: &ResolvedVirtualService,
    rule: &HttpRule,
    condition: Option<&HttpMatchRequest>,
    origin: &Origin,
    context: &RouteContext<'_>,
) -> Result<Route, Unusable> {
    let written = &rule.route;
    let name = match condition.map(|it| it.name.as_str()).filter(|name| !name.is_empty()) {
        Some(name) => format!("{}.{name}", written.name),
        None => written.name.clone(),
    };
    let matched = condition::condition(condition, rules.semantics)?;
    let mut changes = headers::RouteHeaders::new(written.headers.as_ref());
    let action = if let Some(redirect) = &written.redirect {
        Action::Redirect(Box::new(action::redirect(redirect, context)?))
    } else if let Some(response) = &written.direct_response {
        Action::Direct(action::direct_response(response)?)
    } else {
        let mut forward =
            action::forward(rules.semantics, written, &matched.path, &mut changes, context)?;
        if forward.destinations.list().len() > 1 {
            forward.cohort.clone_from(&rules.cohort);
        }
        Action::Forward(Box::new(forward))
    };
    Ok(Route {
        name: Arc::from(name),
        origin: origin.clone(),
        condition: matched,
        action,
        request_headers: changes.request,
        response_headers: changes.response,
        fault: written.fault.as_ref().and_then(fault::fault),
        cors: written.cors_policy.as_ref().map(cors::cors).transpose()?,
    })
}

/// Whether a route takes every request: any path, and no other condition (`IsCatchAllRoute`).
pub(crate) fn is_catch_all(route: &Route) -> bool {
    let condition = &route.condition;
    let any_path = match &condition.path {
        PathMatch::Any => true,
        PathMatch::Prefix(text) | PathMatch::Segments(text) => &**text == "/",
        PathMatch::Regex(regex) => regex.as_str() == ".*",
        PathMatch::Exact(_) => false,
    };
    any_path
        && condition.headers.is_empty()
        && condition.query.is_empty()
        && condition.claims.is_empty()
}

#[cfg(test)]
mod tests;
