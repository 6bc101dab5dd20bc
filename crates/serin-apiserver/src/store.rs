//! The store: every object, durable, with a global revision and a window of history.
//!
//! One writer thread commits writes in groups and answers after they are on disk. All current objects are also in memory,
//! where reads are answered. A recent part of history is kept for watches and for lists that continue at an earlier
//! revision; who asks for more is told that it is too old. What an object means is no concern of this module.

mod backup;
mod disk;
mod error;
pub(crate) mod indexed;
mod memory;
mod object;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::backup::{BackupError, restore};
pub use self::error::{StoreError, TooOld, WriteError};
pub use self::memory::{Change, Event};
pub use self::object::{Draft, Object};

use self::disk::{Disk, Place};
use self::memory::Memory;
use self::writer::{Medium, Request, Write};

/// How many writes may wait for the writer.
const QUEUE: usize = 4096;
/// How much history is kept, in bytes.
const WINDOW: usize = 16 << 20;

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No object under the name.
    Absent,
    /// The object at this revision.
    Revision(u64),
}

/// How a store is opened.
#[derive(Clone)]
pub struct Settings {
    place: Option<Place>,
    window: usize,
}

impl Settings {
    /// A store that ends with the process.
    pub const fn in_memory() -> Self {
        Self { place: None, window: WINDOW }
    }

    /// A durable store in a folder, which is made if it is not there.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self { place: Some(Place::Folder(folder.into())), window: WINDOW }
    }

    /// A store over a backend of redb's, for tests that make it fail. It is made anew each time the store opens.
    pub fn backend(
        make: impl Fn() -> Box<dyn redb::StorageBackend> + Send + Sync + 'static,
    ) -> Self {
        Self { place: Some(Place::Backend(Arc::new(make))), window: WINDOW }
    }

    /// How much history to keep, in bytes.
    #[must_use]
    pub const fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }
}

/// The state that readers and the writer share.
struct Shared(RwLock<Memory>);

impl Shared {
    // A panic while the lock was held leaves the state whole: every change of it is one call.
    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Objects with their names.
pub type Page = Vec<(Arc<str>, Object)>;

/// A private key or a certificate, by its name.
type Key = (String, Vec<u8>);

/// A handle to the store; clones are the same store. The last one that is dropped stops the writer.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
    keys: Arc<Mutex<Vec<Key>>>,
    writer: Arc<WriterThread>,
}

/// Waits for the writer when the last handle goes, so that the file is closed and its lock free.
struct WriterThread(Mutex<Option<thread::JoinHandle<()>>>);

