//! Deleting: an object goes at once, or is marked and goes when nothing holds it any more.

use std::sync::Arc;

use http::{Response, StatusCode};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use serin_objects::{Resource, Status, convert, status};

use super::answer::{self, ListMeta, shown};
use super::input::{self, Deletion};
use super::select::Selection;
use super::{collect, definitions};
use crate::admission::{Operation, Review};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::{Call, storage_of};
use crate::store::{Draft, Expect, Object, WriteError};

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";
const ATTEMPTS: usize = 32;
/// Namespaces that a cluster cannot do without.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// What became of an object that was to go.
pub(super) enum Removed {
    /// It is gone; as it was.
    Gone(Value),
    /// It waits for its finalizers.
    Marked(Value),
}

pub(super) async fn delete(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    if call.subresource.is_some() {
        return Err(Status::method_not_allowed(&call.resource, call.verb));
    }
    let deletion = input::deletion(call)?;
    Ok(match remove(server, &call.resource, &call.key(), &deletion).await? {
        Removed::Marked(object) => answer::one(call, StatusCode::OK, &object),
        // Clients of these kinds get the object, as from a real server.
        Removed::Gone(object)
            if matches!(call.resource.kind.as_str(), "Pod" | "Service" | "Namespace") =>
        {
            answer::one(call, StatusCode::OK, &object)
        }
        Removed::Gone(object) => {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            let text = status::deleted(&call.resource, call.object_name(), uid).to_string();
            crate::server::request::answer(StatusCode::OK, "application/json", text.into())
        }
    })
}

pub(super) async fn delete_collection(
    server: &ApiServer,
    call: &Call,
) -> Result<Response<Body>, Status> {
    let selection = Selection::read(&call.resource, &call.query, None)?;
    let deletion = input::deletion(call)?;
    let prefix = super::read::prefix(&call.namespace);
    let (found, revision) = server.inner.store.list(&call.storage(), &prefix, None);
    let mut removed: Vec<Object> = Vec::new();
    for (key, object) in found {
        if !selection.matches(&shown(&call.resource, &object)) {
            continue;
        }
        match remove(server, &call.resource, &key, &deletion).await {
            Ok(_) => removed.push(object),
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(answer::list(call, removed, &ListMeta { revision, more: None, remaining: None }))
}

/// Whether something has to happen before the object goes.
pub(super) fn is_held(object: &Value) -> bool {
    let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    some(&object["metadata"]["finalizers"])
        || object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|left| left > 0)
        || (object["kind"] == "Namespace"
            && object["apiVersion"] == "v1"
            && some(&object["spec"]["finalizers"]))
}

/// Deletes an object or marks it.
pub(super) async fn remove(
    server: &ApiServer,
    resource: &Arc<Resource>,
    key: &str,
    deletion: &Deletion,
) -> Result<Removed, Status> {
    let storage = storage_of(resource);
    let name = key.rsplit('/').next().unwrap_or(key);
    let store = &server.inner.store;
    for _ in 0..ATTEMPTS {
        let stored =
            store.object(&storage, key).ok_or_else(|| Status::not_found(resource, name))?;
        let old = shown(resource, &stored);
        check(resource, name, &old, deletion)?;
        admit(server, resource, (name, &old), deletion).await?;
        let mut object = old.clone();
        wish(&mut object, deletion.propagation.as_deref());
        if definitions::are(resource) {
            definitions::hold(server, &mut object);
        }
        mark(resource, &mut object, deletion.grace);
        let held = is_held(&object);
        if deletion.dry_run {
            return Ok(if held { Removed::Marked(object) } else { Removed::Gone(old) });
        }
        let written = if held {
            if object == old {
                return Ok(Removed::Marked(old));
            }
            let draft = Draft::new(&convert::to_storage(resource, object));
            store.put(&storage, key, Expect::Revision(stored.revision()), draft).await
        } else {
            store.delete(&storage, key, stored.revision()).await
        };
        match written {
            Ok(written) if held => {
                collect::marked(server, resource, written.value());
                return Ok(Removed::Marked(shown(resource, &written)));
            }
            Ok(gone) => {
                collect::gone(server, resource, gone.value());
                return Ok(Removed::Gone(shown(resource, &gone)));
            }
            Err(WriteError::Conflict(_)) => {}
            Err(WriteError::Store(error)) => return Err(Status::internal(error)),
        }
    }
    Err(Status::modified(resource, name))
}

/// Whether the object may go, and is the one that the client means.
fn check(resource: &Resource, name: &str, old: &Value, deletion: &Deletion) -> Result<(), Status> {
    if resource.kind == "Namespace" && resource.group.is_empty() && IMMORTAL.contains(&name) {
        return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
    }
    for (wanted, field, what, reason) in [
        (&deletion.uid, "uid", "UID", "deleted and then recreated"),
        (&deletion.revision, "resourceVersion", "ResourceVersion", "modified"),
    ] {
        let have = old["metadata"][field].as_str().unwrap_or_default();
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != have) {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({have}). The object might have been {reason}"
            );
            return Err(Status::conflict_kind(resource, name, &why));
        }
    }
    Ok(())
}

