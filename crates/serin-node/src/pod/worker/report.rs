//! Telling the API how a pod is: the last status wins, and what fails is tried again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::identity;
use crate::node::Shared;

/// How long to wait after the API did not answer.
const PAUSE: Duration = Duration::from_millis(500);

enum Message {
    Status(Box<PodStatus>),
    Remove,
}

/// The task that tells of one pod.
pub(super) struct Reporter {
    queue: mpsc::UnboundedSender<Message>,
    last: Option<PodStatus>,
    removed: bool,
    task: JoinHandle<()>,
}

impl Reporter {
    pub(super) fn start(shared: &Arc<Shared>, pod: &Pod) -> Self {
        let (queue, messages) = mpsc::unbounded_channel();
        let (namespace, name, uid) = identity(pod);
        let api = Api::namespaced(shared.settings.client.clone(), namespace);
        let task = tokio::spawn(tell_all(api, name.to_owned(), uid.to_owned(), messages));
        Self { queue, last: pod.status.clone(), removed: false, task }
    }

    /// Tells a status, if it is another one than before.
    pub(super) fn tell(&mut self, status: PodStatus) {
        if self.last.as_ref() != Some(&status) {
            self.last = Some(status.clone());
            // The task ends only when the object is gone.
            let _ = self.queue.send(Message::Status(Box::new(status)));
        }
    }

    /// Removes the object: everything has ended.
    pub(super) fn remove(&mut self) {
        if !std::mem::replace(&mut self.removed, true) {
            let _ = self.queue.send(Message::Remove);
        }
    }

    /// Waits until all is told.
    pub(super) async fn end(self) {
        drop(self.queue);
        // A panic in it was reported where it happened.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.task).await;
    }
}

async fn tell_all(
    api: Api<Pod>,
    name: String,
    uid: String,
    mut messages: mpsc::UnboundedReceiver<Message>,
) {
    while let Some(mut message) = messages.recv().await {
        // Of what waits only the last status counts.
        while matches!(message, Message::Status(_)) {
            match messages.try_recv() {
                Ok(next) => {
                    if let (Message::Remove, Message::Status(status)) = (&next, &message) {
                        patch(&api, &name, &uid, status).await;
                    }
                    message = next;
                }
                Err(_) => break,
            }
        }
        let go_on = match message {
            Message::Status(status) => patch(&api, &name, &uid, &status).await,
            Message::Remove => remove(&api, &name, &uid).await,
        };
        if !go_on {
            return;
        }
    }
}

/// Writes a status; false where the object is gone.
async fn patch(api: &Api<Pod>, name: &str, uid: &str, status: &PodStatus) -> bool {
    let patch = Patch::Merge(json!({"metadata": {"uid": uid}, "status": status}));
    loop {
        match api.patch_status(name, &PatchParams::default(), &patch).await {
            Ok(_) => return true,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {
                tracing::debug!(name, error = %status, "the status of a pod is not taken");
                return status.code != 404;
            }
            Err(error) => {
                tracing::debug!(name, %error, "the status of a pod was not written");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Deletes the object at once; false, as it is gone then.
async fn remove(api: &Api<Pod>, name: &str, uid: &str) -> bool {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    loop {
        match api.delete(name, &params).await {
            Ok(_) => return false,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return false,
            Err(error) => {
                tracing::debug!(name, %error, "a pod was not removed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
