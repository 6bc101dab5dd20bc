//! What a conversion says about its input: statuses and findings, collected in the order in which objects are looked at.

use serde_json::{Map, Value};
use serin_api::{Finding, Object, ObjectRef, Resource};

/// Statuses and findings.
#[derive(Default)]
pub(super) struct Outcome {
    pub statuses: Vec<(ObjectRef, Value)>,
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// The new status of `object`: its present one after `change`.
    pub(super) fn status<T: Resource>(
        &mut self,
        object: &Object<T>,
        change: impl FnOnce(&mut Map<String, Value>),
    ) {
        self.push(object.reference(), &object.status, change);
    }

    /// The new status of an object of whatever kind.
    pub(super) fn push(
        &mut self,
        object: ObjectRef,
        present: &Value,
        change: impl FnOnce(&mut Map<String, Value>),
    ) {
        let mut status = present.as_object().cloned().unwrap_or_default();
        change(&mut status);
        self.statuses.push((object, Value::Object(status)));
    }
}
