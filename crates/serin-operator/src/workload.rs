//! Workloads: what revision they are of, which configuration they use, and whether their pods are ready.

mod ready;
mod references;
mod service;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serin_rollout::{Plan, Readiness, Time, Workload, configs};

use crate::cluster::Cluster;
use crate::json;
use crate::kind::Kind;

pub(crate) use ready::Patience;
pub(crate) use references::{Reference, references, rename};
pub(crate) use serin_rollout::primary_name;
pub(crate) use service::{essence, observe_service};

/// On a primary: the revision that it is a copy of.
pub(crate) const COPIED: &str = "serin.dev/copied-revision";
/// The node label that no node has: a DaemonSet that asks for it has no pods.
pub(crate) const NOWHERE: &str = "flagger.app/scale-to-zero";
/// Labels by which pods are selected, the first that a workload uses.
const SELECTORS: [&str; 3] = ["app", "name", "app.kubernetes.io/name"];

/// The kind of a plan's workload; `None` if releases do not know it.
pub(crate) fn kind(plan: &Plan) -> Option<Kind> {
    match plan.kind.as_str() {
        "Deployment" => Some(Kind::Deployment),
        "DaemonSet" => Some(Kind::DaemonSet),
        "Service" => Some(Kind::Service),
        _ => None,
    }
}

/// The label by which a workload's pods are selected, and its value.
pub(crate) fn selector(workload: &Value) -> Option<(String, String)> {
    let labels = json::texts(workload, "spec/selector/matchLabels");
    let key = SELECTORS.iter().find(|key| labels.contains_key(**key))?;
    labels.get(*key).map(|value| ((*key).to_owned(), value.clone()))
}

/// Checksums of the configuration that a workload uses and that is tracked.
pub(crate) fn checksums(cluster: &Cluster, workload: &Value) -> BTreeMap<String, String> {
    let namespace = json::namespace(workload);
    let mut sums = BTreeMap::new();
    for reference in references(json::at(workload, "spec/template/spec")) {
        if let Some(object) = tracked(cluster, namespace, &reference) {
            sums.insert(reference.key(), json::text(&object, "checksum").to_owned());
        }
    }
    sums
}

/// The object behind a reference, if it is there and changes of it count.
pub(crate) fn tracked(
    cluster: &Cluster,
    namespace: &str,
    reference: &Reference,
) -> Option<std::sync::Arc<Value>> {
    let object = cluster.get(reference.kind, namespace, &reference.name)?;
    let kind = json::text(&object, "type");
    let is_plain = reference.kind == Kind::ConfigMap
        || matches!(
            kind,
            "" | "Opaque"
                | "kubernetes.io/basic-auth"
                | "kubernetes.io/ssh-auth"
                | "kubernetes.io/tls"
        );
    (is_plain && configs::is_tracked(&json::texts(&object, "metadata/annotations")))
        .then_some(object)
}

/// The revision of a workload: what its pods are made of, with their configuration.
pub(crate) fn revision(workload: &Value, configs: &BTreeMap<String, String>) -> String {
    let mut template = json::at(workload, "spec/template").clone();
    unrest(&mut template);
    json::hash(&json!([template, configs]))
}

/// Takes away from a template what keeps a DaemonSet from having pods.
pub(crate) fn unrest(template: &mut Value) {
    let Some(map) = template.pointer_mut("/spec/nodeSelector").and_then(Value::as_object_mut)
    else {
        return;
    };
    map.remove(NOWHERE);
    if map.is_empty() {
        json::remove(template, "spec/nodeSelector");
    }
}

/// Whether a DaemonSet rests.
pub(crate) fn rests(workload: &Value) -> bool {
    json::at(workload, "spec/template/spec/nodeSelector").get(NOWHERE).is_some()
}

/// The workload whose changes are released, as it is.
pub(crate) fn observe_target(
    cluster: &Cluster,
    plan: &Plan,
    patience: &Patience,
    now: Time,
) -> Option<Workload> {
    let kind = kind(plan)?;
    let object = cluster.get(kind, &plan.namespace, &plan.target)?;
    if kind == Kind::Service {
        return Some(Workload { revision: service::revision(&object), ..Workload::default() });
    }
    let configs = checksums(cluster, &object);
    let revision = revision(&object, &configs);
    Some(Workload { revision, configs, ..pods(kind, &object, patience, now) })
}

/// Its primary, as it is. `unknown` is the revision of one that was copied by another controller.
pub(crate) fn observe_primary(
    cluster: &Cluster,
    plan: &Plan,
    patience: &Patience,
    unknown: &str,
    now: Time,
) -> Option<Workload> {
    let kind = kind(plan)?;
    let object = cluster.get(kind, &plan.namespace, &primary_name(&plan.target))?;
    let annotations = json::texts(&object, "metadata/annotations");
    let revision = annotations.get(COPIED).map_or(unknown, String::as_str).to_owned();
    Some(Workload { revision, ..pods(kind, &object, patience, now) })
}

fn pods(kind: Kind, object: &Value, patience: &Patience, now: Time) -> Workload {
    let (replicas, ready_pods, readiness) = if kind == Kind::DaemonSet {
        let wanted =
            if rests(object) { 0 } else { json::count(object, "status/desiredNumberScheduled") };
        let readiness = ready::daemon_set(object, patience, now);
        (wanted, json::count(object, "status/numberReady"), readiness)
    } else {
        let wanted = json::at(object, "spec/replicas")
            .as_u64()
            .map_or(1, |it| u32::try_from(it).unwrap_or(0));
        let readiness = ready::deployment(object, patience, now);
        (wanted, json::count(object, "status/readyReplicas"), readiness)
    };
    Workload { replicas, ready_pods, readiness, ..Workload::default() }
}

/// How many pods there are, and how many of them are ready.
fn count(pods: &[Value]) -> (u32, u32) {
    let is_ready = |pod: &&Value| {
        json::at(pod, "metadata/deletionTimestamp").is_null()
            && json::items(pod, "status/conditions")
                .iter()
                .any(|it| json::text(it, "type") == "Ready" && json::text(it, "status") == "True")
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (count(pods.len()), count(pods.iter().filter(is_ready).count()))
}

/// One of two subsets of a host, as its pods are.
pub(crate) fn of_subset(name: &str, pods: &[Value]) -> Workload {
    let (all, ready) = count(pods);
    let readiness = match (all, ready) {
        (0, _) => Readiness::Pending(format!("no pods of the subset {name} are there")),
        (all, ready) if ready < all => {
            Readiness::Pending(format!("{ready} of {all} pods of the subset {name} are ready"))
        }
        _ => Readiness::Ready,
    };
    Workload {
        revision: name.to_owned(),
        replicas: all,
        ready_pods: ready,
        readiness,
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests;
