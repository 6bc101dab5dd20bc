//! What an object is called, and the rules for names and labels.

use serde_json::Value;

use super::object::is_namespaced;
use crate::{FieldPath, Kind, ObjectRef};

/// What an object is called. One whose name the API server makes goes by the prefix of that name.
pub(super) fn reference(
    json: &Value,
    api_version: &str,
    kind: &str,
    known: Option<&Kind>,
    default_namespace: &str,
) -> ObjectRef {
    let text = |name: &str| {
        json.get("metadata").and_then(|it| it.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let namespace = match text("namespace") {
        _ if !is_namespaced(known) => "",
        "" if known.is_some() => default_namespace,
        written => written,
    };
    let name = if text("name").is_empty() { text("generateName") } else { text("name") };
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// What is wrong with the names and labels of `metadata`, by the field below it.
pub(super) fn problems(metadata: &Value, kind: &Kind) -> Vec<(FieldPath, String)> {
    let mut problems = Vec::new();
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let field = |name: &str| FieldPath::root().key(name);
    if text("name").is_empty() && text("generateName").is_empty() {
        let is_text = metadata.get("name").is_none_or(|it| it.is_string() || it.is_null());
        if is_text {
            problems.push((field("name"), "the object has no name".to_owned()));
        }
    }
    if !text("name").is_empty()
        && let Some(problem) = name_problem(text("name"), is_label(kind))
    {
        problems.push((field("name"), problem));
    }
    if !text("namespace").is_empty()
        && let Some(problem) = name_problem(text("namespace"), true)
    {
        problems.push((field("namespace"), problem));
    }
    for (part, has_values) in [("labels", true), ("annotations", false)] {
        for (key, value) in metadata.get(part).and_then(Value::as_object).into_iter().flatten() {
            let at = field(part).key(key.clone());
            if let Some(problem) = key_problem(key) {
                problems.push((at, problem));
            } else if let Some(problem) =
                value.as_str().filter(|_| has_values).and_then(label_problem)
            {
                problems.push((at, problem));
            }
        }
    }
    problems
}

/// Kinds whose names become labels of host names, which have no dots.
fn is_label(kind: &Kind) -> bool {
    kind.group.is_empty() && matches!(kind.kind, "Service" | "Namespace")
}

fn name_problem(name: &str, is_label: bool) -> Option<String> {
    let (limit, dots) = if is_label { (63, "") } else { (253, " and dots") };
    let part_fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let fits = if is_label { part_fits(name) } else { name.split('.').all(part_fits) };
    (!fits || name.len() > limit).then(|| {
        format!(
            "`{name}` is not a name: it may have up to {limit} lower-case letters, digits, hyphens{dots}, and begins \
             and ends with a letter or digit"
        )
    })
}

/// A key of a label or annotation: `name` or `domain/name`.
fn key_problem(key: &str) -> Option<String> {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_fits =
        prefix.is_none_or(|prefix| name_problem(&prefix.to_lowercase(), false).is_none());
    let fits = prefix_fits && !name.is_empty() && is_qualified(name);
    (!fits).then(|| {
        format!(
            "`{key}` is not a key of a label or annotation: it has up to 63 letters, digits, `-`, `_` and `.`, begins and \
             ends with a letter or digit, and may follow a domain and `/`"
        )
    })
}

fn label_problem(value: &str) -> Option<String> {
    (!value.is_empty() && !is_qualified(value)).then(|| {
        format!(
            "`{value}` is not a value of a label: it has up to 63 letters, digits, `-`, `_` and `.`, and begins and ends with \
             a letter or digit"
        )
    })
}

fn is_qualified(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && ends(text.as_bytes().first())
        && ends(text.as_bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
