//! Events about pods, as a kubelet and a scheduler write them: what repeats is counted, not repeated.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

/// Events that wait to be written; what comes while so many wait is lost.
const WAITING: usize = 1024;
/// How many different ones are remembered to be counted.
const REMEMBERED: usize = 4096;

/// Where events are told. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    queue: mpsc::Sender<Told>,
}

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

#[derive(Debug)]
struct Told {
    about: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
    component: &'static str,
    at: Timestamp,
}

impl Events {
    /// Starts the task that writes events.
    pub(crate) fn start(client: Client, node: String) -> Self {
        let (queue, told) = mpsc::channel(WAITING);
        tokio::spawn(write_all(client, node, told));
        Self { queue }
    }

    /// Tells of a pod, or of one of its containers (`spec.containers{NAME}`).
    pub(crate) fn tell(
        &self,
        pod: &Pod,
        part: Option<String>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.send("kubelet", pod, part, (severity, reason, message.into()));
    }

    /// Tells of a pod what the scheduler did.
    pub(crate) fn scheduled(
        &self,
        pod: &Pod,
        severity: Severity,
        reason: &'static str,
        text: String,
    ) {
        self.send("default-scheduler", pod, None, (severity, reason, text));
    }

    fn send(
        &self,
        component: &'static str,
        pod: &Pod,
        part: Option<String>,
        (severity, reason, message): (Severity, &'static str, String),
    ) {
        let meta = pod.metadata.clone();
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            field_path: part,
        };
        let at = Timestamp::now();
        // Events are lost before pods wait for them.
        let _ = self.queue.try_send(Told { about, severity, reason, message, component, at });
    }
}

type Key = (Option<String>, Option<String>, Severity, &'static str, String);

async fn write_all(client: Client, node: String, mut told: mpsc::Receiver<Told>) {
    let mut known: HashMap<Key, (String, i32)> = HashMap::new();
    while let Some(one) = told.recv().await {
        let key = (
            one.about.uid.clone(),
            one.about.field_path.clone(),
            one.severity,
            one.reason,
            one.message.clone(),
        );
        let namespace = one.about.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        if let Some((name, count)) = known.get_mut(&key) {
            *count += 1;
            let patch = json!({"count": *count, "lastTimestamp": Time(one.at)});
            let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
            if patched.is_ok() {
                continue;
            }
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        match api.create(&PostParams::default(), &event(&one, &node, &namespace)).await {
            Ok(made) => {
                known.insert(key, (made.metadata.name.unwrap_or_default(), 1));
            }
            // Namespaces that end take no events.
            Err(error) => tracing::debug!(%error, reason = one.reason, "an event was not written"),
        }
    }
}

fn event(one: &Told, node: &str, namespace: &str) -> Event {
    let name = one.about.name.clone().unwrap_or_default();
    let unique = one.at.as_nanosecond();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{unique:x}")),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: one.about.clone(),
        reason: Some(one.reason.to_owned()),
        message: Some(one.message.clone()),
        type_: Some(format!("{:?}", one.severity)),
        count: Some(1),
        first_timestamp: Some(Time(one.at)),
        last_timestamp: Some(Time(one.at)),
        source: Some(EventSource {
            component: Some(one.component.to_owned()),
            host: (one.component == "kubelet").then(|| node.to_owned()),
        }),
        reporting_component: Some(one.component.to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Event::default()
    }
}
