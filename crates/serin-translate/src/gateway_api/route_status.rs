//! The status of a route: one entry for each parent reference, however many listeners it means.

use serde_json::{Value, json};
use serin_api::gateway_api::ParentReference;

use super::class::GATEWAY_CONTROLLER;
use super::condition::{Condition, Refusal, Report};
use super::parent::{Attachment, reference_text};
use super::route::RouteView;

/// The entries of the status of `route`: those of other controllers as they are, ours in the place that they have, new
/// ones at the end.
pub(super) fn parents<'r>(
    report: Report,
    route: &RouteView<'_>,
    attachments: &[Attachment<'_>],
    refusal: &dyn Fn(&Attachment<'_>) -> Option<&'r Refusal>,
) -> Value {
    let namespace = route.meta.namespace.as_str();
    let existing = route.status["parents"].as_array().cloned().unwrap_or_default();
    let mut fresh = Vec::new();
    for position in 0..route.parent_refs.len() {
        let of_reference: Vec<_> =
            attachments.iter().filter(|it| it.position == position).collect();
        let Some(first) = of_reference.first() else { continue };
        let text = reference_text(first.reference, namespace);
        let before = existing.iter().find(|it| is_ours(it) && text_of(it, namespace) == text);
        let conditions = conditions(&of_reference, refusal);
        let entry = json!({
            "parentRef": first.reference,
            "controllerName": GATEWAY_CONTROLLER,
            "conditions": report.merge(before.map_or(&Value::Null, |it| &it["conditions"]), conditions),
        });
        fresh.push((text, entry));
    }
    fresh.sort_by(|one, other| other.0.cmp(&one.0));
    let mut merged = Vec::new();
    for entry in existing {
        if !is_ours(&entry) {
            merged.push(entry);
        } else if let Some(place) =
            fresh.iter().position(|(text, _)| *text == text_of(&entry, namespace))
        {
            merged.push(fresh.remove(place).1);
        }
    }
    merged.extend(fresh.into_iter().map(|(_, entry)| entry));
    Value::Array(merged)
}

fn is_ours(entry: &Value) -> bool {
    entry["controllerName"] == GATEWAY_CONTROLLER
}

fn text_of(entry: &Value, namespace: &str) -> String {
    let reference: ParentReference = serin_api::decode(&entry["parentRef"]).unwrap_or_default();
    reference_text(&reference, namespace)
}

fn conditions<'r>(
    attachments: &[&Attachment<'_>],
    refusal: &dyn Fn(&Attachment<'_>) -> Option<&'r Refusal>,
) -> Vec<Condition> {
    let bound = attachments.iter().filter(|it| it.denied.is_none()).count();
    let message = if bound > 1 {
        format!("Route was valid, bound to {bound} parents")
    } else {
        "Route was valid".to_owned()
    };
    let refused = attachments.iter().find_map(|it| refusal(it));
    vec![
        Condition::holds("Accepted", "Accepted", message).unless(denial(attachments).as_ref()),
        Condition::holds("ResolvedRefs", "ResolvedRefs", "All references resolved").unless(refused),
    ]
}

/// Why a reference is not accepted: of several reasons the one that comes closest to being accepted. If one listener takes
/// the route, it is.
fn denial(attachments: &[&Attachment<'_>]) -> Option<Refusal> {
    let rank = |it: &Attachment<'_>| match it.denied.as_ref().map(|it| it.reason) {
        None => 0,
        Some("NotAllowedByListeners") => 1,
        Some("NoMatchingListenerHostname") => 2,
        Some(_) => 3,
    };
    let closest = attachments.iter().map(|it| rank(it)).min()?;
    let reasons = attachments.iter().filter(|it| rank(it) == closest).map(|it| it.denied.clone());
    reasons.fold(None, Refusal::joined)
}
