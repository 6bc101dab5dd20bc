//! Parts of OpenAPI that schemas of custom resources cannot have, and parts of definitions that say something about fields.

use serde_json::{Value, json};

use crate::fields::{FieldError, Path};
use crate::validate::tools::{Errors, entries, items, text};

/// How many fields selectors may name.
const SELECTABLE: usize = 8;

/// Words that a schema may not use.
pub(super) fn check(errors: &mut Errors, path: &Path, schema: &Value) {
    let has = |name: &str| match &schema[name] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let forbidden = |errors: &mut Errors, name: &str, why: &str| {
        errors.push(FieldError::forbidden(&path.child(name), why));
    };
    for name in
        ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"]
    {
        if has(name) {
            forbidden(errors, name, &format!("{name} is not supported"));
        }
    }
    if text(schema, "type") == "null" {
        forbidden(errors, "type", "type cannot be set to null, use nullable as an alternative");
    }
    if schema["items"].is_array() {
        forbidden(errors, "items", "items must be a schema object and not an array");
    }
    if has("properties")
        && (schema["additionalProperties"].is_object() || schema["additionalProperties"] == false)
    {
        let why = "additionalProperties and properties are mutual exclusive";
        forbidden(errors, "additionalProperties", why);
    }
    let name = "x-kubernetes-preserve-unknown-fields";
    if schema[name] == false {
        errors.push(FieldError::invalid(&path.child(name), false, "must be true or undefined"));
    }
    let kind = text(schema, "type");
    if has("x-kubernetes-map-type") && kind != "object" {
        let (at, why) =
            (path.child("type"), "must be object if x-kubernetes-map-type is specified");
        errors.push(match kind {
            "" => FieldError::required(&at, why),
            other => FieldError::invalid(&at, other, why),
        });
    }
}

/// How objects change their version, and what becomes of fields that are not known.
pub(super) fn of_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    if spec["preserveUnknownFields"] == true {
        let at = path.child("preserveUnknownFields");
        errors.push(FieldError::invalid(&at, true, "must be false"));
    }
    let (at, conversion) = (path.child("conversion"), &spec["conversion"]);
    let webhook = &conversion["webhook"];
    let (config, versions) =
        (at.child("webhookClientConfig"), at.child("conversionReviewVersions"));
    match text(conversion, "strategy") {
        "Webhook" => {
            let client = &webhook["clientConfig"];
            let (url, service) = (client["url"].is_string(), client["service"].is_object());
            if !client.is_object() {
                let why = "required when strategy is set to Webhook";
                errors.push(FieldError::required(&config, why));
            } else if url == service {
                let why = "exactly one of url or service is required";
                errors.push(FieldError::required(&config, why));
            }
            if items(&webhook["conversionReviewVersions"]).is_empty() {
                errors.push(FieldError::required(&versions, ""));
            }
        }
        "None" => {
            let why = "should not be set when strategy is not set to Webhook";
            if webhook["clientConfig"].is_object() {
                errors.push(FieldError::forbidden(&config, why));
            }
            if !items(&webhook["conversionReviewVersions"]).is_empty() {
                errors.push(FieldError::forbidden(&versions, why));
            }
        }
        "" => errors.push(FieldError::required(&at.child("strategy"), "")),
        other => {
            let at = at.child("strategy");
            errors.push(FieldError::not_supported(&at, other, &["None", "Webhook"]));
        }
    }
}

/// What a version says besides its schema.
pub(super) fn of_version(errors: &mut Errors, path: &Path, version: &Value) {
    if let Some(warning) = version["deprecationWarning"].as_str() {
        let at = path.child("deprecationWarning");
        for (wrong, why) in [
            (version["deprecated"] != true, "can only be set for deprecated versions"),
            (warning.len() > 256, "must be <= 256 characters long"),
            (warning.is_empty(), "must not be an empty string"),
        ] {
            if wrong {
                errors.push(FieldError::invalid(&at, warning, why));
            }
        }
    }
    selectable(errors, &path.child("selectableFields"), version);
}

/// Fields by which objects can be selected.
fn selectable(errors: &mut Errors, path: &Path, version: &Value) {
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&version["selectableFields"]).iter().enumerate() {
        let (at, place) = (path.index(index), text(it, "jsonPath"));
        if place.is_empty() {
            errors.push(FieldError::required(&at.child("jsonPath"), ""));
            continue;
        }
        let Some(found) = field(schema, place) else {
            let why = "is an invalid path: does not refer to a valid field";
            errors.push(FieldError::invalid(&at.child("jsonPath"), place, why));
            continue;
        };
        if place.starts_with(".metadata.") || place == ".metadata" {
            let why = "must not point to fields in metadata";
            errors.push(FieldError::invalid(&at, place, why));
        }
        if !matches!(text(&found, "type"), "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(FieldError::invalid(&at, place, why));
        }
        if seen.contains(&place) {
            errors.push(FieldError::duplicate(&at, place));
        } else {
            seen.push(place);
        }
    }
    if seen.len() > SELECTABLE {
        errors.push(FieldError::too_many(path, seen.len(), SELECTABLE));
    }
}

/// The schema of a field; that of metadata is known without being written.
fn field(schema: &Value, place: &str) -> Option<Value> {
    let mut names = place.strip_prefix('.')?.split('.').peekable();
    if names.peek() == Some(&"metadata") {
        return Some(json!({"type": "string"}));
    }
    let found = names.try_fold(schema, |schema, name| {
        entries(&schema["properties"]).find(|(it, _)| *it == name).map(|(_, it)| it)
    });
    found.cloned()
}
