//! Objects inside custom resources (`x-kubernetes-embedded-resource`): a template of another kind with a type and
//! metadata of its own.
//!
//! Finds them by the schema; what happens to them is up to whoever asks.

use serde_json::Value;
use serin_api::schema::{Additional, Schema};

use crate::fields::Path;

/// Visits the objects inside a custom resource, outer ones first.
pub(crate) fn visit(schema: &Schema, value: &Value, found: &mut dyn FnMut(&Path, &Value)) {
    walk(schema, value, &Path::root(), found);
}

/// The same to change them.
pub(crate) fn visit_mut(
    schema: &Schema,
    value: &mut Value,
    found: &mut dyn FnMut(&Path, &mut Value),
) {
    change(schema, value, &Path::root(), found);
}

fn walk(schema: &Schema, value: &Value, path: &Path, found: &mut dyn FnMut(&Path, &Value)) {
    match value {
        Value::Object(map) => {
            if schema.embedded_resource {
                found(path, value);
            }
            for (name, value) in map {
                if let Some((schema, path)) = below(schema, name, path) {
                    walk(schema, value, &path, found);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                walk(schema, item, &path.index(index), found);
            }
        }
        _ => {}
    }
}

fn change(
    schema: &Schema,
    value: &mut Value,
    path: &Path,
    found: &mut dyn FnMut(&Path, &mut Value),
) {
    if schema.embedded_resource && value.is_object() {
        found(path, value);
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some((schema, path)) = below(schema, name, path) {
                    change(schema, value, &path, found);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &schema.items else { return };
            for (index, item) in items.iter_mut().enumerate() {
                change(schema, item, &path.index(index), found);
            }
        }
        _ => {}
    }
}

/// The schema and the path of a field.
fn below<'s>(schema: &'s Schema, name: &str, path: &Path) -> Option<(&'s Schema, Path)> {
    if let Some(field) = schema.properties.get(name) {
        return Some((field, path.child(name)));
    }
    match &schema.additional {
        Additional::Schema(values) => Some((values, path.key(name))),
        _ => None,
    }
}
