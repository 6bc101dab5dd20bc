//! Filling in the defaults of absent fields.

use serde_json::Value;

use super::{Additional, Schema};

/// Fills in defaults from the outside in, so that the fields of a default object get theirs too. A null where null is
/// no value counts as absent if there is a default.
pub(super) fn apply(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                let Some(default) = &field.default else { continue };
                let absent = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !field.nullable,
                    Some(_) => false,
                };
                if absent {
                    map.insert(name.clone(), default.clone());
                }
            }
            let values = match &schema.additional {
                Additional::Schema(values) => Some(&**values),
                _ => None,
            };
            for (name, value) in map.iter_mut() {
                if let Some(field) = schema.properties.get(name).or(values) {
                    apply(field, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| apply(schema, item));
            }
        }
        _ => {}
    }
}
