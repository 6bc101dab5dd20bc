//! Uniqueness in lists that are sets or maps.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ListType, Schema, SchemaError};
use crate::FieldPath;

/// The duplicates in `value`, which stands at `path`.
pub(super) fn duplicates(schema: &Schema, value: &Value, path: &FieldPath) -> Vec<SchemaError> {
    let mut errors = Vec::new();
    walk(schema, value, path, &mut errors);
    errors
}

fn walk(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<SchemaError>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    walk(field, value, &path.key(name.clone()), errors);
                }
            }
        }
        Value::Array(items) => {
            let mut seen = HashSet::new();
            for (index, item) in items.iter().enumerate() {
                let at = path.index(index);
                let identity = match &schema.list {
                    ListType::Atomic => None,
                    ListType::Set => Some(item.clone()),
                    ListType::Map(keys) => key_values(schema, keys, item),
                };
                if let Some(identity) = identity
                    && !seen.insert(identity.to_string())
                {
                    errors.push(SchemaError::duplicate(&at, &identity));
                }
                if let Some(schema) = &schema.items {
                    walk(schema, item, &at, errors);
                }
            }
        }
        _ => {}
    }
}

/// The keys of an element with their values, those that are absent by their defaults.
fn key_values(schema: &Schema, keys: &[String], item: &Value) -> Option<Value> {
    let item = item.as_object()?;
    let fields = schema.items.as_ref().map(|items| &items.properties);
    let mut sorted: Vec<&String> = keys.iter().collect();
    sorted.sort();
    let mut identity = Map::new();
    for key in sorted {
        let default = || fields.and_then(|fields| fields.get(key)?.default.as_ref());
        if let Some(value) = item.get(key).or_else(default) {
            identity.insert(key.clone(), value.clone());
        }
    }
    Some(Value::Object(identity))
}
