//! What a DaemonSet does next: a function from what is there to what to write.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetStatus, RollingUpdateDaemonSet,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

use super::node_of;
use crate::deployment::amounts::part;
use crate::deployment::status::some;
use crate::pods;
use crate::revisions::REVISION;

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) delete: Vec<Arc<Pod>>,
    /// The nodes for which pods are to be made.
    pub(super) create: Vec<String>,
    pub(super) status: DaemonSetStatus,
    pub(super) again: Option<Duration>,
}

/// How many pods may be missing and how many there may be twice while they are replaced; none where they are not.
fn budgets(spec: &DaemonSetSpec, nodes: i32) -> Option<(i32, i32)> {
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|it| it.type_.as_deref()) == Some("OnDelete") {
        return None;
    }
    let default = RollingUpdateDaemonSet::default();
    let rolling = strategy.and_then(|it| it.rolling_update.as_ref()).unwrap_or(&default);
    let one = IntOrString::Int(1);
    let unavailable = part(rolling.max_unavailable.as_ref().unwrap_or(&one), nodes, true);
    let surge = rolling.max_surge.as_ref().map_or(0, |surge| part(surge, nodes, true));
    Some(if unavailable == 0 && surge == 0 { (1, 0) } else { (unavailable, surge) })
}

/// Plans the next step. `hash` is that of the template's revision.
pub(super) fn plan(
    set: &DaemonSet,
    own: &[Arc<Pod>],
    nodes: &[Arc<Node>],
    hash: &str,
    now: Timestamp,
) -> Plan {
    let default = DaemonSetSpec::default();
    let spec = set.spec.as_ref().unwrap_or(&default);
    let before = set.status.clone().unwrap_or_default();
    let status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        collision_count: before.collision_count,
        conditions: before.conditions,
        ..DaemonSetStatus::default()
    };
    let mut plan = Plan { delete: Vec::new(), create: Vec::new(), status, again: None };
    let fitting: Vec<_> = nodes.iter().filter(|node| fits(spec, node)).collect();
    let names: Vec<String> = fitting.iter().map(|node| node.name_any()).collect();
    for pod in own {
        if !node_of(pod).is_some_and(|node| names.iter().any(|name| name == node)) {
            plan.status.number_misscheduled += i32::from(!pods::is_finished(pod));
            if !pods::is_terminating(pod) {
                plan.delete.push(Arc::clone(pod));
            }
        }
    }
    let count = i32::try_from(names.len()).unwrap_or(i32::MAX);
    plan.status.desired_number_scheduled = count;
    let mut outdated = Vec::new();
    for name in names {
        let here: Vec<_> =
            own.iter().filter(|pod| node_of(pod) == Some(&name)).map(Arc::clone).collect();
        outdated.extend(visit(spec, &mut plan, name, here, hash, now));
    }
    plan.status.number_unavailable = some(count - plan.status.number_available.unwrap_or(0));
    replace(spec, &mut plan, outdated, count);
    plan
}

/// A node whose pod is of an earlier revision.
struct Outdated {
    name: String,
    old: Arc<Pod>,
    is_available: bool,
}

/// Sees to one node.
fn visit(
    spec: &DaemonSetSpec,
    plan: &mut Plan,
    name: String,
    here: Vec<Arc<Pod>>,
    hash: &str,
    now: Timestamp,
) -> Option<Outdated> {
    let (ended, mut running): (Vec<_>, Vec<_>) =
        here.into_iter().partition(|pod| pods::is_finished(pod));
    plan.delete.extend(ended.into_iter().filter(|pod| !pods::is_terminating(pod)));
    let leaving = running.iter().any(|pod| pods::is_terminating(pod));
    running.retain(|pod| !pods::is_terminating(pod));
    let is_new = |pod: &Arc<Pod>| pod.labels().get(REVISION).is_some_and(|it| it == hash);
    running.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.name_any()));
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(is_new);
    let seconds = spec.min_ready_seconds.unwrap_or(0);
    let available = |pod: &Pod, again: &mut Option<Duration>| {
        let lacks = pods::availability(pod, seconds, now);
        if let Err(Some(lacks)) = lacks {
            *again = Some(again.map_or(lacks, |again| again.min(lacks)));
        }
        lacks.is_ok()
    };
    let new_available = new.first().is_some_and(|pod| available(pod, &mut plan.again));
    let old_available = old.first().is_some_and(|pod| available(pod, &mut plan.again));
    let ready = new.first().or(old.first()).is_some_and(|pod| pods::is_ready(pod));
    let counts = &mut plan.status;
    counts.current_number_scheduled += i32::from(!new.is_empty() || !old.is_empty());
    counts.number_ready += i32::from(ready || old.first().is_some_and(|pod| pods::is_ready(pod)));
    let is_available = new_available || old_available;
    counts.number_available = some(counts.number_available.unwrap_or(0) + i32::from(is_available));
    counts.updated_number_scheduled =
        some(counts.updated_number_scheduled.unwrap_or(0) + i32::from(!new.is_empty()));
    plan.delete.extend(new.iter().skip(1).cloned());
    plan.delete.extend(old.iter().skip(1).cloned());
    match (new.is_empty(), old.into_iter().next()) {
        (true, None) if !leaving => plan.create.push(name),
        (true, Some(old)) => return Some(Outdated { name, old, is_available }),
        // The new one took over.
        (false, Some(old)) if new_available || !old_available => plan.delete.push(old),
        _ => {}
    }
    None
}

/// Replaces pods of earlier revisions as far as the budgets go: those first that are not available anyhow.
fn replace(spec: &DaemonSetSpec, plan: &mut Plan, outdated: Vec<Outdated>, count: i32) {
    let Some((unavailable, mut surge)) = budgets(spec, count) else { return };
    let mut spare = unavailable - plan.status.number_unavailable.unwrap_or(0);
    for node in outdated {
        if !node.is_available {
            plan.delete.push(node.old);
        } else if surge > 0 {
            surge -= 1;
            plan.create.push(node.name);
        } else if spare > 0 {
            spare -= 1;
            plan.delete.push(node.old);
        }
    }
}

/// Whether the pods may run on a node: its labels are those that they ask for, and they bear its taints.
fn fits(spec: &DaemonSetSpec, node: &Node) -> bool {
    let template = spec.template.spec.as_ref();
    let wanted = template.and_then(|it| it.node_selector.as_ref()).into_iter().flatten();
    let labels = node.labels();
    wanted.into_iter().all(|(name, value)| labels.get(name) == Some(value)) && bears(spec, node)
}

fn bears(spec: &DaemonSetSpec, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|it| it.taints.as_ref()).into_iter().flatten();
    let tolerations = spec.template.spec.as_ref().and_then(|it| it.tolerations.as_ref());
    let mut hard = taints.filter(|taint| taint.effect != "PreferNoSchedule");
    hard.all(|taint| {
        // Every pod of a DaemonSet bears what Kubernetes itself says of a node.
        taint.key.starts_with("node.kubernetes.io/")
            || tolerations.into_iter().flatten().any(|it| {
                let key = it.key.as_deref().unwrap_or_default();
                let effect = it.effect.as_deref().unwrap_or_default();
                let value = it.operator.as_deref() == Some("Exists")
                    || it.value.as_deref().unwrap_or_default()
                        == taint.value.as_deref().unwrap_or_default();
                (key.is_empty() || key == taint.key)
                    && (effect.is_empty() || effect == taint.effect)
                    && value
            })
    })
}
