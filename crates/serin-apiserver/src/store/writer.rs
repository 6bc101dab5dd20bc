//! The one writer: takes queued writes, checks what each expects, commits them together, then makes them visible.
//!
//! A write is answered after its batch is on disk, and never before. While a batch is synced the next one gathers, so the
//! number of syncs does not grow with the number of clients.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::disk::{Batch, Disk, Place, Row};
use super::memory::{Change, Event};
use super::{Draft, Expect, Object, Shared, StoreError, WriteError};

/// How many writes one transaction takes at most.
const BATCH: usize = 1024;

/// A write on its way to the writer.
pub(super) struct Write {
    pub(super) resource: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) expect: Expect,
    /// `None` deletes.
    pub(super) draft: Option<Draft>,
    pub(super) reply: oneshot::Sender<Result<Object, WriteError>>,
}

/// What the writer is asked.
pub(super) enum Request {
    Write(Write),
    Keys(Vec<(String, Vec<u8>)>, oneshot::Sender<Result<(), StoreError>>),
}

/// Where batches go.
pub(super) enum Medium {
    Memory,
    Disk(Disk),
    /// The disk could not be opened again after a failed write; each batch tries.
    Lost(Place),
}

/// Runs until the store is dropped.
pub(super) fn run(shared: &Shared, mut medium: Medium, mut queue: mpsc::Receiver<Request>) {
    while let Some(first) = queue.blocking_recv() {
        let mut requests = vec![first];
        while requests.len() < BATCH {
            match queue.try_recv() {
                Ok(request) => requests.push(request),
                Err(_) => break,
            }
        }
        medium = carry_out(shared, medium, requests);
    }
}

/// The batch as it grows: what the store will be when it is committed.
struct Plan<'s> {
    shared: &'s Shared,
    revision: u64,
    /// Objects that this batch changes; `None` for deleted ones.
    pending: HashMap<(Arc<str>, Arc<str>), Option<Object>>,
    batch: Batch,
    events: Vec<(Arc<str>, Event)>,
    replies: Vec<(oneshot::Sender<Result<Object, WriteError>>, Object)>,
    key_replies: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

fn carry_out(shared: &Shared, medium: Medium, requests: Vec<Request>) -> Medium {
    let revision = shared.read().revision();
    let mut plan = Plan {
        shared,
        revision,
        pending: HashMap::new(),
        batch: Batch::default(),
        events: Vec::new(),
        replies: Vec::new(),
        key_replies: Vec::new(),
    };
    for request in requests {
        match request {
            Request::Write(write) => plan.write(write),
            Request::Keys(keys, reply) => {
                plan.batch.keys.extend(keys);
                plan.key_replies.push(reply);
            }
        }
    }
    plan.batch.revision = plan.revision;
    let (medium, result) = if plan.events.is_empty() && plan.key_replies.is_empty() {
        (medium, Ok(()))
    } else {
        commit(medium, &plan.batch)
    };
    plan.finish(result);
    medium
}

impl Plan<'_> {
    /// Adds one write, or answers it at once when it is not what it expects.
    fn write(&mut self, write: Write) {
        let key = (Arc::clone(&write.resource), Arc::clone(&write.name));
        let before = match self.pending.get(&key) {
            Some(pending) => pending.clone(),
            None => self.shared.read().object(&write.resource, &write.name),
        };
        let fits = match write.expect {
            Expect::Absent => before.is_none(),
            Expect::Revision(revision) => before.as_ref().is_some_and(|o| o.revision() == revision),
        };
        if !fits {
            // Whoever asked may have gone; then no one wants the answer.
            let _ = write.reply.send(Err(WriteError::Conflict(before)));
            return;
        }
        let Some((object, change)) = self.change(&write, before.as_ref()) else {
            let _ = write.reply.send(Err(WriteError::Conflict(None)));
            return;
        };
        let stored = (change != Change::Deleted).then(|| object.clone());
        let key_on_disk = super::disk_key(&write.resource, &write.name);
        self.batch.rows.push(Row { key: key_on_disk, value: stored.clone() });
        self.pending.insert(key, stored);
        let event = Event::new(self.revision, write.name, change, before, object.clone());
        self.events.push((write.resource, event));
        self.replies.push((write.reply, object));
    }

    fn change(&mut self, write: &Write, before: Option<&Object>) -> Option<(Object, Change)> {
        let next = self.revision + 1;
        let changed = match (&write.draft, before) {
            (Some(draft), None) => (draft.at(next), Change::Created),
            (Some(draft), Some(_)) => (draft.at(next), Change::Updated),
            (None, Some(before)) => (before.at(next), Change::Deleted),
            (None, None) => return None,
        };
        self.revision = next;
        Some(changed)
    }

    /// Makes the batch visible and answers everyone.
    fn finish(self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                if !self.events.is_empty() {
                    self.shared.write().publish(self.events);
                }
                for (reply, object) in self.replies {
                    let _ = reply.send(Ok(object));
                }
                for reply in self.key_replies {
                    let _ = reply.send(Ok(()));
                }
            }
            Err(error) => {
                for (reply, _) in self.replies {
                    let _ = reply.send(Err(WriteError::Store(error.clone())));
                }
                for reply in self.key_replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Commits, and after a failure opens the database again: what the file says then is the truth, and if it holds the batch
/// after all, the batch was written.
fn commit(medium: Medium, batch: &Batch) -> (Medium, Result<(), StoreError>) {
    let disk = match medium {
        Medium::Memory => return (Medium::Memory, Ok(())),
        Medium::Disk(disk) => disk,
        Medium::Lost(place) => match Disk::open(place.clone()) {
            Ok(disk) => disk,
            Err(error) => return (Medium::Lost(place), Err(error)),
        },
    };
    let Err(error) = disk.commit(batch) else { return (Medium::Disk(disk), Ok(())) };
    tracing::error!(%error, store = %disk.path().display(), "a write failed");
    match disk.reopen() {
        Ok(disk) => {
            let held = !batch.rows.is_empty() && disk.revision().is_ok_and(|r| r == batch.revision);
            (Medium::Disk(disk), if held { Ok(()) } else { Err(error) })
        }
        Err((place, reopen)) => {
            tracing::error!(error = %reopen, "the store cannot be opened again; writes are refused until it can");
            (Medium::Lost(place), Err(error))
        }
    }
}
