//! A start after a run that was killed: the API tells of pods that take requests, and nothing runs. Until those pods are back, the
//! gateway does not listen: who asks meanwhile finds it as it was a moment before, closed, rather than half of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serin_control::Control;
use tokio::time::{Instant, timeout_at};

/// How long the gateway waits at most. What is not back by then may never be.
const LIMIT: Duration = Duration::from_secs(10);

/// The pods that took requests when the run before ended, by their uids, with the containers that did.
#[derive(Debug, Default)]
pub(super) struct Former(BTreeMap<String, Vec<String>>);

impl Former {
    /// Reads what the API tells, before the node tells otherwise.
    pub(super) async fn read(client: &Client) -> Result<Self, kube::Error> {
        let pods: Api<Pod> = Api::all(client.clone());
        let pods = pods.list(&ListParams::default()).await?;
        let ready = pods.items.iter().filter(|pod| is_ready(pod));
        Ok(Self(ready.map(|pod| (pod.uid().unwrap_or_default(), containers(pod))).collect()))
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until those that are still wanted take requests again, as far as they are endpoints of Services.
    pub(super) async fn are_back(&self, client: &Client, control: &Control) -> anyhow::Result<()> {
        let until = Instant::now() + LIMIT;
        let pods: Api<Pod> = Api::all(client.clone());
        let changes = watcher(pods.clone(), watcher::Config::default());
        let changes = changes.default_backoff().touched_objects();
        let mut changes = std::pin::pin!(changes);
        let addresses = loop {
            let now = pods.list(&ListParams::default()).await?.items;
            let missing: Vec<&Pod> = now.iter().filter(|pod| self.is_missing(pod)).collect();
            if missing.is_empty() {
                break addresses(now.iter().filter(|pod| self.was(pod)));
            }
            if timeout_at(until, changes.next()).await.is_err() {
                let names: Vec<String> = missing.iter().map(|pod| pod.name_any()).collect();
                let pods = names.join(", ");
                tracing::warn!(
                    pods,
                    "pods that took requests before are not back after {LIMIT:?}; the gateway opens without them"
                );
                return Ok(());
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        if let Err(addresses) = control.await_healthy(&addresses, left).await {
            tracing::warn!(
                ?addresses,
                "pods are back but their endpoints are not; the gateway opens without them"
            );
        }
        Ok(())
    }

    fn was(&self, pod: &Pod) -> bool {
        self.0.contains_key(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    /// Whether a pod is one of these and, as far as is told, not back yet: what ran before never is.
    fn is_missing(&self, pod: &Pod) -> bool {
        let before = self.0.get(pod.metadata.uid.as_deref().unwrap_or_default());
        before.is_some_and(|before| {
            !is_leaving(pod) && (!is_ready(pod) || *before == containers(pod))
        })
    }
}

/// Whether a pod has ended or is about to.
fn is_leaving(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the API tells that a pod takes requests.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    !is_leaving(pod) && conditions.any(|it| it.type_ == "Ready" && it.status == "True")
}

/// The ids of a pod's containers: one that is started again has another.
fn containers(pod: &Pod) -> Vec<String> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
    let ids = statuses.unwrap_or_default().iter().map(|it| it.container_id.clone());
    ids.map(Option::unwrap_or_default).collect()
}

fn addresses<'p>(pods: impl Iterator<Item = &'p Pod>) -> BTreeSet<IpAddr> {
    pods.filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, ready: &str, container: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": uid, "uid": uid},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{
                    "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "containerID": container,
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_back_when_other_containers_of_it_are_ready() {
        let former = Former(BTreeMap::from([("a".to_owned(), vec!["serin://1".to_owned()])]));
        let check = |pod: Pod, expect: bool| assert_eq!(former.is_missing(&pod), expect);
        check(pod("a", "True", "serin://1"), true);
        check(pod("a", "False", "serin://2"), true);
        check(pod("a", "True", "serin://2"), false);
        check(pod("b", "False", "serin://1"), false);
        let mut ended = pod("a", "False", "serin://1");
        ended.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        check(ended, false);
    }
}
