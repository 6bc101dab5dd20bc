//! What the object of a pod tells of a node before this one.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::machine::{Ended, Observed, Seen, State};
use crate::moment::Moment;

/// What the object tells of runs before this node was started.
pub(super) fn recall(pod: &Pod, now: Moment) -> Seen {
    let mut seen = Seen::default();
    let Some(status) = &pod.status else { return seen };
    let shown_as = |time: Option<&Time>| time.map(|time| Moment::shown_as(time.0, now));
    seen.start_time = shown_as(status.start_time.as_ref());
    if status.phase.as_deref() == Some("Failed")
        && let Some(reason) = &status.reason
    {
        seen.failed = Some((reason.clone(), status.message.clone().unwrap_or_default()));
    }
    let all = status.init_container_statuses.iter().chain(&status.container_statuses);
    let all = all.chain(&status.ephemeral_container_statuses).flatten();
    for one in all {
        let id = one.container_id.clone().unwrap_or_default();
        let state = one.state.clone().unwrap_or_default();
        let last = one.last_state.clone().unwrap_or_default().terminated;
        let mut observed = Observed {
            restarts: one.restart_count,
            image: Some(one.image_id.clone()).filter(|image| !image.is_empty()),
            ..Observed::default()
        };
        let ended = |it: &ContainerStateTerminated| Ended {
            code: it.exit_code,
            reason: it.reason.clone().unwrap_or_default(),
            message: it.message.clone(),
            started: shown_as(it.started_at.as_ref()).unwrap_or(now),
            finished: shown_as(it.finished_at.as_ref()).unwrap_or(now),
            id: it.container_id.clone().unwrap_or_default(),
        };
        observed.last = last.as_ref().map(ended);
        if let Some(terminated) = &state.terminated {
            observed.state = State::Ended(ended(terminated));
        } else if let Some(running) = &state.running {
            observed.state = State::Ended(Ended {
                code: 255,
                reason: "Unknown".to_owned(),
                message: None,
                started: shown_as(running.started_at.as_ref()).unwrap_or(now),
                finished: now,
                id,
            });
        } else if let Some(last) = observed.last.take() {
            // It waited for its restart.
            observed.state = State::Ended(last);
        }
        seen.containers.insert(one.name.clone(), observed);
    }
    // Sidecars and init containers have to be seen again, except where the pod is over.
    seen.initialized = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    seen
}

/// The address that a pod had, if it needs one still.
pub(crate) fn former_address(pod: &Pod) -> Option<Ipv4Addr> {
    let status = pod.status.as_ref()?;
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    status.pod_ip.as_deref().filter(|_| !is_over)?.parse().ok()
}
