//! Rules in CEL that stand in schemas.

use serde_json::{Value, json};

use crate::expressions;
use crate::fields::{FieldError, Path};
use crate::validate::tools::{Errors, items, one_of, text};

/// The expressions of a schema can be compiled, read fields that it has, and come to what they should.
pub(super) fn check(errors: &mut Errors, path: &Path, schema: &Value) {
    for (index, rule) in items(&schema["x-kubernetes-validations"]).iter().enumerate() {
        let at = path.child("x-kubernetes-validations").index(index);
        let expression = text(rule, "rule");
        words(errors, &at, rule, schema);
        if expression.trim().is_empty() {
            continue;
        }
        let shown = json!({
            "Rule": expression,
            "Message": text(rule, "message"),
            "MessageExpression": text(rule, "messageExpression"),
            "Reason": rule["reason"],
            "FieldPath": text(rule, "fieldPath"),
            "OptionalOldSelf": rule["optionalOldSelf"],
        });
        let old = rule["optionalOldSelf"] != true;
        let names = |path: &[String]| {
            let (root, rest) = path.split_first()?;
            let known = root == "self" || root == "oldSelf" && old;
            if known { type_at(schema, rest) } else { None }
        };
        let wrong = match expressions::result(expression, &names) {
            Err(why) => Some(why),
            Ok(found) => undefined(schema, expression, old).or_else(|| {
                let other = found.is_some_and(|it| it != "bool");
                other.then(|| "cel expression must evaluate to a bool".to_owned())
            }),
        };
        if let Some(why) = wrong {
            errors.push(FieldError::invalid(&at.child("rule"), shown.clone(), &why));
        }
        let made = text(rule, "messageExpression");
        if made.trim().is_empty() {
            continue;
        }
        let why = match expressions::result(made, &names) {
            Err(why) => format!("messageExpression {why}"),
            Ok(Some(found)) if found != "string" => {
                "messageExpression must evaluate to a string".to_owned()
            }
            Ok(_) => continue,
        };
        errors.push(FieldError::invalid(&at.child("messageExpression"), shown, &why));
    }
}

const REASONS: &[&str] =
    &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What a rule says besides its expression.
fn words(errors: &mut Errors, path: &Path, rule: &Value, schema: &Value) {
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    let at = path.child("message");
    if expression.is_empty() {
        errors.push(FieldError::required(&path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(&at, message, "message must be non-empty if specified"));
    } else if message.trim().contains('\n') {
        errors.push(FieldError::invalid(&at, message, "message must not contain line breaks"));
    } else if expression.contains('\n') && message.is_empty() {
        let why = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(&at, why));
    }
    let made = text(rule, "messageExpression");
    if !made.is_empty() && made.trim().is_empty() {
        let at = path.child("messageExpression");
        errors.push(FieldError::required(&at, "must be non-empty if specified"));
    }
    one_of(errors, path, rule, "reason", REASONS);
    let (at, place) = (path.child("fieldPath"), text(rule, "fieldPath"));
    if !place.is_empty() && place.trim().is_empty() {
        errors.push(FieldError::invalid(&at, place, "fieldPath must be non-empty if specified"));
    } else if !place.is_empty() && !is_field(schema, place) {
        errors.push(FieldError::invalid(&at, place, "fieldPath must be a valid path"));
    }
}

/// Whether a path like `.spec.ports['a.b']` leads to a field that the schema has.
fn is_field(schema: &Value, place: &str) -> bool {
    if place.is_empty() {
        return true;
    }
    let (name, rest) = if let Some(rest) = place.strip_prefix("['") {
        let Some((name, rest)) = rest.split_once("']") else { return false };
        (name, rest)
    } else {
        let Some(rest) = place.strip_prefix('.') else { return false };
        rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()))
    };
    let below = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
    below.is_object() && is_field(below, rest)
}

/// Fields that an expression reads and the schema does not have.
fn undefined(schema: &Value, expression: &str, old: bool) -> Option<String> {
    let known = |path: &[String]| has_property(schema, path);
    let names = std::iter::once("self").chain(old.then_some("oldSelf"));
    let all: Vec<String> =
        names.flat_map(|name| expressions::undefined(expression, name, &known)).collect();
    (!all.is_empty()).then(|| format!("compilation failed: {}", all.join("\n")))
}

/// The type in CEL of a part of what a schema describes; none where that is not certain.
fn type_at(schema: &Value, path: &[String]) -> Option<String> {
    if let Some((first, rest)) = path.split_first() {
        return type_at(schema["properties"].get(first)?, rest);
    }
    let open = ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"];
    if open.iter().any(|it| schema[*it] == true) {
        return None;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return Some("dyn".to_owned());
    }
    Some(match (text(schema, "type"), text(schema, "format")) {
        ("string", "date" | "date-time") => "google.protobuf.Timestamp".to_owned(),
        ("string", "duration") => "google.protobuf.Duration".to_owned(),
        ("string", "byte") => "bytes".to_owned(),
        ("string", _) => "string".to_owned(),
        ("integer", _) => "int".to_owned(),
        ("number", _) => "double".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("array", _) => format!("list({})", type_at(&schema["items"], &[])?),
        ("object", _) if schema["properties"].is_object() => "object".to_owned(),
        _ => return None,
    })
}

/// Whether a schema has a property of this escaped name below it. Below what is no record, or takes anything, all may be.
fn has_property(schema: &Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let properties = schema["properties"].as_object().filter(|it| !it.is_empty());
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-embedded-resource"] == true
        || first.contains("__");
    let Some(properties) = properties.filter(|_| !open) else { return true };
    properties.get(first).is_some_and(|it| has_property(it, rest))
        || matches!(first.as_str(), "apiVersion" | "kind" | "metadata")
}
