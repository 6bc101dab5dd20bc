//! What is wrong with fields of an object, in the words of Kubernetes.

use std::fmt;

use serde_json::Value;

use crate::go;

/// Where a value stands: `spec.containers[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// The object itself.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// A field of the object, or several levels of them separated by dots.
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// A field below this path, or several levels of them separated by dots.
    #[must_use]
    pub fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Self(field.to_owned()) } else { Self(format!("{}.{field}", self.0)) }
    }

    /// An element of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// An entry of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// The kind of an error: the `reason` of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A value is missing.
    Required,
    /// A value stands twice where it must be unique.
    Duplicate,
    /// Something a value refers to does not exist.
    NotFound,
    /// A value is malformed.
    Invalid,
    /// A value is none of the allowed ones.
    NotSupported,
    /// A value is not allowed under the circumstances.
    Forbidden,
    /// A text is too long.
    TooLong,
    /// There are too many values.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// The server could not decide.
    Internal,
}

impl FieldErrorKind {
    /// The name in a status.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::NotFound => "Not found",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One thing wrong with an object. Prints as `spec.replicas: Invalid value: -1: must be …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What kind of thing.
    pub kind: FieldErrorKind,
    /// Where; `<nil>` where it is nowhere in particular.
    pub field: String,
    /// The text after the field.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl FieldError {
    fn new(kind: FieldErrorKind, path: &Path, value: Option<&Value>, detail: &str) -> Self {
        let mut message = kind.text().to_owned();
        if let Some(value) = value {
            message.push_str(": ");
            message.push_str(&go::shown(value));
        }
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        Self { kind, field: path.to_string(), message }
    }

    /// A value is missing. `detail` may be empty.
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorKind::Required, path, None, detail)
    }

    /// A value is malformed.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(FieldErrorKind::Invalid, path, Some(&value.into()), detail)
    }

    /// A value has the wrong type.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(FieldErrorKind::TypeInvalid, path, Some(&value.into()), detail)
    }

    /// A value stands twice.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, path, Some(&value.into()), "")
    }

    /// Something that the value names does not exist.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, path, Some(&value.into()), "")
    }

    /// A value is none of the allowed ones, which are told in the order in which they are given.
    pub fn not_supported(path: &Path, value: impl Into<Value>, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|it| go::quote(it)).collect();
        let detail = if allowed.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", allowed.join(", "))
        };
        Self::new(FieldErrorKind::NotSupported, path, Some(&value.into()), &detail)
    }

    /// A value is not allowed under the circumstances.
    pub fn forbidden(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorKind::Forbidden, path, None, detail)
    }

    /// A text has more bytes than allowed.
    pub fn too_long(path: &Path, limit: usize) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {limit} {unit}");
        Self::new(FieldErrorKind::TooLong, path, None, &detail)
    }

    /// A list or map has more elements than allowed.
    pub fn too_many(path: &Path, count: usize, limit: usize) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        let detail = format!("must have at most {limit} {unit}");
        Self::new(FieldErrorKind::TooMany, path, Some(&count.into()), &detail)
    }

    /// The cause in a status.
    pub fn cause(&self) -> crate::status::Cause {
        crate::status::Cause {
            reason: self.kind.reason().to_owned(),
            message: self.message.clone(),
            field: self.field.clone(),
        }
    }
}

impl From<&serin_api::schema::SchemaError> for FieldError {
    fn from(error: &serin_api::schema::SchemaError) -> Self {
        use serin_api::schema::ErrorKind;
        let kind = match error.kind {
            ErrorKind::Required => FieldErrorKind::Required,
            ErrorKind::Duplicate => FieldErrorKind::Duplicate,
            ErrorKind::Invalid => FieldErrorKind::Invalid,
            ErrorKind::NotSupported => FieldErrorKind::NotSupported,
            ErrorKind::Forbidden => FieldErrorKind::Forbidden,
            ErrorKind::TooLong => FieldErrorKind::TooLong,
            ErrorKind::TooMany => FieldErrorKind::TooMany,
            ErrorKind::TypeInvalid => FieldErrorKind::TypeInvalid,
        };
        Self { kind, field: error.name().to_owned(), message: error.message.clone() }
    }
}
