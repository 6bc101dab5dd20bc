//! Deployments: what to do is decided in [`plan`], and done here.

pub(crate) mod amounts;
mod plan;
mod sets;
pub(crate) mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use self::plan::Write;
use crate::error::Error;
use crate::objects::Key;
use crate::owner;
use crate::queue::Outcome;
use crate::world::World;

const COMPONENT: &str = "deployment-controller";

/// Looks at a Deployment.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let Some(deployment) = world.deployments.get(&key) else { return Ok(None) };
    let Some(spec) = &deployment.spec else { return Ok(None) };
    if owner::selects_all(&spec.selector) {
        return refuse(world, &deployment).await;
    }
    let uid = deployment.uid().unwrap_or_default();
    let mut candidates = world.replica_sets.tagged(&owner::owned_by(&uid));
    candidates.extend(world.replica_sets.tagged(&owner::orphan_in(&key.namespace)));
    let claim = owner::claim(&deployment.metadata, &spec.selector, candidates);
    let sets = owner::take(&world.deployments, &*deployment, &world.replica_sets, claim).await?;
    // Only the removal of all pods before the first new one needs to know about pods.
    let pods = if amounts::is_rolling(&deployment) { Vec::new() } else { pods_of(world, &sets) };
    let plan = plan::plan(&deployment, &sets, &pods, Timestamp::now());
    let mut status = plan.status;
    let mut failure = None;
    for write in plan.writes {
        if let Err(problem) = carry_out(world, &deployment, write, &mut status).await {
            failure = Some(problem);
            break;
        }
    }
    put(world, &deployment, status, plan.revision.filter(|_| failure.is_none())).await?;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(plan.again),
    }
}

fn pods_of(world: &World, sets: &[Arc<ReplicaSet>]) -> Vec<Arc<Pod>> {
    let uids = sets.iter().filter_map(|set| set.uid());
    uids.flat_map(|uid| world.pods.tagged(&owner::owned_by(&uid))).collect()
}

/// A selector that chooses everything is a mistake.
async fn refuse(world: &World, deployment: &Deployment) -> Outcome {
    let message = "This deployment is selecting all pods. A non-empty selector is required.";
    world.events.warning(COMPONENT, deployment, "SelectingAll", message.to_owned());
    let mut status = deployment.status.clone().unwrap_or_default();
    status.observed_generation = deployment.metadata.generation;
    put(world, deployment, status, None).await?;
    Ok(None)
}

/// Writes status and revision where they differ.
async fn put(
    world: &World,
    deployment: &Deployment,
    status: DeploymentStatus,
    revision: Option<i64>,
) -> Result<(), Error> {
    let mut changed = deployment.clone();
    changed.status = Some(status);
    if let Some(revision) = revision {
        let annotations = changed.metadata.annotations.get_or_insert_default();
        annotations.insert(sets::REVISION.to_owned(), revision.to_string());
    }
    if changed != *deployment {
        world.deployments.put_status(&changed).await?;
    }
    Ok(())
}

async fn carry_out(
    world: &World,
    deployment: &Deployment,
    write: Write,
    status: &mut DeploymentStatus,
) -> Result<(), Error> {
    match write {
        Write::Create(set) => create(world, deployment, &set, status).await,
        Write::Delete(set) => world.replica_sets.delete(&set).await,
        Write::Change { set, replicas, annotations, min_ready_seconds } => {
            let mut change = json!({"metadata": {"annotations": annotations}});
            if let Some(replicas) = replicas {
                change["spec"]["replicas"] = replicas.into();
            }
            if let Some(seconds) = min_ready_seconds {
                change["spec"]["minReadySeconds"] = seconds.into();
            }
            world.replica_sets.merge(&set, change).await?;
            if let Some(to) = replicas {
                tell_scaled(world, deployment, &set.name_any(), sets::replicas(&set), to);
            }
            Ok(())
        }
    }
}

fn tell_scaled(world: &World, deployment: &Deployment, set: &str, from: i32, to: i32) {
    let way = if to > from { "up" } else { "down" };
    let message = format!("Scaled {way} replica set {set} from {from} to {to}");
    world.events.normal(COMPONENT, deployment, "ScalingReplicaSet", message);
}

async fn create(
    world: &World,
    deployment: &Deployment,
    set: &ReplicaSet,
    status: &mut DeploymentStatus,
) -> Result<(), Error> {
    let namespace = deployment.namespace().unwrap_or_default();
    let Err(problem) = world.replica_sets.create(&namespace, set).await else {
        let replicas = sets::replicas(set);
        if replicas > 0 {
            tell_scaled(world, deployment, &set.name_any(), 0, replicas);
        }
        return Ok(());
    };
    if problem.is("AlreadyExists") {
        // Its own from earlier is taken up at the next look; of another, or of another template, the name is given up.
        let there = world.replica_sets.fetch(&Key::new(namespace, set.name_any())).await?;
        let own = there.is_some_and(|there| {
            let by = owner::controller(&there.metadata).map(|by| &by.uid);
            by == deployment.metadata.uid.as_ref()
                && sets::same(there.spec.as_ref(), &sets::template(deployment))
        });
        // What stands in the status so far is that nothing was made.
        *status = deployment.status.clone().unwrap_or_default();
        if !own {
            status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        }
        return Err(problem);
    }
    if !problem.is_terminating() {
        let name = set.name_any();
        let message = format!("Failed to create new replica set {name:?}: {}", problem.reason());
        if status::deadline(deployment).is_some() {
            let now = Timestamp::now();
            status::progress(status, "False", "ReplicaSetCreateError", message.clone(), now);
        }
        world.events.warning(COMPONENT, deployment, "ReplicaSetCreateError", message);
    }
    Err(problem)
}

#[cfg(test)]
mod tests;
