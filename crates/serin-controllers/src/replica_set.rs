//! ReplicaSets: as many pods as are wanted, neither more nor fewer.

mod status;

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::error::Error;
use crate::objects::Key;
use crate::queue::Outcome;
use crate::world::World;
use crate::{owner, pods};

pub(crate) const COMPONENT: &str = "replicaset-controller";
/// How many pods are made or deleted in one look.
const BURST: usize = 500;

/// Looks at a ReplicaSet.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let Some(set) = world.replica_sets.get(&key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let uid = set.uid().unwrap_or_default();
    let mut candidates = world.pods.tagged(&owner::owned_by(&uid));
    candidates.extend(world.pods.tagged(&owner::orphan_in(&key.namespace)));
    candidates.retain(|pod| pods::is_active(pod));
    let claim = owner::claim(&set.metadata, &spec.selector, candidates);
    let own = owner::take(&world.replica_sets, &*set, &world.pods, claim).await?;
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let failure = if set.metadata.deletion_timestamp.is_some() {
        None
    } else if own.len() < wanted {
        let missing = (wanted - own.len()).min(BURST);
        create(world, &set, missing).await.err().map(|problem| ("FailedCreate", problem))
    } else if own.len() > wanted {
        let surplus = surplus(world, &set, &own, wanted);
        delete(world, &set, &surplus).await.err().map(|problem| ("FailedDelete", problem))
    } else {
        None
    };
    // The status counts what there was before: what was done comes back as a change.
    let (status, again) = status::status(
        &set,
        &own,
        failure.as_ref().map(|(reason, problem)| (*reason, problem.reason())),
        Timestamp::now(),
    );
    if set.status.as_ref() != Some(&status) {
        let mut changed = ReplicaSet::clone(&set);
        changed.status = Some(status);
        world.replica_sets.put_status(&changed).await?;
    }
    match failure {
        // A namespace that goes takes no new pods, and will not.
        Some((_, problem)) if problem.is_terminating() => Ok(None),
        Some((_, problem)) => Err(problem),
        None => Ok(again),
    }
}

/// Makes pods: one, then two, then four at once, so that a reason why none can be made is met once and not by all.
async fn create(world: &World, set: &ReplicaSet, count: usize) -> Result<(), Error> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, owner::reference(set));
    pod.metadata.generate_name = Some(format!("{}-", set.name_any()));
    let namespace = set.namespace().unwrap_or_default();
    let (mut done, mut batch) = (0, 1);
    while done < count {
        batch = batch.min(count - done);
        let made = (0..batch).map(|_| world.pods.create(&namespace, &pod));
        let mut failure = None;
        for made in join_all(made).await {
            match made {
                Ok(pod) => {
                    let message = format!("Created pod: {}", pod.name_any());
                    world.events.normal(COMPONENT, set, "SuccessfulCreate", message);
                }
                Err(problem) => failure = Some(problem),
            }
        }
        if let Some(problem) = failure {
            if !problem.is_terminating() {
                let message = format!("Error creating: {}", problem.reason());
                world.events.warning(COMPONENT, set, "FailedCreate", message);
            }
            return Err(problem);
        }
        done += batch;
        batch *= 2;
    }
    Ok(())
}

/// The pods that go.
fn surplus(world: &World, set: &ReplicaSet, own: &[Arc<Pod>], wanted: usize) -> Vec<Arc<Pod>> {
    let mut sorted = own.to_vec();
    if wanted > 0 {
        // Pods of the same Deployment crowd a node together, whatever their revision.
        let siblings = owner::controller(&set.metadata).map(|owner| {
            let sets = world.replica_sets.tagged(&owner::owned_by(&owner.uid));
            let uids = sets.into_iter().filter_map(|set| set.uid());
            uids.flat_map(|uid| world.pods.tagged(&owner::owned_by(&uid))).collect::<Vec<_>>()
        });
        let crowds = pods::per_node(siblings.as_deref().unwrap_or(own));
        pods::sort_for_deletion(&mut sorted, &crowds, Timestamp::now());
    }
    sorted.truncate((own.len() - wanted).min(BURST));
    sorted
}

async fn delete(world: &World, set: &ReplicaSet, surplus: &[Arc<Pod>]) -> Result<(), Error> {
    let deleted = join_all(surplus.iter().map(|pod| world.pods.delete(pod))).await;
    let mut result = Ok(());
    for (pod, deleted) in surplus.iter().zip(deleted) {
        match deleted {
            Ok(()) => {
                let message = format!("Deleted pod: {}", pod.name_any());
                world.events.normal(COMPONENT, set, "SuccessfulDelete", message);
            }
            Err(problem) => {
                let message = format!("Error deleting: {}", problem.reason());
                world.events.warning(COMPONENT, set, "FailedDelete", message);
                result = Err(problem);
            }
        }
    }
    result
}
