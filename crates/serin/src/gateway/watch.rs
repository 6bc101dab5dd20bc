//! Notices that files may have changed.
//!
//! Folders are watched, never files: editors put a new file in the place of the old one, and Kubernetes swaps a link to a whole
//! folder. What is noticed says only that it is time to read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Changes that follow one another within this time count as one.
const QUIET: Duration = Duration::from_millis(100);
/// Changes that never end are taken over after this time.
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
                // Reading is no change. An error may have swallowed one.
                if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                    noticed.is_due.store(true, Ordering::Release);
                    noticed.notice.notify_one();
                }
            })?;
        for (folder, mode) in folders(paths) {
            watcher.watch(&folder, mode)?;
        }
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits for a change, and until there is none for a while. Given up in the middle, it can be called again: no change is
    /// lost.
    pub(super) async fn changed(&self) {
        let Changed { is_due, notice } = &*self.changed;
        while !is_due.load(Ordering::Acquire) {
            notice.notified().await;
        }
        let latest = Instant::now() + LONGEST;
        while Instant::now() < latest {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, notice.notified()).await.is_err() {
                break;
            }
        }
        is_due.store(false, Ordering::Release);
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
