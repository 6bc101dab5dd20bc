//! Whether a pod fits on the node: selectors, affinity, taints, ports and resources, with a scheduler's words where it does not.

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration,
};

use crate::pod::{Role, containers};
use crate::quantity;

/// Why a pod does not fit; empty where it does.
pub(super) fn problems<'a>(
    pod: &Pod,
    node: &Node,
    others: impl Iterator<Item = &'a Pod>,
) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut found = Vec::new();
    let node_spec = node.spec.as_ref();
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    if node_spec.and_then(|one| one.unschedulable) == Some(true)
        && !tolerates(tolerations, "node.kubernetes.io/unschedulable", "", "NoSchedule")
    {
        found.push("node(s) were unschedulable".to_owned());
    }
    let taints = node_spec.and_then(|one| one.taints.as_deref()).unwrap_or_default();
    if let Some(taint) = taints.iter().find(|taint| repels(taint, tolerations)) {
        let value = taint.value.as_deref().unwrap_or_default();
        found.push(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key));
    }
    if !selected(spec, node) {
        found.push("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    found.extend(resources(pod, node, others));
    found
}

/// The message of a scheduler.
pub(super) fn message(reasons: &[String]) -> String {
    let list: Vec<_> = reasons.iter().map(|reason| format!("1 {reason}")).collect();
    format!(
        "0/1 nodes are available: {}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        list.join(", ")
    )
}

fn repels(taint: &Taint, tolerations: &[Toleration]) -> bool {
    matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
        && !tolerates(
            tolerations,
            &taint.key,
            taint.value.as_deref().unwrap_or_default(),
            &taint.effect,
        )
}

fn tolerates(tolerations: &[Toleration], key: &str, value: &str, effect: &str) -> bool {
    tolerations.iter().any(|one| {
        let own_effect = one.effect.as_deref().unwrap_or_default();
        let own_key = one.key.as_deref().unwrap_or_default();
        let exists = one.operator.as_deref() == Some("Exists");
        (own_effect.is_empty() || own_effect == effect)
            && (own_key == key || own_key.is_empty() && exists)
            && (exists || one.value.as_deref().unwrap_or_default() == value)
    })
}

fn selected(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let by_selector =
        spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required =
        spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()).and_then(
            |affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref(),
        );
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let by_affinity = required.is_none_or(|required| {
        required.node_selector_terms.iter().any(|term| term_matches(term, &labels, name))
    });
    by_selector && by_affinity
}

fn term_matches(
    term: &NodeSelectorTerm,
    labels: &std::collections::BTreeMap<String, String>,
    name: &str,
) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|one| holds(one, labels.get(&one.key).map(String::as_str)))
        && fields.iter().all(|one| holds(one, (one.key == "metadata.name").then_some(name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || value.is_some_and(|value| values.iter().any(|one| one == value));
    let compared = || {
        let value: i64 = value?.parse().ok()?;
        let other: i64 = values.first()?.parse().ok()?;
        Some(value.cmp(&other))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        "Lt" => compared() == Some(std::cmp::Ordering::Less),
        _ => false,
    }
}

fn resources<'a>(pod: &Pod, node: &Node, others: impl Iterator<Item = &'a Pod>) -> Vec<String> {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.clone());
    let Some(allocatable) = allocatable else { return Vec::new() };
    let others: Vec<&Pod> = others.collect();
    let mut found = Vec::new();
    if let Some(most) = allocatable.get("pods").and_then(|one| quantity::units(&one.0))
        && i128::try_from(others.len()).unwrap_or(i128::MAX) >= most
    {
        found.push("Too many pods".to_owned());
    }
    let mut names: Vec<String> = Vec::new();
    for (_, container) in containers(pod) {
        let requests = container.resources.as_ref().and_then(|one| one.requests.as_ref());
        names.extend(requests.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| *name != "ephemeral-storage") {
        let wanted = request(pod, name);
        if wanted == 0 {
            continue;
        }
        let has = allocatable.get(name).and_then(|one| quantity::milli(&one.0)).unwrap_or(0);
        let used: i128 = others.iter().map(|other| request(other, name)).sum();
        if used + wanted > has {
            found.push(format!("Insufficient {name}"));
        }
    }
    found
}

/// What a pod asks for: its containers together, or its largest init container if that is more.
fn request(pod: &Pod, name: &str) -> i128 {
    let (mut staying, mut largest) = (0, 0);
    for (role, container) in containers(pod) {
        let requests = container.resources.as_ref().and_then(|one| one.requests.as_ref());
        let asked = requests.and_then(|all| all.get(name)).and_then(|one| quantity::milli(&one.0));
        let asked = asked.unwrap_or(0);
        if role == Role::Init {
            largest = largest.max(staying + asked);
        } else {
            staying += asked;
        }
    }
    staying.max(largest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(pod: Value, node: Value, expect: &[&str]) {
        let object = |spec: Value| json!({"metadata": {"name": "x"}, "spec": spec});
        let mut node = object(node);
        node["metadata"]["labels"] = json!({"disk": "ssd", "cores": "8"});
        node["status"] = json!({"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"}});
        let container = json!([{"name": "a", "resources": {"requests": {"cpu": "500m"}}}]);
        let other: Pod = serde_json::from_value(object(json!({"containers": container}))).unwrap();
        let mut spec = pod;
        if spec["containers"].is_null() {
            spec["containers"] = json!([]);
        }
        let pod: Pod = serde_json::from_value(object(spec)).unwrap();
        let node: Node = serde_json::from_value(node).unwrap();
        assert_eq!(problems(&pod, &node, std::iter::once(&other)), expect);
    }

    #[test]
    fn pods_are_kept_away_by_selectors_taints_and_want_of_resources() {
        check(json!({}), json!({}), &[]);
        check(json!({"nodeSelector": {"disk": "ssd"}}), json!({}), &[]);
        let affinity = |operator: &str, value: &str| {
            let term = json!({"matchExpressions": [{"key": "cores", "operator": operator, "values": [value]}]});
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}})
        };
        check(affinity("Gt", "4"), json!({}), &[]);
        let unmatched = "node(s) didn't match Pod's node affinity/selector";
        check(affinity("In", "4"), json!({}), &[unmatched]);
        check(json!({"nodeSelector": {"disk": "tape"}}), json!({}), &[unmatched]);
        let taint = json!({"taints": [{"key": "own", "value": "x", "effect": "NoSchedule"}]});
        check(json!({}), taint.clone(), &["node(s) had untolerated taint {own: x}"]);
        check(json!({"tolerations": [{"operator": "Exists"}]}), taint, &[]);
        check(json!({}), json!({"unschedulable": true}), &["node(s) were unschedulable"]);
        let asks = |cpu: &str| json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]});
        check(asks("1500m"), json!({}), &[]);
        check(asks("1600m"), json!({}), &["Insufficient cpu"]);
    }
}
