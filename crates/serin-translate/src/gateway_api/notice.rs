//! Findings: what a status says in conditions, said to the author of the object where the object is checked.

use std::collections::BTreeSet;

use serin_api::{FieldPath, ObjectRef};

use crate::codes;

use super::condition::{Condition, Refusal};
use super::listener::Verdict;
use super::parent::Attachment;
use super::route::RouteView;
use super::status::Outcome;

/// What keeps a route from serving.
pub(super) fn of_route<'r>(
    route: &RouteView<'_>,
    attachments: &[Attachment<'_>],
    refusal: &dyn Fn(&Attachment<'_>) -> Option<&'r Refusal>,
    outcome: &mut Outcome,
) {
    let nowhere = attachments.iter().all(|it| it.denied.is_some());
    let kind_of_finding =
        if nowhere { codes::ROUTE_NOT_ATTACHED } else { codes::ROUTE_PARTLY_ATTACHED };
    for (position, reference) in route.parent_refs.iter().enumerate() {
        let mut listeners = attachments.iter().filter(|it| it.position == position).peekable();
        let field = FieldPath::spec().key("parentRefs").index(position);
        let kind = reference.kind.as_deref().unwrap_or("Gateway");
        let name = &reference.name;
        if listeners.peek().is_none() {
            // A parent of another controller is none of our business, but alone it says that the route does nothing here.
            if nowhere {
                let namespace = reference.namespace.as_deref().unwrap_or(&route.meta.namespace);
                let message = format!(
                    "{kind} {namespace}/{name} is not known here, so the route is not attached to it"
                );
                let finding = kind_of_finding.finding(&route.object, field, message);
                outcome
                    .findings
                    .push(finding.with_help("create it, or correct the name, namespace or class"));
            }
            continue;
        }
        let denials: Vec<_> =
            listeners.map(|it| it.denied.as_ref().map(|it| it.message.as_str())).collect();
        if denials.iter().all(Option::is_some) {
            let mut reasons: Vec<_> = denials.into_iter().flatten().collect();
            reasons.dedup();
            let message =
                format!("the route is not attached to {kind} {name}: {}", reasons.join("; "));
            outcome.findings.push(kind_of_finding.finding(&route.object, field, message));
        }
    }
    let mut refusals: Vec<&Refusal> = attachments.iter().filter_map(refusal).collect();
    refusals.dedup();
    for refusal in refusals {
        let message = refusal.message.clone();
        let field = FieldPath::spec().key("rules");
        outcome.findings.push(codes::ROUTE_UNRESOLVED.finding(&route.object, field, message));
    }
}

/// What keeps a Gateway from serving.
pub(super) fn of_gateway<'c>(
    object: &ObjectRef,
    conditions: impl Iterator<Item = &'c Condition>,
    listeners: &[Verdict],
    outcome: &mut Outcome,
) {
    for condition in conditions.filter(|it| !it.status && it.reason != "ListenersNotValid") {
        let kind = match condition.kind {
            "Programmed" => codes::GATEWAY_NOT_PROGRAMMED,
            _ => codes::NOT_IN_FORCE,
        };
        outcome.findings.push(kind.finding(object, FieldPath::spec(), condition.message.clone()));
    }
    of_listener_set(object, listeners, outcome);
}

/// What keeps listeners from serving.
pub(super) fn of_listener_set(object: &ObjectRef, listeners: &[Verdict], outcome: &mut Outcome) {
    for (position, verdict) in listeners.iter().enumerate() {
        let fails = |kind: &str| verdict.conditions.iter().find(|it| it.kind == kind && !it.status);
        // The reference that cannot be resolved says more than the condition that follows from it.
        let Some(condition) =
            fails("ResolvedRefs").or_else(|| fails("Accepted")).or_else(|| fails("Programmed"))
        else {
            continue;
        };
        let field = FieldPath::spec().key("listeners").index(position);
        let message = format!("listener {} cannot serve: {}", verdict.name, condition.message);
        outcome.findings.push(codes::LISTENER_NOT_SERVING.finding(object, field, message));
    }
}

/// What conditions of an object say that do not hold, each thing once.
pub(super) fn of_conditions<'c>(
    object: &ObjectRef,
    conditions: impl IntoIterator<Item = &'c Condition>,
    outcome: &mut Outcome,
) {
    let failing = conditions.into_iter().filter(|it| !it.status);
    let messages: BTreeSet<&str> = failing.map(|it| it.message.as_str()).collect();
    let finding = |message: &str| codes::NOT_IN_FORCE.finding(object, FieldPath::spec(), message);
    outcome.findings.extend(messages.into_iter().map(finding));
}

/// Rules of a route that ask for sessions, which routes do not keep.
pub(super) fn of_sessions(
    object: &ObjectRef,
    rules: impl Iterator<Item = bool>,
    outcome: &mut Outcome,
) {
    for (position, asks) in rules.enumerate() {
        if asks {
            let field = FieldPath::spec().key("rules").index(position).key("sessionPersistence");
            let message =
                "a route keeps no sessions, so requests of one may go to different endpoints";
            let finding = codes::FIELD_WITHOUT_EFFECT.finding(object, field, message);
            let help = "use a DestinationRule with loadBalancer.consistentHash.httpCookie";
            outcome.findings.push(finding.with_help(help));
        }
    }
}

/// An InferencePool, whose endpoint picker is not asked.
pub(super) fn of_picker(object: &ObjectRef, outcome: &mut Outcome) {
    let field = FieldPath::spec().key("endpointPickerRef");
    let message = "requests are balanced over the pods of the pool as over those of any service; the endpoint picker is \
                   not asked";
    outcome.findings.push(codes::FIELD_WITHOUT_EFFECT.finding(object, field, message));
}
