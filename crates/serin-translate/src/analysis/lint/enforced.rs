//! SRN0409: what security policies ask for that no proxy of ours carries out.

use serin_api::FieldPath;
use serin_api::security::{AuthorizationAction, AuthorizationRule};

use super::codes;
use crate::analysis::{Input, Report};

/// SRN0409: tokens, and decisions of others.
pub(in crate::analysis) fn not_enforced(input: Input<'_>, report: &mut Report) {
    for policy in &input.objects().request_authentications {
        let text = "tokens are not checked: every request is let through, and none counts as having a token";
        let found = codes::NOT_ENFORCED.message(text);
        report.add(policy, FieldPath::spec().key("jwtRules"), found);
    }
    for policy in &input.objects().authorization_policies {
        if policy.spec.action == AuthorizationAction::Custom {
            let text =
                "external authorizers are not asked: requests that the rules match are denied";
            let found = codes::NOT_ENFORCED.message(text);
            report.add(policy, FieldPath::spec().key("action"), found);
        }
        if policy.spec.target_ref.is_some() || !policy.spec.target_refs.is_empty() {
            let text = "policies that are attached to gateways and services decide nothing: only selectors are looked at";
            let found = codes::NOT_ENFORCED.message(text);
            report.add(policy, FieldPath::spec().key("targetRefs"), found);
        }
        for (place, rule) in policy.spec.rules.iter().enumerate() {
            if asks_for_token(rule) {
                let text = "tokens are not checked: to this rule no request has one";
                let at = FieldPath::spec().key("rules").index(place);
                report.add(policy, at, codes::NOT_ENFORCED.message(text));
            }
        }
    }
}

fn asks_for_token(rule: &AuthorizationRule) -> bool {
    let mut sources = rule.from.iter().filter_map(|it| it.source.as_ref());
    let of_source = sources
        .any(|it| !it.request_principals.is_empty() || !it.not_request_principals.is_empty());
    of_source || rule.when.iter().any(|it| it.key.starts_with("request.auth."))
}
