//! Findings of ours: what Istio accepts and does, but hardly what its author meant.

mod binding;
mod codes;
mod covered;
mod enforced;
mod lanes;
mod operators;
mod sticky;

pub use codes::ALL as LINTS;

use serin_api::networking::{HttpMatchRequest, HttpRoute, VirtualService};
use serin_api::{FieldPath, Object};

use super::{Input, Report};

pub(super) use binding::{unbound_virtual_services, unused_gateways};
pub(super) use covered::covered_rules;
pub(super) use enforced::not_enforced;
pub(super) use lanes::{broken_lanes, lost_headers};
pub(super) use operators::unknown_operators;
pub(super) use sticky::{cookie_expressions, missing_sticky_rules};

/// SRN0407: a weight on a destination that has no other beside it.
pub(super) fn lone_weights(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        for (at, rule) in rules(&virtual_service.spec) {
            let [only] = rule.route.as_slice() else { continue };
            if matches!(only.weight, 0 | 100) {
                continue;
            }
            let host = only.destination.as_ref().map_or("", |destination| &destination.host);
            let text = format!(
                "weight {} has no effect: {host} is the only destination and gets every request",
                only.weight
            );
            let help = format!(
                "add the destination that gets the other {} parts, or leave the weight out",
                100 - only.weight.clamp(0, 100)
            );
            report.add(
                virtual_service,
                at.key("route").index(0).key("weight"),
                codes::LONE_WEIGHT.message(text).help(help),
            );
        }
    }
}

fn written<'a>(input: Input<'a>) -> impl Iterator<Item = &'a Object<VirtualService>> {
    input.snapshot.written_virtual_services().iter().map(|it| &**it)
}

fn rules(virtual_service: &VirtualService) -> impl Iterator<Item = (FieldPath, &HttpRoute)> {
    let at = FieldPath::spec().key("http");
    virtual_service.http.iter().enumerate().map(move |(index, rule)| (at.index(index), rule))
}

fn matches<'r>(
    at: &FieldPath,
    rule: &'r HttpRoute,
) -> impl Iterator<Item = (FieldPath, &'r HttpMatchRequest)> {
    let at = at.key("match");
    rule.matches.iter().enumerate().map(move |(index, entry)| (at.index(index), entry))
}
