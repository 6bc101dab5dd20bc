//! From the body of a request to an object in its canonical form.

use serde_json::Value;
use serin_api::schema::Schema;

use crate::{Prepared, Resource, Status, defaults, embedded, schema};

mod body;
pub(crate) mod canonical;
mod numbers;
mod protobuf;

pub(crate) use canonical::Words;

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

/// What stands before the reason why a body is no JSON.
pub(crate) const MALFORMED: &str = "couldn't get version/kind; json parse error: ";

/// Reads a body as JSON.
///
/// # Errors
/// What is wrong.
pub fn json(bytes: &[u8]) -> Result<Body, String> {
    body::json(bytes)
}

/// Reads a body as YAML, of which JSON is a part.
///
/// # Errors
/// What is wrong.
pub fn yaml(bytes: &[u8]) -> Result<Body, String> {
    body::yaml(bytes)
}

/// Reads a body in Kubernetes' protocol buffers (`application/vnd.kubernetes.protobuf`), in which typed clients such as
/// `kubectl create` send objects of Kubernetes' own kinds.
///
/// # Errors
/// What is wrong.
pub fn protobuf(bytes: &[u8]) -> Result<Body, String> {
    let value = protobuf::read(bytes)?;
    Ok(Body { value, duplicates: Vec::new() })
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
    let value = identified(resource, body.value)?;
    let refused = |why: String| {
        let Resource { kind, version, .. } = resource;
        Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
        ))
    };
    let duplicates = body.duplicates.into_iter().map(|path| format!("duplicate field \"{path}\""));
    let Decoded { mut object, unknown } = decode(resource, value, Words::Json).map_err(refused)?;
    let strict: Vec<String> = duplicates.chain(unknown).collect();
    let warnings = settle(strict, validation).map_err(refused)?;
    defaults::apply(resource, &mut object);
    Ok(Prepared { object, warnings })
}

/// The object of another kind than a resource (a Scale, an Eviction, a review) in canonical form.
///
/// # Errors
/// As for [`object`].
pub fn of_kind(api: (&str, &str, &str), body: Body) -> Result<Value, Status> {
    let (group, version, kind) = api;
    let refused = |why: String| {
        Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
        ))
    };
    let value = if body.value.is_null() { serde_json::json!({}) } else { body.value };
    let node = schema::builtin::of_kind(group, version, kind);
    let (mut value, _) = canonical::canonical(node, value, &[], Words::Json).map_err(refused)?;
    value["apiVersion"] = Value::from(crate::catalog::api_version(group, version));
    value["kind"] = Value::from(kind);
    Ok(value)
}

/// An object that was merged or changed by admission, in canonical form with default values.
///
/// # Errors
/// As for [`object`].
pub fn again(resource: &Resource, object: Value) -> Result<Value, Status> {
    let body = Body { value: object, duplicates: Vec::new() };
    Ok(self::object(resource, body, FieldValidation::Ignore)?.object)
}

/// What strict decoding found becomes an error, warnings, or nothing.
pub(crate) fn settle(
    found: Vec<String>,
    validation: FieldValidation,
) -> Result<Vec<String>, String> {
    match validation {
        FieldValidation::Strict if !found.is_empty() => {
            Err(format!("strict decoding error: {}", found.join(", ")))
        }
        FieldValidation::Warn => Ok(found),
        _ => Ok(Vec::new()),
    }
}

/// An object with the kind and version that the path asks for.
fn identified(resource: &Resource, mut value: Value) -> Result<Value, Status> {
    let Some(map) = value.as_object_mut() else {
        return Err(Status::bad_request(
            "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct { \
             APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        ));
    };
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if resource.is_custom() && (kind.is_empty() || api_version.is_empty()) {
        let missing = if kind.is_empty() { "Kind" } else { "apiVersion" };
        let shown = serde_json::to_string(map).unwrap_or_default();
        return Err(Status::bad_request(format!("Object '{missing}' is missing in '{shown}'")));
    }
    let expected = resource.api_version();
    if !api_version.is_empty() && api_version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        let wanted = &resource.kind;
        let version = &resource.version;
        return Err(Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {wanted}: no kind \"{kind}\" is registered for it"
        )));
    }
    map.insert("apiVersion".to_owned(), expected.into());
    map.insert("kind".to_owned(), resource.kind.as_str().into());
    Ok(value)
}

/// An object without defaults, and what strict decoding says.
pub(crate) struct Decoded {
    pub(crate) object: Value,
    pub(crate) unknown: Vec<String>,
}

/// The canonical form of an object.
pub(crate) fn decode(resource: &Resource, value: Value, words: Words) -> Result<Decoded, String> {
    let Some(version) = resource.definition().and_then(|it| it.version(&resource.version)) else {
        let (object, unknown) = canonical::canonical(resource.schema(), value, &[], words)?;
        return Ok(Decoded { object, unknown });
    };
    let mut object = value;
    let mut unknown = Vec::new();
    if let Some(metadata) = object.get_mut("metadata") {
        let node = schema::builtin::named(METADATA);
        let (canonical, found) = canonical::canonical(node, metadata.take(), &["metadata"], words)?;
        *metadata = canonical;
        unknown.extend(found);
    }
    unknown.extend(version.schema().unknown_fields(&object).iter().map(ToString::to_string));
    version.schema().prune(&mut object);
    if version.has_embedded() {
        unknown.extend(inner_metadata(version.schema(), &mut object, words)?);
    }
    Ok(Decoded { object, unknown })
}

const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Brings the metadata of objects inside a custom resource into canonical form; gives the fields that are unknown.
fn inner_metadata(
    schema: &Schema,
    object: &mut Value,
    words: Words,
) -> Result<Vec<String>, String> {
    let node = schema::builtin::named(METADATA);
    let mut read = Ok(Vec::new());
    embedded::visit_mut(schema, object, &mut |path, inner| {
        let Some(metadata) = inner.get_mut("metadata").filter(|it| it.is_object()) else { return };
        let Ok(unknown) = &mut read else { return };
        let at = path.child("metadata");
        match canonical::canonical(node, metadata.take(), &[at.as_str()], words) {
            Ok((canonical, found)) => {
                *metadata = canonical;
                unknown.extend(found);
            }
            Err(why) => read = Err(why),
        }
    });
    read
}

#[cfg(test)]
mod tests;
