//! Jobs: pods that run to their end. What to do is decided in [`plan`], and done here.

mod conditions;
mod indexes;
mod plan;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::ResourceExt as _;
use serde_json::json;

use self::plan::Plan;
use crate::error::Error;
use crate::objects::Key;
use crate::queue::Outcome;
use crate::world::World;
use crate::{owner, pods};

const COMPONENT: &str = "job-controller";
/// Holds a pod until its end was counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Whether the pod waits for its end to be counted.
pub(crate) fn is_tracked(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|it| it == TRACKING)
}

fn index(pod: &Pod) -> Option<i32> {
    pod.annotations().get(INDEX)?.parse().ok()
}

/// Looks at a Job.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let job = world.jobs.get(&key).filter(|job| job.metadata.deletion_timestamp.is_none());
    let Some(job) = job else { return let_go(world, &key).await };
    let Some(spec) = &job.spec else { return Ok(None) };
    let managed = spec.managed_by.as_deref().unwrap_or("kubernetes.io/job-controller");
    let Some(selector) =
        spec.selector.as_ref().filter(|_| managed == "kubernetes.io/job-controller")
    else {
        return Ok(None);
    };
    let uid = job.uid().unwrap_or_default();
    let mut candidates = world.pods.tagged(&owner::owned_by(&uid));
    candidates.extend(world.pods.tagged(&owner::orphan_in(&key.namespace)));
    let claim = owner::claim(&job.metadata, selector, candidates);
    let own = owner::take(&world.jobs, &*job, &world.pods, claim).await?;
    let plan = plan::plan(&job, &own, Timestamp::now());
    if plan.expired {
        world.jobs.delete(&job).await?;
        return Ok(None);
    }
    carry_out(world, &job, plan).await
}

async fn carry_out(world: &World, job: &Job, plan: Plan) -> Outcome {
    for pod in &plan.discard {
        untrack(world, pod).await?;
    }
    let stopped = plan.discard.iter().chain(&plan.stop);
    for deleted in join_all(stopped.map(|pod| delete(world, job, pod))).await {
        deleted?;
    }
    let created = create(world, job, &plan.create).await;
    if job.status.as_ref() != Some(&plan.status) {
        let mut changed = job.clone();
        changed.status = Some(plan.status);
        world.jobs.put_status(&changed).await?;
    }
    for (is_problem, reason, message) in plan.events {
        if is_problem {
            world.events.warning(COMPONENT, job, reason, message);
        } else {
            world.events.normal(COMPONENT, job, reason, message);
        }
    }
    for untracked in join_all(plan.count.iter().map(|pod| untrack(world, pod))).await {
        untracked?;
    }
    created?;
    Ok(plan.again)
}

/// The pods of a Job that is gone are not counted by anybody.
async fn let_go(world: &World, key: &Key) -> Outcome {
    for pod in world.pods.in_namespace(&key.namespace) {
        let owner = owner::controller(&pod.metadata);
        let of_job = owner.is_some_and(|owner| owner.kind == "Job" && owner.name == key.name);
        if of_job && is_tracked(&pod) {
            untrack(world, &pod).await?;
        }
    }
    Ok(None)
}

async fn untrack(world: &World, pod: &Arc<Pod>) -> Result<(), Error> {
    let key = Key::of(&**pod);
    // The pod as it is by now: others may have changed it in the same look.
    let pod = world.pods.get(&key).filter(|it| it.uid() == pod.uid());
    let Some(pod) = pod.filter(|pod| is_tracked(pod)) else { return Ok(()) };
    let left: Vec<_> = pod.finalizers().iter().filter(|it| *it != TRACKING).collect();
    let left = if left.is_empty() { json!(null) } else { json!(left) };
    match world.pods.merge(&pod, json!({"metadata": {"finalizers": left}})).await {
        Err(problem) if problem.is("NotFound") => Ok(()),
        other => other.map(drop),
    }
}

async fn delete(world: &World, job: &Job, pod: &Pod) -> Result<(), Error> {
    let deleted = world.pods.delete(pod).await;
    match &deleted {
        Ok(()) => {
            let message = format!("Deleted pod: {}", pod.name_any());
            world.events.normal(COMPONENT, job, "SuccessfulDelete", message);
        }
        Err(problem) => {
            let message = format!("Error deleting: {}", problem.reason());
            world.events.warning(COMPONENT, job, "FailedDelete", message);
        }
    }
    deleted
}

async fn create(world: &World, job: &Job, indexes: &[Option<i32>]) -> Result<(), Error> {
    let namespace = job.namespace().unwrap_or_default();
    let (mut rest, mut batch) = (indexes, 1);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(batch));
        let new: Vec<Pod> = now.iter().map(|index| pod(job, *index)).collect();
        for created in join_all(new.iter().map(|pod| world.pods.create(&namespace, pod))).await {
            match created {
                Ok(pod) => {
                    let message = format!("Created pod: {}", pod.name_any());
                    world.events.normal(COMPONENT, job, "SuccessfulCreate", message);
                }
                Err(problem) if problem.is_terminating() => return Ok(()),
                Err(problem) => {
                    let message = format!("Error creating: {}", problem.reason());
                    world.events.warning(COMPONENT, job, "FailedCreate", message);
                    return Err(problem);
                }
            }
        }
        rest = later;
        batch *= 2;
    }
    Ok(())
}

/// A pod of the Job, for one of its indexes if it has such.
fn pod(job: &Job, index: Option<i32>) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, owner::reference(job));
    let name = job.name_any();
    pod.metadata.finalizers.get_or_insert_default().push(TRACKING.to_owned());
    pod.metadata.generate_name = Some(format!("{name}-"));
    let Some(index) = index else { return pod };
    pod.metadata.generate_name = Some(format!("{name}-{index}-"));
    for map in [&mut pod.metadata.labels, &mut pod.metadata.annotations] {
        map.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    }
    let Some(spec) = &mut pod.spec else { return pod };
    spec.hostname.get_or_insert_with(|| format!("{name}-{index}"));
    let variable = EnvVar {
        name: "JOB_COMPLETION_INDEX".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: format!("metadata.annotations['{INDEX}']"),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let variables = container.env.get_or_insert_default();
        if !variables.iter().any(|it| it.name == variable.name) {
            variables.push(variable.clone());
        }
    }
    pod
}

/// The uids in a list.
fn uids(list: Option<&Vec<String>>) -> HashSet<&str> {
    list.into_iter().flatten().map(String::as_str).collect()
}
