//! The scheduler of a cluster with one node: a pod that fits is bound to it, one that does not is told why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

use crate::events::Severity;
use crate::node::Shared;
use crate::pod::identity;

mod fit;

/// How often pods that did not fit are tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What happened to a pod.
pub(crate) enum Change {
    /// It is like this.
    Is(Arc<Pod>),
    /// It is gone.
    Gone(Box<Pod>),
}

/// Starts the task; it ends with the sender.
pub(crate) fn start(shared: Arc<Shared>) -> mpsc::UnboundedSender<Change> {
    let (changes, received) = mpsc::unbounded_channel();
    tokio::spawn(run(shared, received));
    changes
}

async fn run(shared: Arc<Shared>, mut changes: mpsc::UnboundedReceiver<Change>) {
    let mut bound: BTreeMap<String, Arc<Pod>> = BTreeMap::new();
    let mut waiting: BTreeMap<String, Arc<Pod>> = BTreeMap::new();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut again = tokio::time::interval(AGAIN);
    loop {
        tokio::select! {
            change = changes.recv() => {
                let Some(change) = change else { return };
                note(&mut bound, &mut waiting, change);
                while let Ok(change) = changes.try_recv() {
                    note(&mut bound, &mut waiting, change);
                }
            }
            _ = again.tick() => {}
        }
        told.retain(|uid, _| waiting.contains_key(uid));
        if waiting.is_empty() {
            continue;
        }
        let nodes: Api<Node> = Api::all(shared.settings.client.clone());
        let Ok(Some(node)) = nodes.get_opt(&shared.settings.name).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            again.reset_immediately();
            continue;
        };
        for (uid, pod) in std::mem::take(&mut waiting) {
            let reasons = fit::problems(&pod, &node, bound.values().map(Arc::as_ref));
            if reasons.is_empty() {
                match bind(&shared, &pod).await {
                    Ok(()) => {
                        told.remove(&uid);
                        bound.insert(uid, pod);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a pod was not bound");
                        waiting.insert(uid, pod);
                    }
                }
                continue;
            }
            let message = fit::message(&reasons);
            if told.get(&uid) != Some(&message) {
                refuse(&shared, &pod, &message).await;
                told.insert(uid.clone(), message);
            }
            waiting.insert(uid, pod);
        }
    }
}

fn note(
    bound: &mut BTreeMap<String, Arc<Pod>>,
    waiting: &mut BTreeMap<String, Arc<Pod>>,
    change: Change,
) {
    let (pod, gone) = match change {
        Change::Is(pod) => (pod, false),
        Change::Gone(pod) => (Arc::new(*pod), true),
    };
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let is_bound = spec.is_some_and(|spec| spec.node_name.is_some());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let over = gone || matches!(phase, Some("Succeeded" | "Failed"));
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref());
    let ours = matches!(scheduler, None | Some("default-scheduler"));
    let gated = spec.and_then(|spec| spec.scheduling_gates.as_ref());
    let gated = gated.is_some_and(|gates| !gates.is_empty());
    let leaves = pod.metadata.deletion_timestamp.is_some();
    if is_bound || over {
        waiting.remove(&uid);
    } else if ours && !gated && !leaves && !bound.contains_key(&uid) {
        waiting.insert(uid.clone(), Arc::clone(&pod));
    } else if leaves {
        waiting.remove(&uid);
    }
    if over {
        bound.remove(&uid);
    } else if is_bound {
        bound.insert(uid, pod);
    }
}

async fn bind(shared: &Shared, pod: &Pod) -> kube::Result<()> {
    let (namespace, name, uid) = identity(pod);
    let api: Api<Pod> = Api::namespaced(shared.settings.client.clone(), namespace);
    let node = &shared.settings.name;
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.clone()),
            ..ObjectReference::default()
        },
    };
    let bound: kube::Result<serde_json::Value> =
        api.create_subresource("binding", name, &PostParams::default(), &binding).await;
    bound?;
    let message = format!("Successfully assigned {namespace}/{name} to {node}");
    shared.events.scheduled(pod, Severity::Normal, "Scheduled", message);
    Ok(())
}

async fn refuse(shared: &Shared, pod: &Pod, message: &str) {
    shared.events.scheduled(pod, Severity::Warning, "FailedScheduling", message.to_owned());
    let (namespace, name, _) = identity(pod);
    let api: Api<Pod> = Api::namespaced(shared.settings.client.clone(), namespace);
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": format!("{:.0}", Timestamp::now()),
    });
    let patch = Patch::Merge(json!({"status": {"phase": "Pending", "conditions": [condition]}}));
    if let Err(error) = api.patch_status(name, &PatchParams::default(), &patch).await {
        tracing::debug!(%error, "a pod's condition was not written");
    }
}
