//! Annotations that mean something to every kind.

use super::place::Place;
use crate::Meta;

/// Has every object with it refused, so that a webhook can be tried out.
const ALWAYS_REJECT: &str = "internal.istio.io/webhook-always-reject";
/// Set by the translation of Gateway API objects; they grant rights, so that no user may set them.
const RESERVED: [&str; 2] = ["internal.istio.io/parent-namespace", "internal.istio.io/parents"];
/// Has a policy evaluated without effect.
pub(super) const DRY_RUN: &str = "istio.io/dry-run";
/// Marks objects that are made from Gateway API objects, for which some rules do not hold.
const GATEWAY_SEMANTICS: &str = "internal.istio.io/gateway-semantics";
const ROUTE_SEMANTICS: &str = "internal.istio.io/route-semantics";

pub(super) fn check(kind: &str, meta: &Meta, annotations: &Place<'_>) {
    for name in meta.annotations.keys() {
        let annotation = annotations.key(name);
        match name.as_str() {
            // The policy itself says for which of its actions the annotation is allowed.
            DRY_RUN if kind != "AuthorizationPolicy" => {
                annotation.error("only an AuthorizationPolicy can be tried out by a dry run");
            }
            ALWAYS_REJECT => annotation.error("an object with this annotation is always refused"),
            name if RESERVED.contains(&name) => {
                annotation.error("this annotation is set by the control plane only");
            }
            _ => {}
        }
    }
}

/// Whether a Gateway is made from a Gateway API Gateway.
pub(super) fn has_gateway_semantics(meta: &Meta) -> bool {
    meta.annotations.get(GATEWAY_SEMANTICS).is_some_and(|value| value == "gateway")
}

/// Whether a VirtualService is made from Gateway API routes.
pub(super) fn has_route_semantics(meta: &Meta) -> bool {
    meta.annotations.get(ROUTE_SEMANTICS).is_some_and(|value| value == "gateway")
}
