//! What to do about a CronJob, as a function of what there is and the time (`syncCronJob`).

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::schedule::{Schedule, time_zone};

/// How many times may be missed before somebody is told that they are many.
const MANY: usize = 100;

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Jobs that are over and of which there are enough.
    pub(super) forget: Vec<Arc<Job>>,
    /// Jobs in whose place another comes.
    pub(super) replace: Vec<Arc<Job>>,
    /// The time that a Job is to be made for.
    pub(super) start: Option<Timestamp>,
    pub(super) status: CronJobStatus,
    /// Whether each is a problem, its reason and its message.
    pub(super) events: Vec<(bool, &'static str, String)>,
    pub(super) again: Option<Duration>,
}

/// Whether a Job has ended, and well.
pub(super) fn ended(job: &Job) -> Option<bool> {
    let conditions = job.status.as_ref().and_then(|it| it.conditions.as_ref());
    let has = |kind: &str| {
        conditions.into_iter().flatten().any(|it| it.type_ == kind && it.status == "True")
    };
    match (has("Complete"), has("Failed")) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// The name of the Job for a time.
pub(super) fn job_name(cron_job: &CronJob, time: Timestamp) -> String {
    format!("{}-{}", cron_job.name_any(), time.as_second() / 60)
}

/// `jobs`: those that the CronJob controls.
pub(super) fn plan(cron_job: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let Some(spec) = &cron_job.spec else { return Plan::default() };
    let mut plan = Plan {
        status: cron_job.status.clone().unwrap_or_default(),
        forget: forgotten(spec, jobs),
        ..Plan::default()
    };
    follow_active(&mut plan, jobs);
    if spec.suspend == Some(true) {
        return plan;
    }
    let schedule = match schedule(spec) {
        Ok(schedule) => schedule,
        Err((reason, message)) => {
            plan.events.push((true, reason, message));
            return plan;
        }
    };
    plan.again = schedule.after(now).map(|next| {
        // A moment later, so that it is there.
        let wait = next.duration_since(now) + SignedDuration::from_millis(100);
        Duration::try_from(wait).unwrap_or_default()
    });
    let Some(time) = due(cron_job, spec, &schedule, now, &mut plan) else { return plan };
    start(cron_job, spec, jobs, time, &mut plan);
    plan
}

fn schedule(spec: &CronJobSpec) -> Result<Schedule, (&'static str, String)> {
    let zone = match spec.time_zone.as_deref() {
        None | Some("") => TimeZone::UTC,
        Some(name) => time_zone(name).ok_or_else(|| {
            ("UnknownTimeZone", format!("invalid timeZone: {name:?}: unknown time zone {name}"))
        })?,
    };
    Schedule::parse(&spec.schedule, zone).map_err(|error| {
        ("UnparseableSchedule", format!("unparseable schedule: {:?} : {error}", spec.schedule))
    })
}

/// Jobs that have ended leave the list of active ones.
fn follow_active(plan: &mut Plan, jobs: &[Arc<Job>]) {
    let mut active = Vec::new();
    for reference in plan.status.active.take().unwrap_or_default() {
        let name = reference.name.clone().unwrap_or_default();
        let job = jobs.iter().find(|job| job.uid() == reference.uid);
        match job.map(|job| (job, ended(job))) {
            Some((_, None)) => active.push(reference),
            Some((job, Some(is_well))) => {
                let message = format!(
                    "Saw completed job: {name}, condition: {}",
                    if is_well { "Complete" } else { "Failed" }
                );
                plan.events.push((false, "SawCompletedJob", message));
                let time = job.status.as_ref().and_then(|it| it.completion_time.clone());
                if is_well
                    && time.as_ref().map(|it| it.0)
                        > plan.status.last_successful_time.as_ref().map(|it| it.0)
                {
                    plan.status.last_successful_time = time;
                }
            }
            None => {
                let message = format!("Active job went missing: {name}");
                plan.events.push((false, "MissingJob", message));
            }
        }
    }
    plan.status.active = Some(active).filter(|it| !it.is_empty());
}

/// The latest time that has come and for which no Job was made.
fn due(
    cron_job: &CronJob,
    spec: &CronJobSpec,
    schedule: &Schedule,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<Timestamp> {
    let created = cron_job.metadata.creation_timestamp.as_ref().map_or(now, |it| it.0);
    let last = plan.status.last_schedule_time.as_ref().map_or(created, |it| it.0);
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    let earliest = deadline.and_then(|it| now.checked_sub(it).ok()).map_or(last, |it| it.max(last));
    let (mut missed, mut time) = (0, None);
    let mut next = schedule.after(earliest).filter(|it| *it <= now);
    while let Some(found) = next {
        (missed, time) = (missed + 1, Some(found));
        if missed > MANY {
            // Far behind: the latest is found from just before now, in growing steps.
            time = latest(schedule, found, now).or(time);
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            plan.events.push((true, "TooManyMissedTimes", message.to_owned()));
            break;
        }
        next = schedule.after(found).filter(|it| *it <= now);
    }
    time
}

/// The latest time between two.
fn latest(schedule: &Schedule, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let mut back = SignedDuration::from_mins(1);
    loop {
        let begin = now.checked_sub(back).ok().filter(|it| *it > from).unwrap_or(from);
        let mut found = schedule.after(begin).filter(|it| *it <= now);
        if found.is_none() && begin > from {
            back = back.saturating_mul(2);
            continue;
        }
        while let Some(next) = found.and_then(|it| schedule.after(it)).filter(|it| *it <= now) {
            found = Some(next);
        }
        return found;
    }
}

fn start(
    cron_job: &CronJob,
    spec: &CronJobSpec,
    jobs: &[Arc<Job>],
    time: Timestamp,
    plan: &mut Plan,
) {
    let name = job_name(cron_job, time);
    if jobs.iter().any(|job| job.name_any() == name) {
        return;
    }
    let active = plan.status.active.clone().unwrap_or_default();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push((false, "JobAlreadyActive", message.to_owned()));
            return;
        }
        Some("Replace") => {
            let is_active = |job: &&Arc<Job>| active.iter().any(|it| it.uid == job.uid());
            plan.replace = jobs.iter().filter(is_active).cloned().collect();
            plan.status.active = None;
        }
        _ => {}
    }
    plan.start = Some(time);
    plan.status.last_schedule_time = Some(Time(time));
}

/// Of the Jobs that have ended, those that are older than the newest few.
fn forgotten(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let limits = [
        (true, spec.successful_jobs_history_limit.unwrap_or(3)),
        (false, spec.failed_jobs_history_limit.unwrap_or(1)),
    ];
    let mut forgotten = Vec::new();
    for (is_well, limit) in limits {
        let mut over: Vec<_> = jobs.iter().filter(|job| ended(job) == Some(is_well)).collect();
        over.sort_by_key(|job| {
            let started = job.status.as_ref().and_then(|it| it.start_time.as_ref().map(|it| it.0));
            (Reverse(started), job.name_any())
        });
        forgotten.extend(over.into_iter().skip(usize::try_from(limit).unwrap_or(0)).cloned());
    }
    forgotten
}

/// A reference to a Job that was made.
pub(super) fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        resource_version: job.metadata.resource_version.clone(),
        uid: job.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
