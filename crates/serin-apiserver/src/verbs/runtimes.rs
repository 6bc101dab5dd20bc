//! Runtime classes of pods: what they cost beside their containers, and where they can run.

use serde_json::{Value, json};
use serin_objects::Status;

use crate::server::ApiServer;
use crate::server::request::Call;

const CLASSES: &str = "node.k8s.io/runtimeclasses";

/// Gives a new pod what its class says.
pub(super) fn give(server: &ApiServer, call: &Call, pod: &mut Value) -> Result<(), Status> {
    let name = pod["spec"]["runtimeClassName"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Ok(());
    }
    let refused = |why: &str| {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        Status::forbidden(&call.resource, pod, &format!("pod rejected: {why}"))
    };
    let class = server.inner.store.object(CLASSES, name);
    let class = class.ok_or_else(|| refused(&format!("RuntimeClass {name:?} not found")))?.value();
    let (own, overhead) = (&pod["spec"]["overhead"], &class["overhead"]["podFixed"]);
    let is_empty = |it: &Value| it.as_object().is_none_or(serde_json::Map::is_empty);
    if !is_empty(own) && own != overhead {
        return Err(refused("Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
    }
    let (chosen, wanted) = (&pod["spec"]["nodeSelector"], &class["scheduling"]["nodeSelector"]);
    let mut selector = chosen.as_object().cloned().unwrap_or_default();
    for (key, value) in wanted.as_object().into_iter().flatten() {
        if selector.get(key).is_some_and(|it| it != value) {
            let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            let (value, other) = (text(value), text(&selector[key]));
            return Err(refused(&format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {other}"
            )));
        }
        selector.insert(key.clone(), value.clone());
    }
    let tolerations = class["scheduling"]["tolerations"].as_array().cloned().unwrap_or_default();
    let overhead = overhead.clone();
    if !is_empty(&overhead) {
        pod["spec"]["overhead"] = overhead;
    }
    if !selector.is_empty() {
        pod["spec"]["nodeSelector"] = selector.into();
    }
    let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let new: Vec<Value> = tolerations.into_iter().filter(|it| !all.contains(it)).collect();
    if !new.is_empty() {
        all.extend(new);
        pod["spec"]["tolerations"] = json!(all);
    }
    Ok(())
}
