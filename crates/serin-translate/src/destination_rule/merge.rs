//! Merging DestinationRules of one namespace for the same host (`mergeDestinationRule`).
//!
//! Subsets are put together, the first traffic policy holds. Rules whose `exportTo` differs stay apart, except that a rule
//! which is seen more widely also completes the narrower one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serin_api::networking::{DestinationRule, TrafficPolicy};
use serin_api::{FieldPath, Finding, Object, ObjectRef};

use super::MergedRule;
use crate::codes;
use crate::host::Host;

/// The annotation of rules that come from a policy of the Gateway API: where they meet a user's own rule, the user's fields
/// hold.
const POLICY_ANNOTATION: &str = "internal.istio.io/parents";

impl MergedRule {
    pub(super) fn new(object: &Object<DestinationRule>, cluster_domain: &str) -> Self {
        // A rule for certain workloads is for those of its own namespace.
        let export_to = if object.spec.workload_selector.is_some() {
            BTreeSet::from([".".to_owned()])
        } else {
            object.spec.export_to.iter().cloned().collect()
        };
        Self {
            host: Host::resolve(&object.spec.host, &object.meta.namespace, cluster_domain),
            namespace: Arc::from(object.meta.namespace.as_str()),
            spec: object.spec.clone(),
            from: vec![object.reference()],
            is_policy: object.meta.annotations.contains_key(POLICY_ANNOTATION),
            export_to,
        }
    }
}

/// Adds `rule` to the rules for its host: merged into those it may be merged with, or beside them. Says what was dropped.
pub(super) fn add(rules: &mut Vec<Arc<MergedRule>>, rule: &MergedRule) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stands_alone = true;
    for existing in rules.iter_mut() {
        let same_reach = existing.export_to == rule.export_to;
        let wider =
            !existing.export_to.is_empty() && rule.export_to.is_superset(&existing.export_to);
        let (selector, other) = (&existing.spec.workload_selector, &rule.spec.workload_selector);
        let for_different_workloads = selector != other && selector.is_some() && other.is_some();
        if !(same_reach || wider) || for_different_workloads {
            continue;
        }
        // A rule for all workloads completes one for some, and still holds for the others.
        if same_reach && selector == other {
            stands_alone = false;
        }
        findings.extend(absorb(Arc::make_mut(existing), rule));
    }
    if stands_alone {
        rules.push(Arc::new(rule.clone()));
    }
    findings
}

fn absorb(into: &mut MergedRule, rule: &MergedRule) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = into.spec.subsets.len();
    for (index, subset) in rule.spec.subsets.iter().enumerate() {
        if into.spec.subsets[..known].iter().any(|it| it.name == subset.name) {
            findings.push(duplicate_subset(&rule.from[0], &into.from[0], index, &subset.name));
        } else {
            into.spec.subsets.push(subset.clone());
        }
    }
    let (mine, theirs) = (into.spec.traffic_policy.take(), rule.spec.traffic_policy.clone());
    into.spec.traffic_policy = match (into.is_policy, rule.is_policy) {
        (false, true) => completed(mine, theirs),
        (true, false) => completed(theirs, mine),
        (false, false) if mine.is_some() && theirs.is_some() => {
            findings.push(second_policy(&rule.from[0], &into.from[0]));
            mine
        }
        _ => mine.or(theirs),
    };
    into.is_policy &= rule.is_policy;
    into.from.extend(rule.from.iter().cloned());
    findings
}

/// A user's policy with the gaps filled from one of the Gateway API's policies (`mergeBackendPolicyTrafficPolicy`).
fn completed(user: Option<TrafficPolicy>, policy: Option<TrafficPolicy>) -> Option<TrafficPolicy> {
    let (mut user, policy) = match (user, policy) {
        (Some(user), Some(policy)) => (user, policy),
        (user, policy) => return user.or(policy),
    };
    user.load_balancer = user.load_balancer.or(policy.load_balancer);
    user.connection_pool = user.connection_pool.or(policy.connection_pool);
    user.outlier_detection = user.outlier_detection.or(policy.outlier_detection);
    user.tls = user.tls.or(policy.tls);
    user.tunnel = user.tunnel.or(policy.tunnel);
    user.proxy_protocol = user.proxy_protocol.or(policy.proxy_protocol);
    user.retry_budget = user.retry_budget.or(policy.retry_budget);
    for port in policy.port_level_settings {
        match user.port_level_settings.iter_mut().find(|it| it.port == port.port) {
            None => user.port_level_settings.push(port),
            Some(own) => {
                own.load_balancer = own.load_balancer.take().or(port.load_balancer);
                own.connection_pool = own.connection_pool.take().or(port.connection_pool);
                own.outlier_detection = own.outlier_detection.take().or(port.outlier_detection);
                own.tls = own.tls.take().or(port.tls);
            }
        }
    }
    Some(user)
}

fn duplicate_subset(object: &ObjectRef, first: &ObjectRef, index: usize, name: &str) -> Finding {
    let field = FieldPath::spec().key("subsets").index(index);
    codes::SUBSET_TWICE
        .finding(
            object,
            field,
            format!("{first} already has a subset {name} for this host; this one has no effect"),
        )
        .with_help(
            "give the subset another name, or keep all subsets of a host in one DestinationRule",
        )
        .with_related(first, FieldPath::spec().key("subsets"), "the subset that holds")
}

fn second_policy(object: &ObjectRef, first: &ObjectRef) -> Finding {
    let field = FieldPath::spec().key("trafficPolicy");
    codes::POLICY_TWICE
        .finding(
            object,
            field.clone(),
            format!("{first} already has a traffic policy for this host; this one has no effect"),
        )
        .with_help("keep the traffic policy of a host in one DestinationRule")
        .with_related(first, field, "the policy that holds")
}