/// Sets the finalizers that say what happens to dependents.
fn wish(object: &mut Value, propagation: Option<&str>) {
    let wanted = match propagation {
        Some("Foreground") => Some(FOREGROUND),
        Some("Orphan") => Some(ORPHAN),
        Some(_) => None,
        None => return,
    };
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.retain(|it| it != FOREGROUND && it != ORPHAN);
    finalizers.extend(wanted.map(Value::from));
    put_finalizers(object, finalizers);
}

/// Sets the finalizers; none are no field.
pub(super) fn put_finalizers(object: &mut Value, finalizers: Vec<Value>) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), finalizers.into());
        }
    }
}

/// Notes that the object goes, and until when what runs for it may take.
fn mark(resource: &Resource, object: &mut Value, wanted: Option<i64>) {
    const FORM: &str = "%Y-%m-%dT%H:%M:%SZ";
    if let Some(at) = object["metadata"]["deletionTimestamp"].as_str() {
        // Only a shorter time may be asked for afterwards.
        let granted = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if let (Some(wanted), Ok(at)) = (wanted, at.parse::<Timestamp>())
            && wanted < granted
        {
            let wanted = wanted.max(0);
            let at = at.checked_sub((granted - wanted).seconds()).unwrap_or(at);
            object["metadata"]["deletionTimestamp"] = at.strftime(FORM).to_string().into();
            object["metadata"]["deletionGracePeriodSeconds"] = json!(wanted);
        }
        return;
    }
    let grace = grace(resource, object, wanted);
    let now = Timestamp::now();
    let end = now.checked_add(grace.seconds()).unwrap_or(now);
    object["metadata"]["deletionTimestamp"] = end.strftime(FORM).to_string().into();
    object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = json!(generation + 1);
    }
    if object["kind"] == "Namespace" && object["apiVersion"] == "v1" {
        object["status"]["phase"] = json!("Terminating");
    }
}

/// How long an object may take to go: only pods that run somewhere need time.
fn grace(resource: &Resource, object: &Value, wanted: Option<i64>) -> i64 {
    let runs = resource.group.is_empty()
        && resource.kind == "Pod"
        && object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty())
        && !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !runs {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    match wanted.or(own).unwrap_or(0) {
        seconds if seconds < 0 => 1,
        // A period beyond reason would not fit into a time.
        seconds => seconds.min(i64::from(u32::MAX)),
    }
}

async fn admit(
    server: &ApiServer,
    resource: &Resource,
    (name, old): (&str, &Value),
    deletion: &Deletion,
) -> Result<(), Status> {
    let review = Review {
        operation: Operation::Delete,
        resource,
        subresource: "",
        namespace: old["metadata"]["namespace"].as_str().unwrap_or_default(),
        name,
        object: &Value::Null,
        old,
        user: &deletion.user,
        dry_run: deletion.dry_run,
    };
    server.mutate(&review, &mut Value::Null).await?;
    // A deletion is answered with no warnings of admission: none of its clients shows them with a status.
    server.validate(&review).await.map(|_| ())
}
