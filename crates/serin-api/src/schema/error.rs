//! What is wrong with a value, in the words of Kubernetes.

use std::fmt;

use serde_json::Value;

use super::go_text::{number, quote};
use crate::{FieldPath, Segment};

/// The kind of an error: the `reason` of a cause in a Kubernetes status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value is missing.
    Required,
    /// A value stands twice where it must be unique.
    Duplicate,
    /// A value is malformed.
    Invalid,
    /// A value is none of the allowed ones.
    NotSupported,
    /// A value is not allowed under the circumstances.
    Forbidden,
    /// A text is too long.
    TooLong,
    /// A list or map has too many elements.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
}

impl ErrorKind {
    /// The name in a Kubernetes status.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

/// What made a value wrong, for codes of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The type.
    Type,
    /// A missing field.
    Required,
    /// The list of allowed values.
    Enumeration,
    /// A limit.
    Limit,
    /// A pattern or format.
    Format,
    /// A duplicate.
    Duplicate,
    /// `oneOf`, `anyOf`, `allOf`, `not`.
    Alternatives,
    /// A rule in CEL.
    Rule,
}

/// One thing wrong with a value. It prints as Kubernetes prints it: `spec.hosts: Required value`.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaError {
    /// The kind.
    pub kind: ErrorKind,
    /// The value at fault; for [`ErrorKind::Required`] where it is missing.
    pub field: FieldPath,
    /// What made it wrong.
    pub cause: Cause,
    /// The text without the field.
    pub message: String,
    /// The field as Kubernetes writes it where that differs from `field`.
    name: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// A path as the structural validation writes it: map keys are joined by dots like fields.
pub(super) fn dotted(path: &FieldPath) -> String {
    let mut text = String::new();
    for segment in path.segments() {
        match segment {
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
        }
    }
    text
}

/// A value inside of an error text.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(it) if it.is_f64() => it.as_f64().map_or_else(String::new, number),
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

impl SchemaError {
    /// The field as Kubernetes writes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The error of the structural validation that `detail` describes.
    fn in_body(
        kind: ErrorKind,
        cause: Cause,
        path: &FieldPath,
        value: &Value,
        detail: &str,
    ) -> Self {
        let name = dotted(path);
        let message = format!("{}: {}: {name} in body {detail}", kind.text(), shown(value));
        Self { kind, field: path.clone(), cause, message, name: or_nil(name) }
    }

    pub(super) fn invalid(cause: Cause, path: &FieldPath, value: &Value, detail: &str) -> Self {
        Self::in_body(ErrorKind::Invalid, cause, path, value, detail)
    }

    pub(super) fn wrong_type(path: &FieldPath, wanted: &str, found: &str) -> Self {
        let value = Value::from(found);
        let detail = format!("must be of type {wanted}: {}", quote(found));
        Self::in_body(ErrorKind::TypeInvalid, Cause::Type, path, &value, &detail)
    }

    /// An error whose text has no value in it.
    fn plain(kind: ErrorKind, cause: Cause, path: &FieldPath, detail: &str) -> Self {
        let message = if detail.is_empty() {
            kind.text().to_owned()
        } else {
            format!("{}: {detail}", kind.text())
        };
        Self { kind, field: path.clone(), cause, message, name: or_nil(dotted(path)) }
    }

    pub(super) fn required(path: &FieldPath) -> Self {
        Self::plain(ErrorKind::Required, Cause::Required, path, "")
    }

    pub(super) fn too_long(path: &FieldPath, limit: u64) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {limit} {unit}");
        Self::plain(ErrorKind::TooLong, Cause::Limit, path, &detail)
    }

    pub(super) fn too_many(path: &FieldPath, count: usize, limit: u64) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        let detail = format!("{count}: must have at most {limit} {unit}");
        Self::plain(ErrorKind::TooMany, Cause::Limit, path, &detail)
    }

    pub(super) fn not_supported(path: &FieldPath, value: &Value, allowed: &[Value]) -> Self {
        let allowed: Vec<String> = allowed
            .iter()
            .map(|value| value.as_str().map_or_else(|| quote(&value.to_string()), quote))
            .collect();
        let detail = format!("{}: supported values: {}", shown(value), allowed.join(", "));
        Self::plain(ErrorKind::NotSupported, Cause::Enumeration, path, &detail)
    }

    pub(super) fn duplicate(path: &FieldPath, value: &Value) -> Self {
        let message = format!("{}: {}", ErrorKind::Duplicate.text(), shown(value));
        let name = path.to_string();
        Self {
            kind: ErrorKind::Duplicate,
            field: path.clone(),
            cause: Cause::Duplicate,
            message,
            name,
        }
    }

    /// An error about alternatives, which Kubernetes reports without a field.
    pub(super) fn alternatives(path: &FieldPath, detail: &str) -> Self {
        let message = format!("Invalid value: \"\": {} {detail}", quote(&dotted(path)));
        Self {
            kind: ErrorKind::Invalid,
            field: path.clone(),
            cause: Cause::Alternatives,
            message,
            name: or_nil(String::new()),
        }
    }

    /// A rule that does not hold. Kubernetes shows the type in the place of the value.
    pub(super) fn rule(
        kind: ErrorKind,
        path: &FieldPath,
        value: Option<&str>,
        detail: &str,
    ) -> Self {
        let value = value.map_or_else(String::new, |value| format!(" {}:", quote(value)));
        let message = format!("{}:{value} {detail}", kind.text());
        Self {
            kind,
            field: path.clone(),
            cause: Cause::Rule,
            message,
            name: or_nil(path.to_string()),
        }
    }

    pub(super) fn rules_not_checked() -> Self {
        let message = "Invalid value: null: some validation rules were not checked because the object was invalid; \
                       correct the existing errors to complete validation";
        Self {
            kind: ErrorKind::Invalid,
            field: FieldPath::root(),
            cause: Cause::Rule,
            message: message.to_owned(),
            name: or_nil(String::new()),
        }
    }

    /// Whether the value is too broken for rules to be evaluated on it.
    pub(super) const fn is_blocking(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::NotSupported
                | ErrorKind::Required
                | ErrorKind::TooLong
                | ErrorKind::TooMany
                | ErrorKind::TypeInvalid
        )
    }
}

fn or_nil(name: String) -> String {
    if name.is_empty() { "<nil>".to_owned() } else { name }
}
