//! Watches: every change of a resource from a revision on, as one JSON object a line.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use serin_objects::{Status, convert};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::answer;
use super::read::prefix;
use super::select::Selection;
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::{Call, answer as respond};
use crate::store::{Change, Event, Store};

/// How many events are read from the store at once.
const BATCH: usize = 256;
/// How long a watch lasts at most, where the client does not say.
const LIFETIME: Duration = Duration::from_secs(45 * 60);
/// How often a client that wants them is told how far the history has come.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// The state of one watch.
struct Follower {
    store: Store,
    call: Call,
    selection: Selection,
    prefix: String,
    storage: String,
    /// Everything up to here was told.
    revision: u64,
    changed: signal::Receiver<u64>,
    stopping: signal::Receiver<bool>,
    ready: VecDeque<Bytes>,
    first: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    over: bool,
}

pub(super) fn watch(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let selection = Selection::read(&call.resource, &call.query, call.name.as_deref())?;
    let lifetime = call.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let lifetime = lifetime.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.unsigned_abs()));
    let from = match call.query.text("resourceVersion") {
        None | Some("0") => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| {
            Status::bad_request(format!(
                "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        })?),
    };
    let store = server.inner.store.clone();
    let storage = call.storage();
    let now = Instant::now();
    let mut follower = Follower {
        changed: store.subscribe(&storage),
        stopping: server.inner.stopping.subscribe(),
        call: call.clone(),
        selection,
        prefix: prefix(&call.namespace),
        storage,
        revision: from.unwrap_or_default(),
        ready: VecDeque::new(),
        first: true,
        bookmarks: call.query.flag("allowWatchBookmarks"),
        next_bookmark: now + BOOKMARKS,
        end: now + lifetime,
        over: false,
        store,
    };
    let asked = call.query.has("sendInitialEvents");
    if call.query.flag("sendInitialEvents") || (from.is_none() && !asked) {
        follower.present(asked);
    } else if from.is_none() {
        follower.revision = follower.store.revision();
    }
    let stream = unfold(follower, |mut follower| async move {
        let piece = follower.next().await?;
        Some((piece, follower))
    });
    Ok(respond(StatusCode::OK, "application/json", Body::stream(stream)))
}

impl Follower {
    /// Tells all objects that are there, and then, where the client asked for them, that these were all.
    fn present(&mut self, marked: bool) {
        let (objects, revision) = self.store.list(&self.storage, &self.prefix, None);
        self.revision = revision;
        for (_, object) in objects {
            let value = answer::shown(&self.call.resource, &object);
            if self.selection.matches(&value) {
                self.tell("ADDED", value);
            }
        }
        if marked {
            self.bookmark(true);
        }
    }

    fn tell(&mut self, kind: &str, object: Value) {
        let object = answer::event_object(&self.call, object, self.first);
        self.first = false;
        self.line(&json!({"type": kind, "object": object}));
    }

    fn line(&mut self, value: &Value) {
        let mut bytes = value.to_string().into_bytes();
        bytes.push(b'\n');
        self.ready.push_back(bytes.into());
    }

    fn bookmark(&mut self, initial_end: bool) {
        let resource = &self.call.resource;
        let mut object = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.revision.to_string(), "creationTimestamp": null},
        });
        if initial_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.tell("BOOKMARK", object);
    }

    /// The next line; nothing at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.over || *self.stopping.borrow() {
                return None;
            }
            self.changed.mark_unchanged();
            if self.advance() {
                continue;
            }
            tokio::select! {
                changed = self.changed.changed() => if changed.is_err() { return None },
                _ = self.stopping.changed() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(self.next_bookmark) => {
                    self.next_bookmark = Instant::now() + BOOKMARKS;
                    if self.bookmarks {
                        self.bookmark(false);
                    }
                }
            }
        }
    }

    /// Reads what happened; whether there was anything.
    fn advance(&mut self) -> bool {
        match self.store.events(&self.storage, self.revision, BATCH) {
            Ok((events, upto)) => {
                self.revision = upto.max(self.revision);
                for event in &events {
                    self.event(event);
                }
                !events.is_empty()
            }
            Err(old) => {
                let message =
                    format!("too old resource version: {} ({})", self.revision, old.oldest);
                self.line(&json!({"type": "ERROR", "object": Status::expired(message).to_value()}));
                self.over = true;
                true
            }
        }
    }

    /// One change, as it looks through the selection: an object may come into it and leave it.
    fn event(&mut self, event: &Event) {
        if !event.name.starts_with(&self.prefix) {
            return;
        }
        let (before, after) = event.parsed();
        let resource = &self.call.resource;
        let shown = |value: &Value| convert::to_version(resource, value.clone());
        let was = before.as_ref().is_some_and(|it| self.selection.matches(&shown(it)));
        let after = shown(after);
        let is = event.change != Change::Deleted && self.selection.matches(&after);
        match (was, is) {
            (false, true) => self.tell("ADDED", after),
            (true, true) => self.tell("MODIFIED", after),
            (true, false) => {
                // Who leaves the selection is shown as it was in it, at the revision of the change.
                let mut last = before.as_ref().map(shown).unwrap_or_default();
                last["metadata"]["resourceVersion"] = json!(event.revision.to_string());
                self.tell("DELETED", last);
            }
            (false, false) => {}
        }
    }
}
