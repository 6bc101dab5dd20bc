//! The status of a Deployment: counts, and conditions with the reasons that `kubectl rollout status` knows.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::amounts;
use super::sets::{self, Sets};

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const PAUSED: &str = "DeploymentPaused";
const COMPLETE: &str = "NewReplicaSetAvailable";
const LATE: &str = "ProgressDeadlineExceeded";

pub(super) fn find<'s>(
    status: &'s DeploymentStatus,
    kind: &str,
) -> Option<&'s DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
        if conditions.is_empty() {
            status.conditions = None;
        }
    }
}

/// Sets a condition, unless it stands with the same status and reason.
fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(old) = find(status, &condition.type_) {
        if old.status == condition.status && old.reason == condition.reason {
            return;
        }
        if old.status == condition.status {
            condition.last_transition_time.clone_from(&old.last_transition_time);
        }
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

fn condition(
    kind: &str,
    value: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Sets the condition Progressing.
pub(super) fn progress(
    status: &mut DeploymentStatus,
    value: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    set(status, condition(PROGRESSING, value, reason, message, now));
}

/// How long the Deployment may take to get on, if it watches that.
pub(super) fn deadline(deployment: &Deployment) -> Option<i32> {
    let deadline = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (deadline != i32::MAX).then_some(deadline)
}

/// Says whether the Deployment is paused, for as long as it watches its progress and has not failed yet.
pub(super) fn note_pause(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    let reason = find(status, PROGRESSING).and_then(|it| it.reason.as_deref());
    if deadline(deployment).is_none() || reason == Some(LATE) {
        return;
    }
    let stands = reason == Some(PAUSED);
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    if paused && !stands {
        progress(status, "Unknown", PAUSED, "Deployment is paused".to_owned(), now);
    } else if !paused && stands {
        let message = "Deployment is resumed".to_owned();
        progress(status, "Unknown", "DeploymentResumed", message, now);
    }
}

/// Counts the pods of all ReplicaSets, and says whether enough are available. Conditions are those of `status`.
pub(super) fn count(
    deployment: &Deployment,
    sets: &Sets,
    status: &DeploymentStatus,
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |field: fn(&ReplicaSetStatus) -> i32| -> i32 {
        sets.all().filter_map(|set| set.status.as_ref()).map(field).sum()
    };
    let available = sum(|status| status.available_replicas.unwrap_or(0));
    let wanted: i32 = sets.all().map(|set| sets::replicas(set)).sum();
    let updated = sets.new.as_ref().and_then(|set| set.status.as_ref());
    let mut counted = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(|status| status.replicas)),
        updated_replicas: some(updated.map_or(0, |status| status.replicas)),
        ready_replicas: some(sum(|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((wanted - available).max(0)),
        terminating_replicas: status.terminating_replicas,
        collision_count: status.collision_count,
        conditions: status.conditions.clone(),
    };
    let enough = available >= amounts::replicas(deployment) - amounts::unavailable(deployment);
    let (value, reason, text) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut counted, condition(AVAILABLE, value, reason, text.to_owned(), now));
    counted
}

/// Counts of nothing are left out, as the API shows them.
pub(crate) fn some(number: i32) -> Option<i32> {
    (number != 0).then_some(number)
}

/// The status in the course of a rollout: counts, and how it gets on compared with `before`.
pub(super) fn roll(
    deployment: &Deployment,
    sets: &Sets,
    before: &DeploymentStatus,
    now: Timestamp,
) -> DeploymentStatus {
    let mut status = count(deployment, sets, before, now);
    let Some(deadline) = deadline(deployment) else {
        remove(&mut status, PROGRESSING);
        carry_failure(&mut status, sets);
        return status;
    };
    let current = find(&status, PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|it| it.reason.as_deref());
    let done = status.replicas == status.updated_replicas && reason == Some(COMPLETE);
    if !done {
        let subject = sets.new.as_ref().map_or_else(
            || format!("Deployment {:?}", deployment.name_any()),
            |set| format!("ReplicaSet {:?}", set.name_any()),
        );
        if is_complete(deployment, &status) {
            let message = format!("{subject} has successfully progressed.");
            progress(&mut status, "True", COMPLETE, message, now);
        } else if gets_on(before, &status) {
            let message = format!("{subject} is progressing.");
            let mut next = condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
            if let Some(current) = current.filter(|it| it.status == "True") {
                next.last_transition_time = current.last_transition_time;
            }
            // Each step counts from its own time on, though status and reason stay.
            remove(&mut status, PROGRESSING);
            set(&mut status, next);
        } else if is_late(&status, deadline, now) {
            let message = format!("{subject} has timed out progressing.");
            progress(&mut status, "False", LATE, message, now);
        }
    }
    carry_failure(&mut status, sets);
    status
}

/// Whether all pods are those of the template, and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = amounts::replicas(deployment);
    let all = [status.updated_replicas, status.replicas, status.available_replicas];
    all.iter().all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation >= deployment.metadata.generation
}

fn gets_on(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let number = |it: Option<i32>| it.unwrap_or(0);
    let old = |it: &DeploymentStatus| number(it.replicas) - number(it.updated_replicas);
    number(now.updated_replicas) > number(before.updated_replicas)
        || old(now) < old(before)
        || number(now.ready_replicas) > number(before.ready_replicas)
        || number(now.available_replicas) > number(before.available_replicas)
}

fn is_late(status: &DeploymentStatus, deadline: i32, now: Timestamp) -> bool {
    let Some(condition) = find(status, PROGRESSING) else { return false };
    match condition.reason.as_deref() {
        Some(COMPLETE) => false,
        Some(LATE) => true,
        _ => left(condition, deadline, now).is_some_and(|left| left.is_zero()),
    }
}

/// How long a Deployment may still take, counted from when it last got on.
fn left(condition: &DeploymentCondition, deadline: i32, now: Timestamp) -> Option<Duration> {
    let since = condition.last_update_time.as_ref()?.0;
    let deadline = Duration::from_secs(u64::from(deadline.unsigned_abs()));
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(deadline.saturating_sub(passed))
}

/// When to look whether the Deployment is late, if it can become so.
pub(super) fn look_again(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let condition = find(status, PROGRESSING)?;
    let over = matches!(condition.reason.as_deref(), Some(LATE | COMPLETE));
    if over || is_complete(deployment, status) {
        return None;
    }
    // Times in conditions are whole seconds.
    Some(left(condition, deadline(deployment)?, now)? + Duration::from_secs(1))
}

/// What keeps a ReplicaSet from making pods is shown at the Deployment.
fn carry_failure(status: &mut DeploymentStatus, sets: &Sets) {
    let failures = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == FAILURE).cloned()
    };
    let new = sets.new.as_ref().and_then(|set| failures(set));
    let failure = new.or_else(|| {
        sets.old.iter().filter(|set| sets::is_active(set)).find_map(|set| failures(set))
    });
    match failure {
        Some(failure) => set(
            status,
            DeploymentCondition {
                type_: failure.type_,
                status: failure.status,
                reason: failure.reason,
                message: failure.message,
                last_update_time: failure.last_transition_time.clone(),
                last_transition_time: failure.last_transition_time,
            },
        ),
        None => remove(status, FAILURE),
    }
}
