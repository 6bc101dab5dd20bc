//! Which workloads or objects a rule is for.

use std::collections::BTreeMap;

use super::place::Place;
use crate::values::{PolicySelector, TargetRef, WorkloadSelector};

const TARGETS: [(&str, &str); 4] = [
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// A selector of the networking kinds.
pub(super) fn workload_selector(selector: Option<&WorkloadSelector>, at: &Place<'_>) {
    if let Some(selector) = selector {
        labels(&selector.labels, "labels", at);
    }
}

/// A selector of the policy kinds.
pub(super) fn policy_selector(selector: Option<&PolicySelector>, at: &Place<'_>) {
    if let Some(selector) = selector {
        labels(&selector.match_labels, "matchLabels", at);
    }
}

fn labels(labels: &BTreeMap<String, String>, field: &str, at: &Place<'_>) {
    if labels.is_empty() {
        at.warning("a selector without labels chooses every workload of the namespace");
    }
    let at = at.key(field);
    for (key, value) in labels {
        if key.is_empty() {
            at.error(format!("a label without a name cannot be selected by: {key}={value}"));
        }
        if key.contains('*') || value.contains('*') {
            at.key(key).error(format!("wildcards cannot be used in a selector: {key}={value}"));
        }
    }
}

/// How a policy says what it is for: at most one of the three ways.
pub(super) fn policy_scope(
    selector: Option<&PolicySelector>,
    target: Option<&TargetRef>,
    targets: &[TargetRef],
    spec: &Place<'_>,
) {
    let ways = [selector.is_some(), target.is_some(), !targets.is_empty()];
    if ways.iter().filter(|way| **way).count() > 1 {
        spec.error("only one of selector, targetRef and targetRefs can be set");
    }
    policy_selector(selector, &spec.key("selector"));
    if let Some(target) = target {
        target_ref(target, &spec.key("targetRef"));
    }
    spec.key("targetRefs").each(targets, target_ref);
}

pub(super) fn target_ref(target: &TargetRef, at: &Place<'_>) {
    if target.name.is_empty() {
        at.key("name").error("the targetRef name must be set");
    }
    if !target.namespace.is_empty() {
        at.key("namespace").error(
            "the targetRef namespace must not be set: other namespaces cannot be referred to",
        );
    }
    let group = if target.group == "core" { "" } else { target.group.as_str() };
    if !TARGETS.contains(&(group, target.kind.as_str())) {
        at.error(format!(
            "a policy cannot be attached to {}/{}, only to Service, ServiceEntry, Gateway and GatewayClass",
            target.group, target.kind
        ));
    }
}
