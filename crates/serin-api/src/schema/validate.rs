//! Types, limits and alternatives: what the OpenAPI part of a schema says about a value.

use serde_json::Value;

use super::error::Cause;
use super::go_text::number;
use super::{Additional, Schema, SchemaError, Type, format};
use crate::FieldPath;

/// The errors of `value`, which stands at `path`.
pub(super) fn structure(schema: &Schema, value: &Value, path: &FieldPath) -> Vec<SchemaError> {
    let mut errors = Vec::new();
    check(schema, value, path, &mut errors);
    errors
}

fn check(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<SchemaError>) {
    check_type(schema, value, path, errors);
    if !value.is_null() {
        check_alternatives(schema, value, path, errors);
        match value {
            Value::String(text) => check_text(schema, text, value, path, errors),
            Value::Number(_) => check_number(schema, value, path, errors),
            Value::Array(items) => check_list(schema, items, value, path, errors),
            _ => {}
        }
    }
    if !schema.enumeration.is_empty()
        && !schema.enumeration.iter().any(|allowed| same(allowed, value))
    {
        let nullable = value.is_null() && schema.nullable;
        if !nullable {
            errors.push(SchemaError::not_supported(path, value, &schema.enumeration));
        }
    }
    if value.is_object() {
        check_object(schema, value, path, errors);
    }
}

/// Equality of JSON values, in which `1` and `1.0` are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        _ => left == right,
    }
}

fn check_type(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<SchemaError>) {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(it) if it.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if value.is_null() && schema.nullable {
        return;
    }
    if schema.int_or_string {
        if !matches!(found, "integer" | "string") {
            errors.push(SchemaError::wrong_type(path, "integer,string", found));
        }
        return;
    }
    let Some(wanted) = schema.r#type else { return };
    let whole = value.as_f64().is_some_and(|value| value.fract() == 0.0);
    let fits = wanted.as_str() == found
        || (wanted == Type::Number && found == "integer")
        || (wanted == Type::Integer && found == "number" && whole);
    if !fits {
        errors.push(SchemaError::wrong_type(path, wanted.as_str(), found));
    }
}

/// What a part of alternatives finds, without keeping it.
fn fits(schema: &Schema, value: &Value, path: &FieldPath) -> bool {
    errors_of(schema, value, path).is_empty()
}

fn errors_of(schema: &Schema, value: &Value, path: &FieldPath) -> Vec<SchemaError> {
    let mut errors = Vec::new();
    check(schema, value, path, &mut errors);
    errors
}

fn check_alternatives(
    schema: &Schema,
    value: &Value,
    path: &FieldPath,
    errors: &mut Vec<SchemaError>,
) {
    if !schema.any_of.is_empty() && !schema.any_of.iter().any(|part| fits(part, value, path)) {
        errors.push(SchemaError::alternatives(path, "must validate at least one schema (anyOf)"));
        errors.extend(nearest_miss(&schema.any_of, value, path));
    }
    if !schema.one_of.is_empty() {
        let fitting = schema.one_of.iter().filter(|part| fits(part, value, path)).count();
        let found = match fitting {
            0 => "Found none valid".to_owned(),
            more => format!("Found {more} valid alternatives"),
        };
        if fitting != 1 {
            let detail = format!("must validate one and only one schema (oneOf). {found}");
            errors.push(SchemaError::alternatives(path, &detail));
        }
        if fitting == 0 {
            errors.extend(nearest_miss(&schema.one_of, value, path));
        }
    }
    let failing: Vec<SchemaError> =
        schema.all_of.iter().flat_map(|part| errors_of(part, value, path)).collect();
    if !failing.is_empty() {
        let none = schema.all_of.iter().all(|part| !fits(part, value, path));
        let detail = if none { ". None validated" } else { "" };
        let detail = format!("must validate all the schemas (allOf){detail}");
        errors.push(SchemaError::alternatives(path, &detail));
        errors.extend(failing);
    }
    if schema.not.as_ref().is_some_and(|part| fits(part, value, path)) {
        errors.push(SchemaError::alternatives(path, "must not validate the schema (not)"));
    }
}

/// The errors of the alternative that fits best.
fn nearest_miss(parts: &[Schema], value: &Value, path: &FieldPath) -> Vec<SchemaError> {
    parts.iter().map(|part| errors_of(part, value, path)).min_by_key(Vec::len).unwrap_or_default()
}

