//! What a write makes of an object: metadata that the server sets, what a write may not change, default values and
//! validation.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::fields::{FieldError, Path};
use crate::{Resource, Status, managed, time, validate, warnings};

mod strategy;

/// An object ready for the next step, and what its author should hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The object.
    pub object: Value,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// How ownership of fields is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// An ordinary write: the changed fields belong to the manager.
    Update,
    /// The object comes from [`crate::apply`], which recorded it already.
    Applied,
}

/// The circumstances of a write.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The time.
    pub now: Timestamp,
    /// Who writes: the `fieldManager` parameter, or the user agent up to the first slash.
    pub manager: &'c str,
    /// How ownership of fields is recorded.
    pub ownership: Ownership,
    /// The part of the object that is written: `status`, `scale`; none for the object itself.
    pub subresource: Option<&'c str>,
}

/// Names for a new object.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'c> {
    /// Its namespace: that of the path; empty for objects of the whole cluster.
    pub namespace: &'c str,
    /// Its uid.
    pub uid: &'c str,
}

/// The name that a new object needs where it asks for one by `generateName`; none where it has one or asks for none.
pub fn generated_name(object: &Value, random: &mut dyn FnMut(usize) -> usize) -> Option<String> {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let asks = text("name").is_empty() && !text("generateName").is_empty();
    asks.then(|| crate::names::generate(text("generateName"), random))
}

/// Prepares a new object (with defaults, from [`crate::decode::object`] and admission) to be stored: checks name and
/// namespace, sets what the server sets, resets the status, records ownership, validates.
///
/// `generateName` must have been resolved by [`generated_name`]. Addresses of Services are given out afterwards, by
/// [`crate::service::allocate`].
///
/// # Errors
/// The status to answer with.
pub fn create(
    resource: &Resource,
    object: Value,
    identity: &Identity<'_>,
    context: &Context<'_>,
) -> Result<Prepared, Status> {
    // A review is answered, not stored: it has no name.
    if !resource.is_stored() {
        return Ok(Prepared { object, warnings: Vec::new() });
    }
    let object = create_unchecked(resource, object, identity, context)?;
    check(resource, None, &object, context.subresource)?;
    let warnings = warnings::object(resource, None, &object);
    Ok(Prepared { object, warnings })
}

/// The same without validation: for objects that are known to be right.
///
/// # Errors
/// The status to answer with where name or namespace do not fit.
pub fn create_unchecked(
    resource: &Resource,
    mut object: Value,
    identity: &Identity<'_>,
    context: &Context<'_>,
) -> Result<Value, Status> {
    let metadata = metadata_of(&mut object)?;
    let namespace = text(metadata, "namespace");
    let wanted = if resource.namespaced { identity.namespace } else { "" };
    if !namespace.is_empty() && namespace != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !text(metadata, "resourceVersion").is_empty() {
        return Err(Status::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        metadata.remove(name);
    }
    if !wanted.is_empty() {
        metadata.insert("namespace".to_owned(), wanted.into());
    }
    metadata.insert("uid".to_owned(), identity.uid.into());
    metadata.insert("creationTimestamp".to_owned(), time::seconds(context.now).into());
    let name = text(metadata, "name");
    if name.is_empty() && text(metadata, "generateName").is_empty() {
        let why = "name or generateName is required";
        let error = FieldError::required(&Path::new("metadata.name"), why);
        return Err(Status::invalid(resource, "", &[error]));
    }
    strategy::secret_texts(resource, &mut object);
    if context.ownership == Ownership::Update {
        let writer = (context.manager, context.subresource);
        managed::update(resource, None, &mut object, writer, context.now);
    }
    strategy::before_create(resource, &mut object);
    Ok(object)
}

/// Prepares a changed object to be stored in the place of `old`, both in the version of `resource`. Without a
/// subresource the status stays as it was; with `status` everything but the status does.
///
/// # Errors
/// The status to answer with.
pub fn update(
    resource: &Resource,
    old: &Value,
    mut object: Value,
    context: &Context<'_>,
) -> Result<Prepared, Status> {
    let metadata = metadata_of(&mut object)?;
    for name in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ] {
        match old["metadata"].get(name) {
            Some(value) => metadata.insert(name.to_owned(), value.clone()),
            None => metadata.remove(name),
        };
    }
    for name in ["uid", "name", "namespace"] {
        if text(metadata, name).is_empty()
            && let Some(value) = old["metadata"].get(name)
        {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    same_name(old, &object)?;
    let (uid, wanted) = (meta(&object, "uid"), meta(old, "uid"));
    if uid != wanted {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {wanted}"
        );
        return Err(Status::conflict(resource, &meta(old, "name"), &why));
    }
    strategy::secret_texts(resource, &mut object);
    strategy::keep(resource, old, &mut object, context.subresource);
    if context.ownership == Ownership::Update {
        let writer = (context.manager, context.subresource);
        managed::update(resource, Some(old), &mut object, writer, context.now);
    }
    strategy::carry(resource, old, &mut object, context.subresource);
    strategy::count(resource, old, &mut object);
    check(resource, Some(old), &object, context.subresource)?;
    let warnings = match context.subresource {
        None if resource.is_custom() || is_changed(old, &object) => {
            warnings::object(resource, Some(old), &object)
        }
        _ => Vec::new(),
    };
    Ok(Prepared { object, warnings })
}

/// Whether what is wanted changed: where changes are counted, the count tells.
fn is_changed(old: &Value, object: &Value) -> bool {
    let generation = |it: &Value| it["metadata"]["generation"].as_i64();
    generation(object).is_none() || generation(old) != generation(object)
}

/// An object keeps its name and namespace, which are those of the path.
fn same_name(old: &Value, object: &Value) -> Result<(), Status> {
    let (name, wanted) = (meta(object, "name"), meta(old, "name"));
    if name != wanted {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        )));
    }
    let (namespace, wanted) = (meta(object, "namespace"), meta(old, "namespace"));
    if namespace != wanted {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({wanted})"
        )));
    }
    Ok(())
}

fn check(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
    subresource: Option<&str>,
) -> Result<(), Status> {
    let errors = validate::object(resource, old, object, subresource);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(resource, &meta(object, "name"), &errors))
}

fn metadata_of(object: &mut Value) -> Result<&mut Map<String, Value>, Status> {
    let Some(map) = object.as_object_mut() else {
        return Err(Status::bad_request("the body of the request is no object"));
    };
    map.entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("metadata must be an object"))
}

fn text(from: &Map<String, Value>, name: &str) -> String {
    from.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A text of an object's metadata.
fn meta(object: &Value, name: &str) -> String {
    object["metadata"][name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
