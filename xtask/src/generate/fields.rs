//! The reference of the resources of releases: every field with its type and what it means, from their schemas.

use std::fmt::Write as _;

use serde_json::Value;

/// The kinds that are told, by group.
const KINDS: [(&str, &str); 3] =
    [("serin.dev", "Canary"), ("flagger.app", "MetricTemplate"), ("flagger.app", "AlertProvider")];

/// A table for each kind.
pub(super) fn of_releases() -> String {
    let mut text = String::new();
    let definitions = serin_api::crd::all();
    for (group, kind) in KINDS {
        let spec = |it: &Value, at: &str| it.pointer(at).and_then(Value::as_str) == Some(kind);
        let found = definitions.iter().find(|it| {
            spec(it, "/spec/names/kind") && it.pointer("/spec/group") == Some(&group.into())
        });
        let version = found.and_then(|it| it.pointer("/spec/versions/0"));
        let Some(version) = version else { continue };
        let name = version["name"].as_str().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {kind}, {group}/{name}\n\n");
        text.push_str("| field | type | |\n|---|---|---|\n");
        let schema = version.pointer("/schema/openAPIV3Schema/properties/spec");
        rows(&mut text, "", schema.unwrap_or(&Value::Null));
    }
    text.push('\n');
    text
}

/// The rows of the fields of an object, and of what is in them.
fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let Some(fields) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        let path = format!("{prefix}{name}");
        let (kind, inner, suffix) = kind(field);
        let about = field["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let _ = writeln!(text, "| `{path}` | {kind} | {about} |");
        rows(text, &format!("{path}{suffix}."), inner);
    }
}

/// What a field holds; the schema of what is in it; and what is written between its name and theirs.
fn kind(field: &Value) -> (String, &Value, &'static str) {
    if let Some(choices) = field["enum"].as_array() {
        let words = choices.iter().map(|it| it.as_str().unwrap_or("").to_owned());
        let words: Vec<String> = words.filter(|it| !it.is_empty()).collect();
        return (words.join(", "), &Value::Null, "");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return ("integer or string".to_owned(), &Value::Null, "");
    }
    let items = &field["items"];
    let values = &field["additionalProperties"];
    match field["type"].as_str().unwrap_or("any") {
        "array" => (format!("list of {}", plural(items)), items, "[]"),
        "object" if values.is_object() => (format!("map to {}", plural(values)), values, ".*"),
        other => (other.to_owned(), field, ""),
    }
}

fn plural(items: &Value) -> String {
    let one = kind(items).0;
    if items["enum"].is_array() { one } else { format!("{one}s") }
}
