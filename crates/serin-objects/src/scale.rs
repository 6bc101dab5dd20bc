//! The scale of an object: its replicas, as a small object of its own.

use serde_json::Value;

use crate::{Resource, Status};

/// The `autoscaling/v1` Scale of an object.
///
/// # Errors
/// The status to answer with where the object has none.
pub fn get(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let _ = object;
    Err(Status::method_not_allowed(resource, "get"))
}

/// The object with the replicas that a changed scale asks for.
///
/// # Errors
/// The status to answer with.
pub fn put(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, Status> {
    let _ = (object, scale);
    Err(Status::method_not_allowed(resource, "update"))
}
