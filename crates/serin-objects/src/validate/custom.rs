//! Objects of kinds that users define, by their structural schemas.

use serde_json::Value;
use serin_api::FieldPath;
use serin_api::schema::SchemaError;

use super::tools::{Errors, named, text};
use super::{meta, names};
use crate::crd::DefinedVersion;
use crate::fields::{FieldError, Path};
use crate::{Resource, embedded};

pub(super) fn check(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) else {
        return Vec::new();
    };
    let mut errors = structural(version, old, object);
    if version.has_embedded() {
        let schema = version.schema();
        embedded::visit(schema, object, &mut |path, value| inner(&mut errors, path, value));
    }
    errors
}

/// An object inside another says of which kind it is, and its metadata is that of any object.
fn inner(errors: &mut Errors, path: &Path, object: &Value) {
    for name in ["apiVersion", "kind"] {
        let at = path.child(name);
        match &object[name] {
            Value::Null => errors.push(FieldError::required(&at, "")),
            Value::String(it) if it.is_empty() => errors.push(FieldError::required(&at, "")),
            Value::String(_) => {}
            other => errors.push(FieldError::invalid(&at, other.clone(), "must be a string")),
        }
    }
    let (version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    if version.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {version}");
        errors.push(FieldError::invalid(&path.child("apiVersion"), version, &why));
    }
    let wrong = names::dns1035_label(&kind.to_lowercase());
    if !kind.is_empty() && !wrong.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        errors.push(FieldError::invalid(&path.child("kind"), kind, &why));
    }
    let (at, metadata) = (path.child("metadata"), &object["metadata"]);
    for (name, rule) in [
        ("name", names::path_segment_errors as fn(&str) -> Vec<String>),
        ("namespace", names::dns1123_label),
    ] {
        if !text(metadata, name).is_empty() {
            named(errors, &at.child(name), text(metadata, name), rule);
        }
    }
    errors.extend(meta::marks(&at, metadata, true));
}

fn structural(version: &DefinedVersion, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
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
