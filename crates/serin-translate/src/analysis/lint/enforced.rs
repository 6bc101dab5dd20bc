//! SRN0409: what security policies ask for that no proxy of ours carries out.

use serin_api::FieldPath;
use serin_api::security::AuthorizationAction;

use super::codes;
use crate::analysis::codes::Message;
use crate::analysis::{Input, Report};
use crate::authorization::Targets;

/// SRN0409: decisions of others, and policies that are attached.
pub(in crate::analysis) fn not_enforced(input: Input<'_>, report: &mut Report) {
    for policy in &input.objects().request_authentications {
        let targets = Targets(policy.spec.target_ref.as_ref(), &policy.spec.target_refs);
        if !targets.are_none() && !targets.are_gateways() {
            report.add(policy, FieldPath::spec().key("targetRefs"), attached());
        }
    }
    for policy in &input.objects().authorization_policies {
        if policy.spec.action == AuthorizationAction::Custom {
            let text =
                "external authorizers are not asked: requests that the rules match are denied";
            let found = codes::NOT_ENFORCED.message(text);
            report.add(policy, FieldPath::spec().key("action"), found);
        }
        let targets = Targets(policy.spec.target_ref.as_ref(), &policy.spec.target_refs);
        if !targets.are_none() && !targets.are_gateways() {
            report.add(policy, FieldPath::spec().key("targetRefs"), attached());
        }
    }
}

fn attached() -> Message {
    let text = "a policy decides at Gateways of the Gateway API that it is attached to, and at nothing else: there are no waypoints";
    codes::NOT_ENFORCED.message(text)
}
