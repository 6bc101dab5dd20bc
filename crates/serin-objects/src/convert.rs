//! Between the versions of a kind, and between the two groups that events are served under.

use serde_json::Value;

use crate::Resource;
use crate::catalog::{api_version, split_api_version};

mod autoscaler;
mod event;

/// An object in the version of `resource`, from any version of the same kind.
pub fn to_version(resource: &Resource, object: Value) -> Value {
    between(resource, &resource.api_version(), object)
}

/// An object in the version in which it is kept.
pub fn to_storage(resource: &Resource, object: Value) -> Value {
    let storage = &resource.storage;
    between(resource, &api_version(&storage.group, &storage.version), object)
}

/// An object of the kind of `resource` in another version.
pub(crate) fn between(resource: &Resource, wanted: &str, mut object: Value) -> Value {
    let have = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    if have == wanted || !object.is_object() {
        return object;
    }
    if !resource.is_custom() {
        match (resource.kind.as_str(), split_api_version(wanted)) {
            ("HorizontalPodAutoscaler", (_, "v1")) => autoscaler::to_v1(&mut object),
            ("HorizontalPodAutoscaler", (_, "v2")) => autoscaler::to_v2(&mut object),
            ("Event", ("", _)) => event::to_core(&mut object),
            ("Event", _) => event::to_events(&mut object),
            _ => {}
        }
    }
    object["apiVersion"] = Value::from(wanted);
    object
}
