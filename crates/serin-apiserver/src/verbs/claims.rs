//! Claims of storage and volumes are kept while something uses them: a finalizer holds them until then.

use std::collections::BTreeSet;

use serde_json::Value;
use serin_objects::Resource;

use super::read::prefix;
use crate::store::Store;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

/// The finalizer of a kind.
fn finalizer(resource: &Resource) -> Option<&'static str> {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "PersistentVolumeClaim") => Some(CLAIM),
        ("", "PersistentVolume") => Some(VOLUME),
        _ => None,
    }
}

/// Holds a new object.
pub(super) fn hold(resource: &Resource, object: &mut Value) {
    let Some(name) = finalizer(resource) else { return };
    let mut all = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !all.iter().any(|it| it == name) {
        all.push(name.into());
        object["metadata"]["finalizers"] = all.into();
    }
}

/// The finalizer that an object which is to go needs no more.
pub(super) fn unused(store: &Store, resource: &Resource, object: &Value) -> Option<&'static str> {
    let name = finalizer(resource)?;
    let used = match name {
        VOLUME => object["status"]["phase"] == "Bound",
        _ => {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let (pods, _) = store.list("/pods", &prefix(text("namespace")), None);
            let mut pods = pods.iter().map(|(_, pod)| pod.value());
            pods.any(|pod| runs(&pod) && claimed(&pod).contains(text("name")))
        }
    };
    (!used).then_some(name)
}

/// Whether a pod is somewhere where it can use anything.
pub(super) fn runs(pod: &Value) -> bool {
    pod["spec"]["nodeName"].as_str().is_some_and(|it| !it.is_empty())
        && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// The claims that a pod uses.
pub(super) fn claimed(pod: &Value) -> BTreeSet<String> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes
        .filter_map(|it| match &it["ephemeral"] {
            Value::Object(_) => Some(format!("{pod_name}-{}", it["name"].as_str()?)),
            _ => it["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned),
        })
        .collect()
}
