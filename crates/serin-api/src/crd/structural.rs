//! From the description of a type to a structural schema.

use serde_json::{Map, Value, json};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
// What types say about their fields that schemars has no words for, as extensions of the fields' descriptions.

/// The field must be given. (To the readers of the types no field is required: that is for the schema to say.)
const REQUIRED: &str = "x-required";
/// The field may also be written under this name.
const ALIAS: &str = "x-alias";
/// Null is a value of the field: a wrapper type in Istio's definitions.
const NULLABLE: &str = "x-nullable";
/// The duration is at least a millisecond.
const POSITIVE_DURATION: &str = "x-positive-duration";
/// The field is set by Serin itself and unknown to users.
const INTERNAL: &str = "x-internal";

/// The field is Serin's own, in a kind that others have without it.
const EXTENSION: &str = "x-extension";

/// Formats that OpenAPI and Kubernetes know.
const FORMATS: [&str; 6] = ["int32", "int64", "float", "double", "date-time", "byte"];

/// Makes `schema` and everything in it structural.
pub(super) fn normalise(schema: &mut Value) {
    if schema.as_bool() == Some(true) {
        *schema = json!({ PRESERVE: true });
        return;
    }
    unite_with_null(schema);
    let Some(map) = schema.as_object_mut() else { return };
    for name in ["$schema", "$defs", "definitions", "title", "nullable", "examples", "components"] {
        map.remove(name);
    }
    if map.remove(NULLABLE).is_some() {
        map.insert("nullable".to_owned(), json!(true));
    }
    if map.remove(POSITIVE_DURATION).is_some() {
        let rule = json!([{
            "rule": "duration(self) >= duration('1ms')",
            "message": "must be a valid duration greater than 1ms",
        }]);
        map.insert("x-kubernetes-validations".to_owned(), rule);
    }
    if let Some(Value::Array(allowed)) = map.get_mut("enum") {
        allowed.retain(|value| !value.is_null());
    }
    if let Some(value) = map.remove("const") {
        map.insert("enum".to_owned(), json!([value]));
    }
    narrow_format(map);
    if matches!(map.get("additionalProperties"), Some(Value::Bool(true))) {
        map.remove("additionalProperties");
        map.insert(PRESERVE.to_owned(), json!(true));
    }
    if map.contains_key(PRESERVE) {
        map.remove("additionalProperties");
    }
    for name in ["minimum", "maximum", "multipleOf"] {
        if let Some(value) = map.get_mut(name) {
            whole_number(value);
        }
    }
    if let Some(Value::Object(values)) = map.remove("patternProperties") {
        // The keys of a map of numbers; what they may be is for rules to say.
        map.insert(
            "additionalProperties".to_owned(),
            values.into_values().next().unwrap_or_default(),
        );
    }
    if let Some(Value::Object(fields)) = map.get_mut("properties") {
        fields.retain(|_, field| field.get(INTERNAL).is_none());
    }
    for_each_part(map, normalise);
    hoist_required(map);
    add_aliases(map);
}

/// Calls `change` with each schema inside of one.
fn for_each_part(map: &mut Map<String, Value>, change: fn(&mut Value)) {
    if let Some(Value::Object(fields)) = map.get_mut("properties") {
        fields.values_mut().for_each(change);
    }
    for name in ["items", "additionalProperties", "not"] {
        if let Some(part) =
            map.get_mut(name).filter(|part| part.is_object() || part.as_bool() == Some(true))
        {
            change(part);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = map.get_mut(name) {
            parts.iter_mut().for_each(change);
        }
    }
}

/// `anyOf: [X, null]`, which an optional field is described by, becomes X with the field's own description.
fn unite_with_null(schema: &mut Value) {
    let is_null = |part: &Value| {
        part.get("enum").and_then(Value::as_array).is_some_and(|it| it.iter().all(Value::is_null))
            || part.get("type").and_then(Value::as_str) == Some("null")
    };
    let Some(map) = schema.as_object_mut() else { return };
    let Some(Value::Array(parts)) = map.get("anyOf") else { return };
    let mut real = parts.iter().filter(|part| !is_null(part));
    let (Some(Value::Object(only)), None, true) =
        (real.next(), real.next(), parts.iter().any(is_null))
    else {
        return;
    };
    let mut united = only.clone();
    map.remove("anyOf");
    for (name, value) in std::mem::take(map) {
        united.insert(name, value);
    }
    *map = united;
}

/// Widths that OpenAPI has no name for become limits.
fn narrow_format(map: &mut Map<String, Value>) {
    let Some(format) = map.get("format").and_then(Value::as_str).map(str::to_owned) else { return };
    if FORMATS.contains(&format.as_str()) {
        return;
    }
    map.remove("format");
    if map.get("type") != Some(&json!("integer")) {
        return;
    }
    let greatest = match format.as_str() {
        "uint8" => u32::from(u8::MAX),
        "uint16" => u32::from(u16::MAX),
        "uint32" => u32::MAX,
        _ => return,
    };
    map.entry("maximum").or_insert_with(|| json!(greatest));
}

fn whole_number(value: &mut Value) {
    if let Some(number) =
        value.as_f64().filter(|it| value.is_f64() && it.fract() == 0.0 && it.abs() < 1e15)
    {
        *value = json!(number as i64);
    }
}

/// Moves what fields say of themselves to the list that structural schemas have.
fn hoist_required(map: &mut Map<String, Value>) {
    let Some(Value::Object(fields)) = map.get_mut("properties") else { return };
    let is_required = |(name, field): (&String, &mut Value)| {
        field.as_object_mut()?.remove(REQUIRED).map(|_| Value::from(name.as_str()))
    };
    let required: Vec<Value> = fields.iter_mut().filter_map(is_required).collect();
    if !required.is_empty() {
        map.insert("required".to_owned(), Value::Array(required));
    }
}

/// Describes a field under its other name too.
fn add_aliases(map: &mut Map<String, Value>) {
    let Some(Value::Object(fields)) = map.get_mut("properties") else { return };
    let mut added = Vec::new();
    for field in fields.values_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::String(alias)) = field.remove(ALIAS) {
            added.push((alias, Value::Object(field.clone())));
        }
    }
    fields.extend(added);
}

/// Keeps the fields that are extensions as ordinary ones, or takes them out.
pub(super) fn settle_extensions(schema: &mut Value, keep: bool) {
    let Some(map) = schema.as_object_mut() else { return };
    map.remove(EXTENSION);
    if let Some(Value::Object(fields)) = map.get_mut("properties")
        && !keep
    {
        fields.retain(|_, field| field.get(EXTENSION).is_none());
    }
    let recurse: fn(&mut Value) = if keep {
        |part| settle_extensions(part, true)
    } else {
        |part| settle_extensions(part, false)
    };
    for_each_part(map, recurse);
}

/// Lets a schema pass over fields that it does not have, and take null for any value: as typed readers do.
pub(super) fn relax(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if map.get("type") == Some(&json!("object")) && !map.contains_key("additionalProperties") {
        map.insert(PRESERVE.to_owned(), json!(true));
    }
    map.insert("nullable".to_owned(), json!(true));
    for_each_part(map, relax);
}
