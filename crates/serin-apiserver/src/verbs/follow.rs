//! Watches: every change of a resource from a revision on, as one JSON object a line.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use serin_objects::Status;
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::read::prefix;
use super::select::Selection;
use super::{answer, options};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::{Call, answer as respond};
use crate::store::{Change, Event, Object, Store};

/// How many events are read from the store at once.
const BATCH: usize = 256;
/// How many bytes are written at once, if there are as many.
const PIECE: usize = 32 << 10;
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
    /// Objects that were there when the watch began and are not told yet.
    present: std::vec::IntoIter<(Arc<str>, Object)>,
    /// Whether the client wants to know when all of them were told.
    marks: bool,
    /// What is written next.
    ready: Vec<u8>,
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
    let from = options::of_watch(&call.query)?;
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
        present: Vec::new().into_iter(),
        marks: false,
        ready: Vec::new(),
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
        self.present = objects.into_iter();
        self.marks = marked;
    }

    /// Fills the next piece with objects that were there from the start.
    fn tell_present(&mut self) {
        while self.ready.len() < PIECE {
            let Some((key, object)) = self.present.next() else {
                if std::mem::take(&mut self.marks) {
                    self.bookmark(true);
                }
                return;
            };
            if self.selection.fits(&self.call.resource, &key, &object) {
                self.tell("ADDED", &object);
            }
        }
    }

    fn tell(&mut self, kind: &str, object: &Object) {
        if let Some(kept) = answer::as_kept(&self.call, object) {
            let head = format!("{{\"type\":\"{kind}\",\"object\":");
            self.ready.reserve(head.len() + kept.len() + 2);
            self.ready.extend_from_slice(head.as_bytes());
            self.ready.extend_from_slice(kept);
            self.ready.extend_from_slice(b"}\n");
            return;
        }
        self.tell_value(kind, answer::shown(&self.call.resource, object));
    }

    fn tell_value(&mut self, kind: &str, object: Value) {
        let object = answer::event_object(&self.call, object, self.first);
        self.first = false;
        self.line(&json!({"type": kind, "object": object}));
    }

    fn line(&mut self, value: &Value) {
        self.ready.extend_from_slice(value.to_string().as_bytes());
        self.ready.push(b'\n');
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
        self.tell_value("BOOKMARK", object);
    }

    /// The next lines; nothing at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.tell_present();
            if !self.ready.is_empty() {
                return Some(std::mem::take(&mut self.ready).into());
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
        let fits = |object: &Object| {
            self.selection.is_everything()
                || self.selection.fits(&self.call.resource, &event.name, object)
        };
        let was = event.before.as_ref().filter(|before| fits(before));
        let is = event.change != Change::Deleted && fits(&event.object);
        match (was, is) {
            (None, true) => self.tell("ADDED", &event.object),
            (Some(_), true) => self.tell("MODIFIED", &event.object),
            // Who leaves the selection is shown as it was in it, at the revision of the change.
            (Some(_), false) if event.change == Change::Deleted => {
                self.tell("DELETED", &event.object);
            }
            (Some(before), false) => self.tell("DELETED", &before.at(event.revision)),
            (None, false) => {}
        }
    }
}
