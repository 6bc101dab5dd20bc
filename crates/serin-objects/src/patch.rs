//! The three kinds of patch that are merged or carried out. (Server-side apply is [`crate::apply`].)

use serde_json::Value;

use crate::decode::{Decoded, FieldValidation, Words, decode, settle};
use crate::fields::{FieldError, Path};

use crate::{Prepared, Resource, Status, convert, defaults};

mod merge;
mod strategic;

/// How many operations a JSON patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// A kind of patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`, which custom resources do not have.
    Strategic,
}

impl Kind {
    /// The kind of a media type.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            _ => None,
        }
    }
}

/// What `old`, in the version of `resource`, becomes by a patch: in canonical form with default values.
///
/// # Errors
/// The status to answer with.
pub fn patch(
    resource: &Resource,
    old: &Value,
    kind: Kind,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Prepared, Status> {
    match kind {
        Kind::Json => {
            let patched = operations(old, body)?;
            finish(resource, patched, Vec::new(), validation, None)
        }
        Kind::Merge => {
            let (patch, duplicates) = document(body, kind)?;
            let mut patched = old.clone();
            merge::merge(&mut patched, &patch);
            finish(resource, patched, duplicates, validation, None)
        }
        Kind::Strategic => {
            if resource.is_custom() {
                return Err(no_strategic(resource));
            }
            let (patch, duplicates) = document(body, kind)?;
            let patched = strategic::merge(resource.schema(), old.clone(), patch.clone())?;
            finish(resource, patched, duplicates, validation, Some(&patch))
        }
    }
}

/// The same for any value that has no kind of its own here, such as a Scale.
///
/// # Errors
/// The status to answer with.
pub fn patch_plain(old: &Value, kind: Kind, body: &[u8]) -> Result<Value, Status> {
    if kind == Kind::Json {
        return operations(old, body);
    }
    let (patch, _) = document(body, kind)?;
    let mut patched = old.clone();
    merge::merge(&mut patched, &patch);
    Ok(patched)
}

/// Custom resources have no strategies.
fn no_strategic(resource: &Resource) -> Status {
    let accepted = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ];
    let _ = resource;
    Status::unsupported_media_type(&accepted)
}

/// The document of a merge patch, and the fields in it that stand twice.
fn document(body: &[u8], kind: Kind) -> Result<(Value, Vec<String>), Status> {
    let body = crate::decode::json(body)
        .map_err(|why| Status::bad_request(why.trim_start_matches(crate::decode::MALFORMED)))?;
    if !body.value.is_object() {
        return Err(Status::bad_request(match kind {
            Kind::Strategic => {
                let found = crate::go::json_kind(&body.value);
                format!(
                    "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )
            }
            _ => "Invalid JSON Patch".to_owned(),
        }));
    }
    let duplicates =
        body.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    Ok((body.value, duplicates))
}

/// Carries out the operations of a JSON patch.
fn operations(old: &Value, body: &[u8]) -> Result<Value, Status> {
    let listed: Value = serde_json::from_slice(body).map_err(|error| {
        Status::bad_request(crate::go::json::error(body).unwrap_or_else(|| error.to_string()))
    })?;
    if !listed.is_array() {
        let found = crate::go::json_kind(&listed);
        return Err(Status::bad_request(format!(
            "json: cannot unmarshal {found} into Go value of type jsonpatch.Patch"
        )));
    }
    // Operations that do not exist are only noticed when they are to be carried out.
    let patch: json_patch::Patch =
        serde_json::from_value(listed).map_err(|_| Status::unprocessable())?;
    let count = patch.0.len();
    if count > MAX_OPERATIONS {
        return Err(Status::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
            ),
        ));
    }
    let mut patched = old.clone();
    match json_patch::patch(&mut patched, &patch) {
        Ok(()) => Ok(patched),
        Err(_) => Err(Status::unprocessable()),
    }
}

/// A patched object as one that was sent. `merged` is the patch where it was merged before it was read.
fn finish(
    resource: &Resource,
    patched: Value,
    duplicates: Vec<String>,
    validation: FieldValidation,
    merged: Option<&Value>,
) -> Result<Prepared, Status> {
    let shown = match merged {
        Some(patch) => crate::go::printed(patch),
        None => patched.to_string(),
    };
    let refused = |why: String| {
        let error = FieldError::invalid(&Path::new("patch"), shown.as_str(), &why);
        let mut status = Status::invalid_kind("", "", "", &[error]);
        status.message = status.message.trim_start().to_owned();
        status
    };
    if !patched.is_object() {
        return Err(refused(
            "json: cannot unmarshal into Go value of type map[string]interface {}".to_owned(),
        ));
    }
    let api_version = patched["apiVersion"].as_str().unwrap_or_default().to_owned();
    if api_version != resource.api_version() || patched["kind"] != resource.kind.as_str() {
        return Err(Status::bad_request(format!(
            "the patch changes the kind of the object to {api_version} {}",
            patched["kind"]
        )));
    }
    let words = if merged.is_some() { Words::Merged } else { Words::Json };
    let Decoded { mut object, unknown } = decode(resource, patched, words).map_err(refused)?;
    let found = duplicates.into_iter().chain(unknown).collect();
    let warnings = settle(found, validation).map_err(refused)?;
    defaults::apply(resource, &mut object);
    Ok(Prepared { object: convert::to_version(resource, object), warnings })
}

#[cfg(test)]
mod tests;
