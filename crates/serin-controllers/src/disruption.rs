//! PodDisruptionBudgets: how many pods may be evicted at this moment.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;

use crate::deployment::amounts::part;
use crate::objects::Key;
use crate::queue::Outcome;
use crate::world::World;
use crate::{owner, pods};

/// How long a pod that is to be evicted counts as if it were gone.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Looks at a budget.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let Some(budget) = world.budgets.get(&key) else { return Ok(None) };
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let mut chosen = world.pods.in_namespace(&key.namespace);
    chosen.retain(|pod| {
        selector.is_some_and(|selector| owner::selects(selector, pod.labels()))
            && !pods::is_finished(pod)
    });
    let expected = expected(&world, &chosen);
    let now = Timestamp::now();
    let status = status(&budget, &chosen, expected, now);
    let again = status.disrupted_pods.as_ref().map(|_| PATIENCE);
    if budget.status.as_ref() != Some(&status) {
        let mut changed = PodDisruptionBudget::clone(&budget);
        changed.status = Some(status);
        world.budgets.put_status(&changed).await?;
    }
    Ok(again)
}

/// How many pods the owners of these want.
fn expected(world: &World, chosen: &[Arc<Pod>]) -> i32 {
    let mut owners: HashMap<String, i32> = HashMap::new();
    for pod in chosen {
        let Some(owner) = owner::controller(&pod.metadata) else { continue };
        let key = Key::new(pod.namespace().unwrap_or_default(), owner.name.clone());
        match owner.kind.as_str() {
            "ReplicaSet" => {
                let Some(set) = world.replica_sets.get(&key) else { continue };
                let by = owner::controller(&set.metadata).filter(|by| by.kind == "Deployment");
                // Old and new pods of one Deployment are wanted once.
                let deployment = by.and_then(|by| {
                    world.deployments.get(&Key::new(key.namespace.clone(), by.name.clone()))
                });
                let count = match &deployment {
                    Some(it) => it.spec.as_ref().and_then(|spec| spec.replicas),
                    None => set.spec.as_ref().and_then(|spec| spec.replicas),
                };
                let uid = by.map_or_else(|| owner.uid.clone(), |by| by.uid.clone());
                owners.insert(uid, count.unwrap_or(1));
            }
            "StatefulSet" => {
                let Some(set) = world.stateful_sets.get(&key) else { continue };
                let count = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                owners.insert(owner.uid.clone(), count);
            }
            _ => *owners.entry(owner.uid.clone()).or_insert(0) += 1,
        }
    }
    let alone = chosen.iter().filter(|pod| owner::controller(&pod.metadata).is_none()).count();
    owners.values().sum::<i32>() + i32::try_from(alone).unwrap_or(i32::MAX)
}

fn status(
    budget: &PodDisruptionBudget,
    chosen: &[Arc<Pod>],
    wanted: i32,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let count = i32::try_from(chosen.len()).unwrap_or(i32::MAX);
    let spec = budget.spec.clone().unwrap_or_default();
    let (expected, desired) = match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => (wanted, (wanted - part(most, wanted, true)).max(0)),
        (None, Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(least))) => {
            (count, *least)
        }
        (None, Some(least)) => (wanted, part(least, wanted, true)),
        (None, None) => (count, 0),
    };
    let before = budget.status.clone().unwrap_or_default();
    let mut disrupted = before.disrupted_pods.unwrap_or_default();
    disrupted.retain(|name, at| {
        let there = chosen.iter().any(|pod| pod.name_any() == *name && !pods::is_terminating(pod));
        there && at.0 + PATIENCE > now
    });
    let healthy = chosen.iter().filter(|pod| {
        pods::is_ready(pod)
            && !pods::is_terminating(pod)
            && !disrupted.contains_key(&pod.name_any())
    });
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    let allowed = if expected == 0 { 0 } else { (healthy - desired).max(0) };
    PodDisruptionBudgetStatus {
        current_healthy: healthy,
        desired_healthy: desired,
        disruptions_allowed: allowed,
        expected_pods: expected,
        observed_generation: budget.metadata.generation,
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        conditions: Some(vec![condition(budget, before.conditions, allowed > 0, now)]),
    }
}

fn condition(
    budget: &PodDisruptionBudget,
    before: Option<Vec<Condition>>,
    allowed: bool,
    now: Timestamp,
) -> Condition {
    let (value, reason) =
        if allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let old = before.into_iter().flatten().find(|it| it.type_ == "DisruptionAllowed");
    let since = old.filter(|it| it.status == value).map_or(Time(now), |it| it.last_transition_time);
    Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since,
    }
}
