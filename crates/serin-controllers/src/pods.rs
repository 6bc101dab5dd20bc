//! What controllers need to know of pods: whether one counts, whether it is ready and for how long, and which go first.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;

/// The annotation that says how dear a pod is.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether the pod ran to its end.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod runs, or will.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_terminating(pod)
}

pub(crate) fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether a pod is available: ready for `min_ready_seconds`. If it is ready but not for long enough, how long it lacks.
pub(crate) fn availability(
    pod: &Pod,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Result<(), Option<Duration>> {
    if !is_ready(pod) {
        return Err(None);
    }
    if min_ready_seconds <= 0 {
        return Ok(());
    }
    let Some(since) = ready_since(pod) else { return Err(None) };
    let wanted = Duration::from_secs(u64::from(min_ready_seconds.unsigned_abs()));
    // A clock that was set back does not make the wait longer than the whole.
    let ready_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    match wanted.checked_sub(ready_for) {
        Some(lacks) if !lacks.is_zero() => Err(Some(lacks)),
        _ => Ok(()),
    }
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let all = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    all.map(|container| container.restart_count).max().unwrap_or(0)
}

/// A pod as a template says, for `owner`. Its name is still to be given.
pub(crate) fn from_template(template: &PodTemplateSpec, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Sorts pods so that those come first that are missed least. `siblings` tells how many pods of the same workload, also of
/// its other revisions, run on each node.
pub(crate) fn sort_for_deletion<P: AsRef<Pod>>(
    pods: &mut [P],
    siblings: &HashMap<String, usize>,
    now: Timestamp,
) {
    pods.sort_by(|left, right| least_missed(left.as_ref(), right.as_ref(), siblings, now));
}

/// Of two pods that are of the same age the uid decides, last of all: it is not always the last ones that go. Ages count by their
/// magnitude alone, so that the order is one of all pods: a first difference decides between any two.
fn least_missed(
    left: &Pod,
    right: &Pod,
    siblings: &HashMap<String, usize>,
    now: Timestamp,
) -> Ordering {
    let assigned = |pod: &Pod| node(pod).is_some();
    let phase = |pod: &Pod| match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let crowd = |pod: &Pod| node(pod).and_then(|node| siblings.get(node)).copied().unwrap_or(0);
    let ready = |pod: &Pod| magnitude(ready_since(pod), now);
    let created =
        |pod: &Pod| magnitude(pod.metadata.creation_timestamp.as_ref().map(|time| time.0), now);
    let order = assigned(left).cmp(&assigned(right));
    let order = order.then_with(|| phase(left).cmp(&phase(right)));
    let order = order.then_with(|| is_ready(left).cmp(&is_ready(right)));
    let order = order.then_with(|| deletion_cost(left).cmp(&deletion_cost(right)));
    let order = order.then_with(|| crowd(right).cmp(&crowd(left)));
    let order = order.then_with(|| ready(left).cmp(&ready(right)));
    let order = order.then_with(|| restarts(right).cmp(&restarts(left)));
    let order = order.then_with(|| created(left).cmp(&created(right)));
    order.then_with(|| left.uid().cmp(&right.uid()))
}

/// The magnitude of an age: what has none yet comes before what is young.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> Option<u32> {
    let age = u64::try_from(now.duration_since(since?).as_secs()).unwrap_or(0);
    Some(age.max(1).ilog2())
}

fn node(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (!node.is_empty()).then_some(node)
}

/// How many pods run on each node.
pub(crate) fn per_node<P: AsRef<Pod>>(pods: &[P]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for pod in pods.iter().filter(|pod| is_active(pod.as_ref())) {
        if let Some(node) = node(pod.as_ref()) {
            *counts.entry(node.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.annotations().get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
