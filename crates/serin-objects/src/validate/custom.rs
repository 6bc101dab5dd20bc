//! Objects of kinds that users define, by their structural schemas.

use serde_json::Value;
use serin_api::FieldPath;
use serin_api::schema::SchemaError;

use crate::Resource;
use crate::fields::FieldError;

pub(super) fn check(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) else {
        return Vec::new();
    };
    let mut errors = version.schema().validate(object, old);
    if errors.is_empty() {
        return Vec::new();
    }
    // Where there are no rules, none was left unchecked.
    let has_rules = version.has_rules();
    errors.retain(|error| has_rules || !is_remark(error));
    let Some(old) = old else { return errors.iter().map(FieldError::from).collect() };
    // What was wrong before and did not change may stay (ratcheting).
    let known: Vec<_> = version.schema().validate(old, None);
    let kept = |error: &&SchemaError| {
        let is_root = error.field.segments().is_empty();
        is_root
            || !(is_unchanged(old, object, &error.field)
                && known.iter().any(|it| it.to_string() == error.to_string()))
    };
    let left: Vec<&SchemaError> = errors.iter().filter(kept).collect();
    // The remark stands only beside another error.
    if left.iter().all(|error| is_remark(error)) {
        return Vec::new();
    }
    left.into_iter().map(FieldError::from).collect()
}

/// The remark that rules were not checked because of other errors.
fn is_remark(error: &SchemaError) -> bool {
    error.field.segments().is_empty() && error.message.contains("were not checked")
}

/// Whether a value did not change, or, where it is missing, what should hold it.
fn is_unchanged(old: &Value, new: &Value, path: &FieldPath) -> bool {
    match (at(old, path), at(new, path)) {
        (None, None) => path.parent().is_some_and(|holder| {
            !holder.segments().is_empty() && at(old, &holder) == at(new, &holder)
        }),
        (was, is) => was == is,
    }
}

fn at<'v>(value: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        serin_api::Segment::Key(key) => value.get(key),
        serin_api::Segment::Index(index) => value.get(index),
    })
}
