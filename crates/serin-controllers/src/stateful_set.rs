//! StatefulSets: pods with a name, an order and volumes of their own. What to do is decided in [`plan`], and done here.

mod plan;
mod pod;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use crate::objects::Key;
use crate::owner;
use crate::queue::Outcome;
use crate::revisions::{self, Subject};
use crate::world::World;

const COMPONENT: &str = "statefulset-controller";

/// Looks at a StatefulSet.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let Some(set) = world.stateful_sets.get(&key) else { return Ok(None) };
    let Some(spec) = set.spec.as_ref().filter(|_| set.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    let uid = set.uid().unwrap_or_default();
    let mut candidates = world.pods.tagged(&owner::owned_by(&uid));
    candidates.extend(world.pods.tagged(&owner::orphan_in(&key.namespace)));
    candidates.retain(|pod| pod::ordinal(&set, pod).is_some());
    let claim = owner::claim(&set.metadata, &spec.selector, candidates);
    let pods = owner::take(&world.stateful_sets, &*set, &world.pods, claim).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count);
    let subject = Subject { selector: &spec.selector, template: &spec.template, collisions };
    let history = revisions::sync(world, &world.stateful_sets, &*set, subject).await?;
    let plan = plan::plan(&set, &pods, &history.current.name_any(), Timestamp::now());
    for pod in &plan.delete {
        world.pods.delete(pod).await?;
        let message =
            format!("delete Pod {} in StatefulSet {} successful", pod.name_any(), set.name_any());
        world.events.normal(COMPONENT, &*set, "SuccessfulDelete", message);
    }
    for (ordinal, revision) in &plan.create {
        // A revision that nobody knows any more cannot be made again: then it is the latest.
        let old = history.others.iter().find(|it| it.name_any() == *revision);
        let template = old.and_then(|it| revisions::template(it));
        let revision = old.filter(|_| template.is_some()).unwrap_or(&history.current);
        let template = template.unwrap_or_else(|| spec.template.clone());
        create(world, &set, *ordinal, &template, &revision.name_any()).await?;
    }
    let names = pods.iter().filter_map(|pod| pod.labels().get(revisions::REVISION).cloned());
    let mut in_use: BTreeSet<String> = names.collect();
    in_use.extend(plan.status.current_revision.clone());
    revisions::clean(world, &history, &in_use, spec.revision_history_limit).await?;
    if set.status.as_ref() != Some(&plan.status) {
        let mut changed = StatefulSet::clone(&set);
        changed.status = Some(plan.status);
        world.stateful_sets.put_status(&changed).await?;
    }
    Ok(plan.again)
}

async fn create(
    world: &World,
    set: &StatefulSet,
    ordinal: i32,
    template: &k8s_openapi::api::core::v1::PodTemplateSpec,
    revision: &str,
) -> Result<(), crate::error::Error> {
    let namespace = set.namespace().unwrap_or_default();
    for claim in pod::claims(set, ordinal) {
        match world.claims().create(&namespace, &claim).await {
            Err(problem) if problem.is("AlreadyExists") => {}
            other => drop(other?),
        }
    }
    let pod = pod::make(set, ordinal, template, revision);
    let (name, owner) = (pod.name_any(), set.name_any());
    match world.pods.create(&namespace, &pod).await {
        Ok(_) => {
            let message = format!("create Pod {name} in StatefulSet {owner} successful");
            world.events.normal(COMPONENT, set, "SuccessfulCreate", message);
            Ok(())
        }
        Err(problem) if problem.is_terminating() => Ok(()),
        Err(problem) => {
            let why = problem.reason();
            let message = format!("create Pod {name} in StatefulSet {owner} failed error: {why}");
            world.events.warning(COMPONENT, set, "FailedCreate", message);
            Err(problem)
        }
    }
}
