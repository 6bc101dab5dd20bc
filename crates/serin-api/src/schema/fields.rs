//! Fields that a schema does not have: naming them and taking them out.

use serde_json::{Map, Value};

use super::{Additional, Schema, Type, error};
use crate::FieldPath;

/// A field that the schema does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The field.
    pub field: FieldPath,
    /// The field that its author may have meant, if one is near by its letters.
    pub similar: Option<String>,
    /// The object near by that has a field of this name: one beside it, or one that holds it.
    pub belongs: Option<FieldPath>,
}

impl std::fmt::Display for UnknownField {
    /// As the API server's strict decoding says it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown field \"{}\"", error::dotted(&self.field))
    }
}

/// What every object has beside the fields of its kind.
const FRAME: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What becomes of a field of an object.
enum Fate<'s> {
    /// Its own schema decides further down.
    Known(&'s Schema),
    /// It is kept as it is.
    Kept,
    Unknown,
}

fn fate<'s>(schema: &'s Schema, name: &str, is_object: bool) -> Fate<'s> {
    // The frame has rules of its own, whatever a kind's schema says about it.
    if is_object && FRAME.contains(&name) {
        return Fate::Kept;
    }
    if let Some(field) = schema.properties.get(name) {
        return Fate::Known(field);
    }
    match &schema.additional {
        Additional::Schema(values) => Fate::Known(values),
        _ if schema.keeps_unknown_fields() => Fate::Kept,
        _ => Fate::Unknown,
    }
}

/// Whether a schema says which fields a value has. Otherwise the value is kept whole.
fn lists_fields(schema: &Schema) -> bool {
    schema.r#type == Some(Type::Object) || !schema.properties.is_empty()
}

pub(super) fn unknown(schema: &Schema, value: &Value) -> Vec<UnknownField> {
    let mut found = Vec::new();
    walk_unknown(&Level { schema, path: FieldPath::root(), outer: None }, value, true, &mut found);
    found
}

/// A value and those that hold it.
struct Level<'l> {
    schema: &'l Schema,
    path: FieldPath,
    outer: Option<&'l Self>,
}

fn walk_unknown(level: &Level<'_>, value: &Value, is_object: bool, found: &mut Vec<UnknownField>) {
    let schema = level.schema;
    match value {
        Value::Object(map) if lists_fields(schema) => {
            for (name, value) in map {
                let path = level.path.key(name.clone());
                match fate(schema, name, is_object) {
                    Fate::Known(field) => {
                        let inner = Level { schema: field, path, outer: Some(level) };
                        walk_unknown(&inner, value, field.embedded_resource, found);
                    }
                    Fate::Kept => {}
                    Fate::Unknown => {
                        // A misspelling is likelier than a field two levels too deep.
                        let similar = similar(schema, name, map);
                        let belongs = neighbour_with(level, name, map).or_else(|| {
                            similar.is_none().then(|| holder_with(level, name)).flatten()
                        });
                        found.push(UnknownField { field: path, similar, belongs });
                    }
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                let path = level.path.index(index);
                walk_unknown(
                    &Level { schema, path, outer: Some(level) },
                    item,
                    schema.embedded_resource,
                    found,
                );
            }
        }
        _ => {}
    }
}

/// An object written beside a field that has a field of this name itself.
fn neighbour_with(level: &Level<'_>, name: &str, map: &Map<String, Value>) -> Option<FieldPath> {
    let has = |(beside, value): &(&String, &Value)| {
        let schema = level.schema.properties.get(*beside);
        (value.is_object() || value.is_null())
            && schema.is_some_and(|schema| schema.properties.contains_key(name))
    };
    map.iter().find(has).map(|(beside, _)| level.path.key(beside.clone()))
}

/// The nearest of the objects that hold a field's object which has a field of this name.
fn holder_with(level: &Level<'_>, name: &str) -> Option<FieldPath> {
    let holders = std::iter::successors(level.outer, |level| level.outer);
    let mut having = holders.filter(|level| level.schema.properties.contains_key(name));
    having.next().map(|level| level.path.clone())
}

/// The name nearest to a misspelt one among those that the object does not use yet.
fn similar(schema: &Schema, name: &str, used: &Map<String, Value>) -> Option<String> {
    let free = schema.properties.keys().filter(|known| !used.contains_key(known.as_str()));
    nearest(name, free.map(String::as_str)).map(str::to_owned)
}

/// The candidate that differs least from `name`, if it differs little.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let lower = name.to_lowercase();
    let scored = candidates.map(|candidate| {
        let other = candidate.to_lowercase();
        let distance = strsim::osa_distance(&lower, &other);
        let part = lower.len().min(other.len()) >= 3
            && (other.starts_with(&lower) || lower.starts_with(&other));
        (if part { distance.min(1) } else { distance }, candidate)
    });
    let limit = 1 + lower.chars().count() / 4;
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

pub(super) fn prune(schema: &Schema, value: &mut Value) {
    walk_prune(schema, value, true);
}

fn walk_prune(schema: &Schema, value: &mut Value, is_object: bool) {
    match value {
        Value::Object(map) if lists_fields(schema) => {
            map.retain(|name, _| !matches!(fate(schema, name, is_object), Fate::Unknown));
            for (name, value) in map.iter_mut() {
                if let Fate::Known(field) = fate(schema, name, is_object) {
                    walk_prune(field, value, field.embedded_resource);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items
                    .iter_mut()
                    .for_each(|item| walk_prune(schema, item, schema.embedded_resource));
            }
        }
        _ => {}
    }
}
