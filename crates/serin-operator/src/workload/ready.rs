//! When a workload is ready, pending or stuck, by Flagger's rules.

use serde_json::Value;
use serin_rollout::{Readiness, Span, Time};

use crate::json;

/// How long a workload may take, and how much of it must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long its pods may be missing.
    pub(crate) deadline: Span,
    /// Percent of the updated pods that must be available.
    pub(crate) percent: u32,
    /// Since when the release is in its phase.
    pub(crate) since: Time,
}

impl Patience {
    /// Rounded down, as a share of the pods that are up to date.
    fn enough(self, updated: u32) -> u32 {
        updated * self.percent.min(100) / 100
    }
}

/// A condition of a workload's status.
fn condition<'v>(object: &'v Value, kind: &str) -> Option<&'v Value> {
    json::items(object, "status/conditions").iter().find(|it| json::text(it, "type") == kind)
}

fn is_unseen(object: &Value) -> bool {
    let of = |path: &str| json::at(object, path).as_i64().unwrap_or(0);
    of("metadata/generation") > of("status/observedGeneration")
}

/// A time as Kubernetes writes it.
pub(crate) fn time(text: &str) -> Option<Time> {
    text.parse::<jiff::Timestamp>().ok().map(|it| Time(it.as_millisecond()))
}

/// Whether a Deployment is as it shall be.
pub(super) fn deployment(object: &Value, patience: &Patience, now: Time) -> Readiness {
    if is_unseen(object) {
        return Readiness::Pending("its change has not been taken up yet".to_owned());
    }
    let progress = condition(object, "Progressing");
    if progress.is_some_and(|it| json::text(it, "reason") == "ProgressDeadlineExceeded") {
        return Readiness::Stuck("it made no progress within its deadline".to_owned());
    }
    let wanted =
        json::at(object, "spec/replicas").as_u64().map_or(1, |it| u32::try_from(it).unwrap_or(0));
    let [all, updated, available] = ["replicas", "updatedReplicas", "availableReplicas"]
        .map(|it| json::count(object, &format!("status/{it}")));
    let enough = patience.enough(updated);
    let why = if updated < wanted {
        format!("{updated} of {wanted} pods are of the new revision")
    } else if all > updated {
        format!("{} pods of an older revision are still there", all - updated)
    } else if available < enough {
        format!("{available} of {enough} pods are available")
    } else {
        return Readiness::Ready;
    };
    let is_missing = progress.and_then(|_| condition(object, "Available")).filter(|it| {
        json::text(it, "status") == "False"
            && json::text(it, "reason") == "MinimumReplicasUnavailable"
    });
    let since = is_missing.and_then(|it| time(json::text(it, "lastUpdateTime")));
    if since.is_some_and(|since| since + patience.deadline < now) {
        return Readiness::Stuck(format!("{why}, for longer than {}", patience.deadline));
    }
    Readiness::Pending(why)
}

/// Whether a DaemonSet is as it shall be.
pub(super) fn daemon_set(object: &Value, patience: &Patience, now: Time) -> Readiness {
    if is_unseen(object) {
        return Readiness::Pending("its change has not been taken up yet".to_owned());
    }
    let [wanted, updated, available] =
        ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"]
            .map(|it| json::count(object, &format!("status/{it}")));
    let enough = patience.enough(wanted);
    let why = if updated < wanted {
        format!("{updated} of {wanted} pods are of the new revision")
    } else if available < enough {
        format!("{available} of {enough} pods are available")
    } else {
        return Readiness::Ready;
    };
    if patience.since + patience.deadline < now {
        return Readiness::Stuck(format!("{why}, for longer than {}", patience.deadline));
    }
    Readiness::Pending(why)
}
