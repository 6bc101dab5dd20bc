//! What to do about an error: short advice where the cause can be guessed.

use serde_json::Value;

use crate::schema::{self, Cause, Schema, SchemaError, Type, UnknownField};
use crate::{FieldPath, Kind, Segment, Span, yaml};

/// A value's type in words.
pub(super) const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Which kind an unknown one was probably meant to be, as a question; `None` if none is near.
pub fn kind_meant(api_version: &str, kind: &str) -> Option<String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let same_group = Kind::all().iter().filter(|it| it.group == group);
    if let Some(near) = schema::nearest(kind, same_group.map(|it| it.kind)) {
        return Some(format!("did you mean `kind: {near}`?"));
    }
    let is_near = |it: &&Kind| {
        let near_group = !it.group.is_empty() && strsim::osa_distance(it.group, group) <= 3;
        it.kind == kind && it.is_custom && (near_group || group.is_empty())
    };
    let other_group = Kind::all().iter().find(is_near)?;
    let version =
        if other_group.versions.contains(&version) { version } else { other_group.versions[0] };
    Some(format!("did you mean `apiVersion: {}/{version}`?", other_group.group))
}

/// Advice on an error of the schema, whose value is at `below` of `value`. `place` is where the value at fault, or what
/// would hold it, stands.
pub(super) fn on_error(
    schema: &Schema,
    value: &Value,
    error: &SchemaError,
    below: &FieldPath,
    place: Span,
) -> Option<String> {
    match error.cause {
        Cause::Required => {
            let parent = error.field.parent().filter(|parent| !parent.is_root());
            let name = last_key(&error.field)?;
            Some(match parent {
                Some(parent) => format!("add `{name}` below `{parent}`"),
                None => format!("add `{name}`"),
            })
        }
        Cause::Enumeration => {
            let text = find(value, below)?.as_str()?;
            let allowed = schema_at(schema, below)?.enumeration.iter().filter_map(Value::as_str);
            schema::nearest(text, allowed).map(|near| format!("did you mean `{near}`?"))
        }
        Cause::Type => {
            let wanted = schema_at(schema, below)?.r#type?;
            on_type(wanted, find(value, below)?, &error.field, place)
        }
        _ => None,
    }
}

fn on_type(wanted: Type, found: &Value, field: &FieldPath, place: Span) -> Option<String> {
    let name = last_key(field).unwrap_or("it");
    let is_element = matches!(field.segments().last(), Some(Segment::Index(_)));
    Some(match (wanted, found) {
        (_, Value::Null) if is_element => {
            format!("write the element of `{name}` after its `-`, or remove the `-`")
        }
        (_, Value::Null) => format!("give `{name}` a value, or remove it"),
        (Type::Object, Value::String(text)) => match yaml::glued(text) {
            Some((key, value)) => format!("the colon needs a space: write `{key}: {value}`"),
            None if place.start.line != place.end.line => {
                "these lines are read as one text; a key among them has no colon".to_owned()
            }
            None => format!("`{name}` has fields of its own: write them below it"),
        },
        _ if is_element => return None,
        (Type::Array, Value::Object(_)) => {
            format!("`{name}` is a list: begin each element with `- `")
        }
        (Type::Array, Value::String(text)) if !text.contains('\n') => {
            format!("`{name}` is a list: write `[{text}]`, or `- {text}` on a line below")
        }
        (Type::Object, Value::Array(_)) => format!("`{name}` is not a list: leave the `-` out"),
        (Type::String, Value::Bool(_) | Value::Number(_)) => {
            "put the value in quotes to make it a text".to_owned()
        }
        (Type::Integer | Type::Number, Value::String(text)) if text.parse::<f64>().is_ok() => {
            format!("leave the quotes out: `{text}`")
        }
        (Type::Boolean, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            format!("leave the quotes out: `{text}`")
        }
        _ => return None,
    })
}

/// Advice on a field that the kind does not have.
pub(super) fn on_unknown(unknown: &UnknownField) -> Option<String> {
    let name = last_key(&unknown.field)?;
    if let Some(place) = &unknown.belongs {
        let below = place.segments().len() >= unknown.field.segments().len();
        return Some(if below {
            let parent = last_key(place)?;
            format!(
                "`{name}` is a field of `{parent}`: indent it so that it stands below `{parent}`"
            )
        } else if place.is_root() {
            format!("`{name}` is a field of the object itself: move it to the left margin")
        } else {
            format!("`{name}` is a field of `{place}`: move it there")
        });
    }
    unknown.similar.as_ref().map(|similar| format!("did you mean `{similar}`?"))
}

fn last_key(path: &FieldPath) -> Option<&str> {
    path.segments().iter().rev().find_map(|segment| match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) => None,
    })
}

fn find<'v>(value: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(index) => value.get(index),
    })
}

fn schema_at<'s>(schema: &'s Schema, path: &FieldPath) -> Option<&'s Schema> {
    path.segments().iter().try_fold(schema, |schema, segment| match segment {
        Segment::Key(key) => schema.field(key),
        Segment::Index(_) => schema.items.as_deref(),
    })
}