fn check_text(
    schema: &Schema,
    text: &str,
    value: &Value,
    path: &FieldPath,
    errors: &mut Vec<SchemaError>,
) {
    let limits = &schema.limits;
    let length = text.chars().count() as u64;
    // One of these at a time, the first that applies.
    if let Some(limit) = limits.max_length.filter(|&limit| length > limit) {
        errors.push(SchemaError::too_long(path, limit));
    } else if let Some(limit) = limits.min_length.filter(|&limit| length < limit) {
        let detail = format!("should be at least {limit} chars long");
        errors.push(SchemaError::invalid(Cause::Limit, path, value, &detail));
    } else if let Some(pattern) = &schema.pattern
        && !pattern.regex.is_match(text.as_bytes())
    {
        let detail = format!("should match '{}'", pattern.text);
        errors.push(SchemaError::invalid(Cause::Format, path, value, &detail));
    }
    if let Some(name) = &schema.format
        && !format::fits(name, text)
    {
        let detail = format!("must be of type {name}: {value}");
        errors.push(SchemaError::invalid(Cause::Format, path, value, &detail));
    }
}

fn check_number(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<SchemaError>) {
    let Some(amount) = value.as_f64() else { return };
    let limits = &schema.limits;
    let mut wrong = |detail: String| {
        errors.push(SchemaError::invalid(Cause::Limit, path, value, &detail));
    };
    if let Some(divisor) = limits.multiple_of
        && divisor > 0.0
        && (amount / divisor).fract() != 0.0
    {
        wrong(format!("should be a multiple of {}", number(divisor)));
    }
    if let Some(limit) = limits.maximum {
        let exclusive = limits.exclusive_maximum;
        if amount > limit || (exclusive && amount >= limit) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            wrong(format!("should be less than{or_equal} {}", number(limit)));
        }
    }
    if let Some(limit) = limits.minimum {
        let exclusive = limits.exclusive_minimum;
        if amount < limit || (exclusive && amount <= limit) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            wrong(format!("should be greater than{or_equal} {}", number(limit)));
        }
    }
    let range = match schema.format.as_deref() {
        Some("int32") if schema.r#type == Some(Type::Integer) => {
            f64::from(i32::MIN)..=f64::from(i32::MAX)
        }
        _ => return,
    };
    if !range.contains(&amount) {
        wrong(format!("must be of type int32: {value}"));
    }
}

fn check_list(
    schema: &Schema,
    items: &[Value],
    value: &Value,
    path: &FieldPath,
    errors: &mut Vec<SchemaError>,
) {
    if let Some(schema) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            check(schema, item, &path.index(index), errors);
        }
    }
    let limits = &schema.limits;
    let count = items.len() as u64;
    if let Some(limit) = limits.min_items.filter(|&limit| count < limit) {
        let detail = format!("should have at least {limit} items");
        errors.push(SchemaError::invalid(Cause::Limit, path, &Value::from(count), &detail));
    }
    if let Some(limit) = limits.max_items.filter(|&limit| count > limit) {
        errors.push(SchemaError::too_many(path, items.len(), limit));
    }
    if limits.unique_items && has_duplicate(items) {
        errors.push(SchemaError::invalid(
            Cause::Duplicate,
            path,
            value,
            "shouldn't contain duplicates",
        ));
    }
}

fn has_duplicate(items: &[Value]) -> bool {
    items
        .iter()
        .enumerate()
        .any(|(index, item)| items[..index].iter().any(|earlier| same(earlier, item)))
}

fn check_object(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<SchemaError>) {
    let Some(map) = value.as_object() else { return };
    let limits = &schema.limits;
    let count = map.len() as u64;
    if let Some(limit) = limits.min_properties.filter(|&limit| count < limit) {
        let detail = format!("should have at least {limit} properties");
        errors.push(SchemaError::invalid(Cause::Limit, path, &Value::from(count), &detail));
    }
    if let Some(limit) = limits.max_properties.filter(|&limit| count > limit) {
        errors.push(SchemaError::too_many(path, map.len(), limit));
    }
    for (name, value) in map {
        let at = path.key(name.clone());
        match (schema.properties.get(name), &schema.additional) {
            (Some(field), _) => check(field, value, &at, errors),
            (None, Additional::Schema(values)) => check(values, value, &at, errors),
            (None, Additional::Allowed(false)) => {
                errors.push(SchemaError::invalid(
                    Cause::Type,
                    &at,
                    value,
                    "is a forbidden property",
                ));
            }
            (None, _) => {}
        }
    }
    for name in schema.required.iter().filter(|name| !map.contains_key(name.as_str())) {
        errors.push(SchemaError::required(&path.key(name.clone())));
    }
}
