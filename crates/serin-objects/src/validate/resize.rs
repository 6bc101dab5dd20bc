//! What may change when the containers of a pod get other resources.

use serde_json::{Map, Value};

use super::pod::quality;
use super::tools::{Errors, entries, items, text};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

/// The change of a pod's resources.
pub(super) fn check(errors: &mut Errors, old: &Value, new: &Value) {
    let path = Path::new("spec");
    let empty = Map::new();
    let class = |pod: &Value| quality(pod.as_object().unwrap_or(&empty));
    if class(old) != class(new) {
        let why = "Pod QOS Class may not change as a result of resizing";
        let value = new["status"]["qosClass"].clone();
        errors.push(FieldError::invalid(&path, value, why));
    }
    if !node_can(old) {
        let why = "Pod running on node without support for resize";
        errors.push(FieldError::forbidden(&path, why));
    }
    for list in ["initContainers", "containers"] {
        let pairs = items(&old["spec"][list]).iter().zip(items(&new["spec"][list]));
        for (index, (was, is)) in pairs.enumerate() {
            if list == "containers" || text(was, "restartPolicy") == "Always" {
                let at = path.child(list).index(index).child("resources");
                container(errors, &at, was, is);
            } else if was != is {
                let why = "resources for non-sidecar init containers are immutable";
                errors.push(FieldError::forbidden(&path, why));
            }
        }
    }
}

/// Whether the node tells what its containers have, without which it cannot give them more or less.
fn node_can(pod: &Value) -> bool {
    let statuses = items(&pod["status"]["containerStatuses"]);
    let running = statuses.iter().find(|it| it["state"]["running"].is_object());
    running.is_none_or(|it| it["resources"].is_object())
}

fn container(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    let (was, is) = (&old["resources"], &new["resources"]);
    for (part, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
        if entries(&was[part]).any(|(name, _)| is[part].get(name).is_none()) {
            let why = format!("{what} cannot be removed");
            errors.push(FieldError::forbidden(&path.child(part), &why));
        }
    }
    let mut policies = items(&new["resizePolicy"]).iter();
    let memory = policies.find(|it| text(it, "resourceName") == "memory");
    if memory.is_none_or(|it| text(it, "restartPolicy") != "RestartContainer") {
        let limit = |it: &Value| Quantity::parse(text(&it["limits"], "memory"));
        let what = match (limit(was), limit(is)) {
            (Some(was), Some(is)) if is < was => "decreased",
            (None, Some(_)) => "added",
            _ => "",
        };
        if !what.is_empty() {
            let why =
                format!("memory limits cannot be {what} unless resizePolicy is RestartContainer");
            errors.push(FieldError::forbidden(&path.child("limits").key("memory"), &why));
        }
    }
    let others = |it: &Value, part: &str| -> Vec<(String, Value)> {
        let all = entries(&it[part]).filter(|(name, _)| !matches!(name.as_str(), "cpu" | "memory"));
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    if ["requests", "limits"].iter().any(|part| others(was, part) != others(is, part)) {
        let why = "only cpu and memory resources are mutable";
        errors.push(FieldError::forbidden(&Path::new("spec"), why));
    }
}
