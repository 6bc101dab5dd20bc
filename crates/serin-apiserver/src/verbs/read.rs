//! Objects and lists of them.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;
use serin_objects::{Status, scale};

use super::answer::{self, ListMeta};
use super::continuation::Continuation;
use super::select::Selection;
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::Call;
use crate::store::Object;

pub(super) fn get(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let object = server
        .inner
        .store
        .object(&call.storage(), &call.key())
        .ok_or_else(|| Status::not_found(&call.resource, call.object_name()))?;
    if call.subresource.as_deref() == Some("scale") {
        let scale = scale::get(&call.resource, &answer::shown(&call.resource, &object))?;
        return Ok(answer::one(call, StatusCode::OK, &scale));
    }
    Ok(answer::stored(call, &object))
}

pub(super) fn list(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let selection = Selection::read(&call.resource, &call.query, None)?;
    let limit =
        call.query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    let (candidates, revision) = candidates(server, call)?;
    let everything = selection.is_everything();
    let total = candidates.len();
    let mut objects: Vec<Object> = Vec::new();
    let mut more = None;
    let mut last: Arc<str> = Arc::default();
    for (name, object) in candidates {
        let value: Value;
        if !everything {
            value = answer::shown(&call.resource, &object);
            if !selection.matches(&value) {
                continue;
            }
        }
        if limit > 0 && objects.len() == limit {
            more = Some(Continuation { revision, after: last.to_string() }.token());
            break;
        }
        last = name;
        objects.push(object);
    }
    let remaining = (more.is_some() && everything).then(|| total - objects.len());
    Ok(answer::list(call, objects, &ListMeta { revision, more, remaining }))
}

/// Objects with their names.
type Found = Vec<(Arc<str>, Object)>;

/// The objects in the place of the request, after where the page before ended, and the revision of the state they show.
fn candidates(server: &ApiServer, call: &Call) -> Result<(Found, u64), Status> {
    let store = &server.inner.store;
    let (storage, prefix) = (call.storage(), prefix(&call.namespace));
    let exact = match call.query.text("resourceVersionMatch") {
        Some("Exact") => call.query.number("resourceVersion")?,
        _ => None,
    };
    let (revision, after) = match (call.query.text("continue"), exact) {
        (Some(token), _) => {
            let continuation = Continuation::parse(token)?;
            (continuation.revision, Some(continuation.after))
        }
        (None, Some(revision)) => (revision.unsigned_abs(), None),
        (None, None) => {
            let (found, revision) = store.list(&storage, &prefix, None);
            return Ok((found, revision));
        }
    };
    let found = store.list_at(&storage, &prefix, after.as_deref(), revision).map_err(|_| {
        Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        )
    })?;
    Ok((found, revision))
}

/// How the names of objects in a namespace begin; empty for all.
pub(super) fn prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}
