//! Notices that files may have changed.
//!
//! Folders are watched, never files: editors put a new file in the place of the old one, and Kubernetes swaps a link to a whole
//! folder. What is noticed says only that it is time to read again. A file that is being written is waited for until it is closed:
//! half of it may be sound, and what the other half holds would be taken for removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Changes that follow one another within this time count as one.
const QUIET: Duration = Duration::from_millis(10);
/// Changes that never end, and files that are never closed, are taken over after this time.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches files and folders.
pub(super) struct Watch {
    // Dropping it ends watching.
    _watcher: RecommendedWatcher,
    changed: Arc<Changed>,
}

/// That something has changed, until it is taken notice of.
#[derive(Default)]
struct Changed {
    is_due: AtomicBool,
    notice: Notify,
    /// Files that were written to and not closed yet.
    written: Mutex<BTreeSet<PathBuf>>,
}

impl Watch {
    /// Watches `paths`: folders with everything below them, files through the folders they are in.
    ///
    /// # Errors
    /// The system cannot watch, or a path is gone.
    pub(super) fn new<'p>(paths: impl Iterator<Item = &'p Path>) -> notify::Result<Self> {
        let changed = Arc::<Changed>::default();
        let noticed = Arc::clone(&changed);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // An error may have swallowed a change.
                if event.is_ok_and(|event| !noticed.is_change(&event)) {
                    return;
                }
                noticed.is_due.store(true, Ordering::Release);
                noticed.notice.notify_one();
            })?;
        for (folder, mode) in folders(paths) {
            watcher.watch(&folder, mode)?;
        }
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits for a change, and until there is none for a while. Given up in the middle, it can be called again: no change is
    /// lost.
    pub(super) async fn changed(&self) {
        let Changed { is_due, notice, .. } = &*self.changed;
        while !is_due.load(Ordering::Acquire) {
            notice.notified().await;
        }
        let latest = Instant::now() + LONGEST;
        loop {
            let is_complete = self.changed.written().is_empty();
            let quiet = if is_complete { Instant::now() + QUIET } else { latest };
            if timeout_at(quiet.min(latest), notice.notified()).await.is_err() {
                break;
            }
        }
        if Instant::now() >= latest {
            // That they were closed may have gone unnoticed.
            self.changed.written().clear();
        }
        is_due.store(false, Ordering::Release);
    }
}

impl Changed {
    /// Whether an event may be a change, and which files are being written after it.
    fn is_change(&self, event: &notify::Event) -> bool {
        let mut written = self.written();
        match event.kind {
            // What was written is complete. Who has only opened a file has changed nothing, and reading is no change.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                // Such an event is of one file.
                event.paths.first().is_some_and(|path| written.remove(path))
            }
            EventKind::Access(_) => false,
            // Only on Linux is it told when files are closed.
            EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => {
                written.extend(event.paths.iter().cloned());
                true
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                event.paths.iter().for_each(|path| {
                    written.remove(path);
                });
                true
            }
            _ => true,
        }
    }

    fn written(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folders to be watched.
fn folders<'p>(paths: impl Iterator<Item = &'p Path>) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut folders = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            folders.insert(path.to_path_buf(), RecursiveMode::Recursive);
            continue;
        }
        // Where the file seems to be, and where it is.
        let real = path.canonicalize().ok();
        for file in std::iter::once(path).chain(real.as_deref()) {
            let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).to_path_buf();
            folders.entry(folder).or_insert(RecursiveMode::NonRecursive);
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RemoveKind, RenameMode};

    use super::*;

    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const CREATED: EventKind = EventKind::Create(CreateKind::Any);
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);
    const MOVED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));

    /// Whether the last of these events is a change, and whether a file is being written after it.
    fn check(events: &[(EventKind, &str)], expected: (bool, bool)) {
        let changed = Changed::default();
        let mut last = false;
        for &(kind, path) in events {
            last = changed.is_change(&notify::Event::new(kind).add_path(path.into()));
        }
        assert_eq!((last, !changed.written().is_empty()), expected, "{events:?}");
    }

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "nobody tells when files are closed")]
    fn a_file_is_being_written_from_its_first_byte_until_it_is_closed_or_gone() {
        check(&[(OPENED, "a")], (false, false));
        check(&[(CLOSED, "a")], (false, false));
        check(&[(CREATED, "a")], (true, false));
        check(&[(CREATED, "a"), (WRITTEN, "a")], (true, true));
        check(&[(WRITTEN, "a"), (OPENED, "a")], (false, true));
        check(&[(WRITTEN, "a"), (CLOSED, "a")], (true, false));
        check(&[(WRITTEN, "a"), (WRITTEN, "b"), (CLOSED, "a")], (true, true));
        check(&[(WRITTEN, "a"), (REMOVED, "a")], (true, false));
        check(&[(WRITTEN, "a"), (MOVED, "a")], (true, false));
    }
}
