//! Objects of kinds that users define, by their structural schemas.

use serde_json::Value;

use crate::Resource;
use crate::fields::FieldError;

pub(super) fn check(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) else {
        return Vec::new();
    };
    let errors = version.schema.validate(object, old);
    let Some(old) = old else { return errors.iter().map(FieldError::from).collect() };
    // What was wrong before and did not change may stay (ratcheting).
    let known: Vec<_> = version.schema.validate(old, None);
    let kept = |error: &&serin_api::schema::SchemaError| {
        let unchanged =
            at(old, &error.field).is_some() && at(old, &error.field) == at(object, &error.field);
        let is_root = error.field.segments().is_empty();
        is_root || !(unchanged && known.iter().any(|it| it.to_string() == error.to_string()))
    };
    let left: Vec<FieldError> = errors.iter().filter(kept).map(FieldError::from).collect();
    // The remark that rules were not checked stands only beside another error.
    let only_remark = left
        .iter()
        .all(|error| error.field == "<nil>" && error.message.contains("were not checked"));
    if only_remark { Vec::new() } else { left }
}

fn at<'v>(value: &'v Value, path: &serin_api::FieldPath) -> Option<&'v Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        serin_api::Segment::Key(key) => value.get(key),
        serin_api::Segment::Index(index) => value.get(index),
    })
}
