//! Objects and lists of them.

use std::sync::Arc;

use http::{Response, StatusCode};
use serin_objects::{Status, scale};

use super::answer::{self, ListMeta};
use super::components;
use super::continuation::Continuation;
use super::options::{self, Wanted};
use super::select::Selection;
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::Call;
use crate::store::{Object, Page};

pub(super) fn get(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let stored = || server.inner.store.object(&call.storage(), &call.key());
    let made = components::are(&call.resource).then(|| components::find(call.object_name()));
    let object = made
        .unwrap_or_else(stored)
        .ok_or_else(|| Status::not_found(&call.resource, call.object_name()))?;
    if call.subresource.as_deref() == Some("scale") {
        let scale = scale::get(&call.resource, &answer::shown(&call.resource, &object))?;
        return Ok(answer::one(call, StatusCode::OK, &scale));
    }
    Ok(answer::stored(call, &object))
}

pub(super) fn list(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let selection = Selection::read(&call.resource, &call.query, None)?;
    // It ends watches only, and has to be a number here, too.
    call.query.number("timeoutSeconds")?;
    let limit = call.query.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let everything = selection.is_everything();
    let (candidates, mut left, revision) =
        candidates(server, call, if everything { limit } else { usize::MAX })?;
    let mut chosen = candidates
        .into_iter()
        .filter(|(key, object)| everything || selection.fits(&call.resource, key, object));
    let mut last: Arc<str> = Arc::default();
    let mut objects: Vec<Object> = Vec::new();
    for (key, object) in chosen.by_ref().take(limit) {
        last = key;
        objects.push(object);
    }
    if !everything {
        left = usize::from(chosen.next().is_some());
    }
    let more = (left > 0).then(|| Continuation { revision, after: last.to_string() }.token());
    let remaining = (more.is_some() && everything).then_some(left);
    Ok(answer::list(call, objects, &ListMeta { revision, more, remaining }))
}

/// The first objects in the place of the request, after where the page before ended, how many come after them, and the revision
/// of the state they show.
fn candidates(server: &ApiServer, call: &Call, limit: usize) -> Result<(Page, usize, u64), Status> {
    let store = &server.inner.store;
    let wanted = options::of_list(&call.query, store.revision())?;
    if components::are(&call.resource) {
        return Ok((components::all(), 0, store.revision()));
    }
    let (revision, after) = match (call.query.text("continue"), wanted) {
        (Some(token), _) => {
            let continuation = Continuation::parse(token)?;
            (Some(continuation.revision), Some(continuation.after))
        }
        (None, Wanted::At(revision)) => (Some(revision), None),
        (None, Wanted::Present) => (None, None),
    };
    let place = (prefix(&call.namespace), after);
    let place = (place.0.as_str(), place.1.as_deref());
    store.page(&call.storage(), place, revision, limit).map_err(|_| {
        Status::expired(if place.1.is_some() {
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter."
        } else {
            "The resourceVersion for the provided list is too old."
        })
    })
}

/// How the names of objects in a namespace begin; empty for all.
pub(super) fn prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}
