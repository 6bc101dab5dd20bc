//! Turns a tree of plain values (from YAML or JSON) into typed objects.
//!
//! It is as lenient as the readers that users know: a field that is `null` is absent, unknown fields are passed over
//! (the schema reports them), whole numbers may be written as text or with `.0`. What cannot be read is reported with
//! the path of the field.

mod reader;

use serde::Deserialize;
use serde_json::Value;

use crate::{FieldPath, Meta, Object, Resource};
use reader::Reader;

/// A value that is not what its field holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct DecodeError {
    /// The field; the root when the object itself is not one.
    pub field: FieldPath,
    /// What was found and what may stand there.
    pub message: String,
}

/// Reads any type from a tree of values.
///
/// # Errors
/// The first value that does not fit its field.
pub fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, DecodeError> {
    decode_at(value, FieldPath::root())
}

fn decode_at<'de, T: Deserialize<'de>>(value: &'de Value, at: FieldPath) -> Result<T, DecodeError> {
    T::deserialize(Reader::new(value)).map_err(|error| error.located(&at))
}

impl<T: Resource> Object<T> {
    /// Reads a whole object. The caller has found by its `apiVersion` and `kind` that it is a `T`.
    ///
    /// # Errors
    /// The first value that does not fit its field.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let part = |name: &str| value.get(name).filter(|part| !part.is_null());
        let meta =
            part("metadata").map(|it| decode_at::<Meta>(it, FieldPath::root().key("metadata")));
        let spec = if T::HAS_SPEC {
            static ABSENT: Value = Value::Null;
            match part("spec") {
                Some(spec) => decode_at(spec, FieldPath::spec())?,
                None => decode_at(&ABSENT, FieldPath::spec())?,
            }
        } else {
            decode(value)?
        };
        Ok(Self {
            api_version: value
                .get("apiVersion")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            meta: meta.transpose()?.unwrap_or_default(),
            spec,
            status: part("status").cloned().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