impl Store {
    /// Opens a store and reads it into memory.
    ///
    /// # Errors
    /// Fails where the file is in use, damaged, of another format, or cannot be read; nothing is changed then.
    pub fn open(settings: Settings) -> Result<Self, StoreError> {
        let (medium, memory, keys) = match settings.place {
            None => (Medium::Memory, Memory::new(0, settings.window), Vec::new()),
            Some(place) => {
                let disk = Disk::open(place)?;
                let loaded = disk.load()?;
                let mut memory = Memory::new(loaded.revision, settings.window);
                for (key, object) in loaded.objects {
                    let (resource, name) = split_key(&key).ok_or_else(|| StoreError::Damaged {
                        path: disk.path().to_owned(),
                        problem: format!("the key {key:?} has no resource"),
                    })?;
                    memory.load(resource, name, object);
                }
                let keys = disk.keys()?;
                (Medium::Disk(disk), memory, keys)
            }
        };
        let shared = Arc::new(Shared(RwLock::new(memory)));
        let (queue, requests) = mpsc::channel(QUEUE);
        let state = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(&state, medium, requests))
            .map_err(|error| StoreError::from_io("start the writer of", PathBuf::new(), error))?;
        let writer = Arc::new(WriterThread(Mutex::new(Some(thread))));
        Ok(Self { shared, queue, keys: Arc::new(Mutex::new(keys)), writer })
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.shared.read().revision()
    }

    /// One object. `resource` is `group/plural`, `name` is `namespace/name` or the name alone.
    pub fn object(&self, resource: &str, name: &str) -> Option<Object> {
        self.shared.read().object(resource, name)
    }

    /// The objects of a resource whose names begin with `prefix` and come after `after`, in order, and the revision they
    /// were read at.
    pub fn list(
        &self,
        resource: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> (Vec<(Arc<str>, Object)>, u64) {
        let memory = self.shared.read();
        (memory.range(resource, prefix, after), memory.revision())
    }

    /// The first `limit` of these objects, at present or as they were at an earlier revision; with how many come after them
    /// and the revision they were read at.
    ///
    /// # Errors
    /// Fails where the window does not reach back that far.
    pub fn page(
        &self,
        resource: &str,
        place: (&str, Option<&str>),
        at: Option<u64>,
        limit: usize,
    ) -> Result<(Page, usize, u64), TooOld> {
        let memory = self.shared.read();
        let (page, left) = memory.page(resource, place, at, limit)?;
        Ok((page, left, at.unwrap_or_else(|| memory.revision())))
    }

    /// The same as they were at an earlier revision.
    ///
    /// # Errors
    /// Fails where the window does not reach back that far.
    pub fn list_at(
        &self,
        resource: &str,
        prefix: &str,
        after: Option<&str>,
        revision: u64,
    ) -> Result<Vec<(Arc<str>, Object)>, TooOld> {
        self.shared.read().range_at(resource, prefix, after, revision)
    }

    /// All resources that have or had objects, with how many they have.
    pub fn resources(&self) -> Vec<(Arc<str>, usize)> {
        let mut resources = self.shared.read().resources();
        resources.sort();
        resources
    }

    /// The changes of a resource after `revision`, oldest first and at most `limit`, and the revision up to which they tell
    /// everything.
    ///
    /// # Errors
    /// Fails where the window does not reach back that far.
    pub fn events(
        &self,
        resource: &str,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), TooOld> {
        self.shared.read().events(resource, revision, limit)
    }

    /// The revision of the last change of a resource; where it has not changed since the start, that of the start.
    pub fn last_change(&self, resource: &str) -> u64 {
        self.shared.read().last_change(resource)
    }

    /// Wakes when a resource changes.
    pub fn subscribe(&self, resource: &str) -> watch::Receiver<u64> {
        self.shared.write().subscribe(resource)
    }

    /// Creates or replaces an object; returns it with its revision once it is durable.
    ///
    /// # Errors
    /// Fails where what is stored is not what was expected, or the store cannot write.
    pub async fn put(
        &self,
        resource: &str,
        name: &str,
        expect: Expect,
        draft: Draft,
    ) -> Result<Object, WriteError> {
        self.send(resource, name, expect, Some(draft)).await
    }

    /// Deletes an object; returns its last state under the revision of the deletion.
    ///
    /// # Errors
    /// Fails where the object is gone or has changed, or the store cannot write.
    pub async fn delete(
        &self,
        resource: &str,
        name: &str,
        revision: u64,
    ) -> Result<Object, WriteError> {
        self.send(resource, name, Expect::Revision(revision), None).await
    }

    async fn send(
        &self,
        resource: &str,
        name: &str,
        expect: Expect,
        draft: Option<Draft>,
    ) -> Result<Object, WriteError> {
        let closed = || WriteError::Store(StoreError::Closed);
        let (reply, answer) = oneshot::channel();
        let write = Write { resource: resource.into(), name: name.into(), expect, draft, reply };
        self.queue.send(Request::Write(write)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// The private keys and certificates.
    pub fn keys(&self) -> Vec<(String, Vec<u8>)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores private keys and certificates; the API never serves them.
    ///
    /// # Errors
    /// Fails where the store cannot write.
    pub async fn put_keys(&self, keys: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Keys(keys.clone(), reply);
        self.queue.send(request).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)??;
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(name, _)| !keys.iter().any(|(new, _)| new == name));
        all.extend(keys);
        Ok(())
    }

    /// The objects that name this uid as their owner's: resource, name, object.
    pub fn owned_by(&self, uid: &str) -> Vec<(Arc<str>, Arc<str>, Object)> {
        self.shared.read().owned_by(uid)
    }

    /// Everything, as it was at one revision: for backups.
    pub fn snapshot(&self) -> (Vec<(String, Object)>, u64) {
        let memory = self.shared.read();
        let mut all = Vec::new();
        for (resource, _) in memory.resources() {
            for (name, object) in memory.range(&resource, "", None) {
                all.push((disk_key(&resource, &name), object));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        (all, memory.revision())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if Arc::strong_count(&self.writer) != 1 {
            return;
        }
        // The writer ends when the last sender is gone, which this handle still holds.
        let (nowhere, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.queue, nowhere));
        let thread = self.writer.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// The key of an object on disk.
fn disk_key(resource: &str, name: &str) -> String {
    format!("/{resource}/{name}")
}

/// The resource and the name of a key.
fn split_key(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/')?;
    let group = key.find('/')?;
    let plural = key.get(group + 1..)?.find('/')? + group + 1;
    Some((key.get(..plural)?, key.get(plural + 1..)?))
}
