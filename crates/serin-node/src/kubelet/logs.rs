//! `/containerLogs`.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{Answer, Query, text};
use crate::logs::{self, Ask};
use crate::node::Shared;
use crate::pod::identity;

/// The log of a container.
pub(super) fn answer(shared: &Shared, pod: &Pod, container: &str, query: &Query) -> Answer {
    let bad = |message: String| text(StatusCode::BAD_REQUEST, &message);
    let ask = match ask(query) {
        Ok(ask) => ask,
        Err(message) => return bad(message),
    };
    let run = match run(pod, container, query.flag("previous")) {
        Ok(run) => run,
        Err(message) => return bad(message),
    };
    let (_, _, uid) = identity(pod);
    let folder = logs::folder(&shared.settings.data_dir, identity(pod), container);
    let live = shared.running.place(uid, container).filter(|_| !query.flag("previous"));
    let growth = live.and_then(|place| place.container.log.growth());
    match logs::read(&folder, run, ask, growth) {
        Ok(pieces) => {
            let frames = pieces.filter_map(|piece: Bytes| async move {
                (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
            });
            let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
            let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
            answer.headers_mut().insert(http::header::CONTENT_TYPE, plain);
            answer
        }
        Err(error) => {
            let message = format!("cannot read the log of container {container:?}: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, &message)
        }
    }
}

fn ask(query: &Query) -> Result<Ask, String> {
    let number = |name: &str| match query.text(name) {
        None => Ok(None),
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| format!("{name} is no number")),
    };
    let since = match (number("sinceSeconds")?, query.text("sinceTime")) {
        (Some(seconds), _) => {
            let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            Timestamp::now().checked_sub(seconds).ok()
        }
        (None, Some(time)) => Some(time.parse().map_err(|_| "sinceTime is no time".to_owned())?),
        (None, None) => None,
    };
    Ok(Ask {
        follow: query.flag("follow"),
        tail: number("tailLines")?,
        since,
        timestamps: query.flag("timestamps"),
        limit: number("limitBytes")?,
        stream: match query.text("stream") {
            Some("Stdout") => Some("stdout"),
            Some("Stderr") => Some("stderr"),
            _ => None,
        },
    })
}

/// Which run of a container is meant.
fn run(pod: &Pod, container: &str, previous: bool) -> Result<i32, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref();
    let all = |list: Option<&Vec<ContainerStatus>>| list.cloned().unwrap_or_default();
    let statuses = [
        all(status.and_then(|status| status.init_container_statuses.as_ref())),
        all(status.and_then(|status| status.container_statuses.as_ref())),
        all(status.and_then(|status| status.ephemeral_container_statuses.as_ref())),
    ]
    .concat();
    let waits = |reason: &str| {
        format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}")
    };
    let Some(one) = statuses.iter().find(|status| status.name == container) else {
        return Err(waits("ContainerCreating"));
    };
    let state = one.state.clone().unwrap_or_default();
    let last = one.last_state.clone().unwrap_or_default().terminated;
    match (&state.waiting, last, previous) {
        // It waits for its restart: the last run is the one that counts.
        (Some(_), Some(_), _) => Ok(one.restart_count),
        (Some(waiting), None, false) => {
            Err(waits(waiting.reason.as_deref().unwrap_or("ContainerCreating")))
        }
        (None, _, false) => Ok(one.restart_count),
        (None, Some(_), true) if one.restart_count > 0 => Ok(one.restart_count - 1),
        _ => Err(format!(
            "previous terminated container \"{container}\" in pod \"{name}\" not found"
        )),
    }
}
