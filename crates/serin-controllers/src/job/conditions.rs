//! The conditions of a Job.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) const COMPLETE: &str = "Complete";
pub(super) const FAILED: &str = "Failed";
pub(super) const SUSPENDED: &str = "Suspended";
/// The Job will be complete when its last pods have ended.
pub(super) const SUCCESS: &str = "SuccessCriteriaMet";
/// The Job will have failed when its last pods have ended.
pub(super) const FAILURE: &str = "FailureTarget";

/// The condition of a kind, if it is true.
pub(super) fn holds<'s>(status: &'s JobStatus, kind: &str) -> Option<&'s JobCondition> {
    status.conditions.iter().flatten().find(|it| it.type_ == kind && it.status == "True")
}

pub(super) fn has(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|it| it.type_ == kind)
}

/// When the Job ended, if it did.
pub(super) fn finished(status: &JobStatus) -> Option<Timestamp> {
    let ended = holds(status, COMPLETE).or_else(|| holds(status, FAILED))?;
    ended.last_transition_time.as_ref().map(|time| time.0)
}

/// Sets a condition, in its place if it is there.
pub(super) fn set(
    status: &mut JobStatus,
    kind: &str,
    value: bool,
    (reason, message): (&str, &str),
    now: Timestamp,
) {
    let condition = JobCondition {
        type_: kind.to_owned(),
        status: if value { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    let all = status.conditions.get_or_insert_default();
    match all.iter_mut().find(|it| it.type_ == kind) {
        Some(old) if old.status == condition.status => {}
        Some(old) => *old = condition,
        None => all.push(condition),
    }
}
