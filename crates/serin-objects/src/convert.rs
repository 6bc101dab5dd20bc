//! Between the versions of a kind.

use serde_json::Value;

use crate::Resource;

/// An object in the version of `resource`, from any version of the same kind.
pub fn to_version(resource: &Resource, mut object: Value) -> Value {
    object["apiVersion"] = Value::from(resource.api_version());
    object
}

/// An object in the version in which it is kept.
pub fn to_storage(resource: &Resource, mut object: Value) -> Value {
    let storage = &resource.storage;
    object["apiVersion"] =
        Value::from(crate::catalog::api_version(&storage.group, &storage.version));
    object
}
