//! CronJobs: a Job whenever its time has come. What to do is decided in [`plan`], and done here.

mod plan;
mod schedule;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt as _;

use self::plan::Plan;
use crate::error::Error;
use crate::objects::Key;
use crate::owner;
use crate::queue::Outcome;
use crate::world::World;

const COMPONENT: &str = "cronjob-controller";
/// Tells for which time a Job was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Looks at a CronJob.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let found = world.cron_jobs.get(&key);
    let Some(cron_job) = found.filter(|it| it.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    let jobs = world.jobs.tagged(&owner::owned_by(&cron_job.uid().unwrap_or_default()));
    let plan = plan::plan(&cron_job, &jobs, Timestamp::now());
    carry_out(world, &cron_job, plan).await
}

async fn carry_out(world: &World, cron_job: &CronJob, plan: Plan) -> Outcome {
    for (is_problem, reason, message) in plan.events {
        if is_problem {
            world.events.warning(COMPONENT, cron_job, reason, message);
        } else {
            world.events.normal(COMPONENT, cron_job, reason, message);
        }
    }
    for job in plan.forget.iter().chain(&plan.replace) {
        world.jobs.delete(job).await?;
        let message = format!("Deleted job {}", job.name_any());
        world.events.normal(COMPONENT, cron_job, "SuccessfulDelete", message);
    }
    let mut status = plan.status;
    if let Some(time) = plan.start {
        let job = make(world, cron_job, time).await?;
        status.active.get_or_insert_default().push(plan::reference(&job));
    }
    if cron_job.status.as_ref() != Some(&status) {
        let mut changed = cron_job.clone();
        changed.status = Some(status);
        world.cron_jobs.put_status(&changed).await?;
    }
    Ok(plan.again)
}

/// Makes the Job for a time. Where it is there already, an earlier look was interrupted before it could say so.
async fn make(world: &World, cron_job: &CronJob, time: Timestamp) -> Result<Arc<Job>, Error> {
    let namespace = cron_job.namespace().unwrap_or_default();
    let template = cron_job.spec.as_ref().map(|it| it.job_template.clone()).unwrap_or_default();
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name = Some(plan::job_name(cron_job, time));
    metadata.generate_name = None;
    metadata.namespace = Some(namespace.clone());
    metadata.owner_references = Some(vec![owner::reference(cron_job)]);
    metadata.annotations.get_or_insert_default().insert(SCHEDULED.to_owned(), time.to_string());
    let job = Job { metadata, spec: template.spec, ..Job::default() };
    match world.jobs.create(&namespace, &job).await {
        Ok(made) => {
            let message = format!("Created job {}", made.name_any());
            world.events.normal(COMPONENT, cron_job, "SuccessfulCreate", message);
            Ok(made)
        }
        Err(problem) if problem.is("AlreadyExists") => {
            let found = world.jobs.fetch(&Key::of(&job)).await?;
            found.ok_or(problem)
        }
        Err(problem) => {
            let message = format!("Error creating job: {}", problem.reason());
            world.events.warning(COMPONENT, cron_job, "FailedCreate", message);
            Err(problem)
        }
    }
}
