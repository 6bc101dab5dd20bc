//! What can go wrong with the store, said so that whoever reads it knows what to do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Object;

/// Why a store could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store.
    #[error(
        "the store {path} is in use by another server: stop that one, or choose another data folder"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged; nothing in it was changed.
    #[error(
        "the store {path} is damaged: {problem}. It was left as it is. Move the file away and put a copy in its place that was \
         made while no server ran, or begin with an empty store"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// The file was written by another version of Serin.
    #[error(
        "the store {path} has format {found}, this version reads format {known}: use the version that wrote it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format in the file.
        found: u64,
        /// The format that can be read.
        known: u64,
    },
    /// There is no room left; the write was not made.
    #[error(
        "no space left for the store {path}: the write was refused and nothing was lost; free space and try again"
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("cannot {action} the store {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The database refused for a reason of its own.
    #[error("cannot {action} the store {path}: {problem}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the database said.
        problem: String,
    },
    /// The server is stopping.
    #[error("the store is closed because the server stops")]
    Closed,
}

impl StoreError {
    /// Tells apart what an operator has to treat differently.
    pub(super) fn from_redb(
        action: &'static str,
        path: &std::path::Path,
        error: redb::Error,
    ) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Corrupted(problem) => Self::Damaged { path, problem },
            redb::Error::UpgradeRequired(found) => {
                Self::Damaged { path, problem: format!("database file format {found} is too old") }
            }
            redb::Error::Io(error) => Self::from_io(action, path, error),
            other => Self::Database { action, path, problem: other.to_string() },
        }
    }

    /// A full disk is told by its name; a file that ends too early is damaged.
    pub(super) fn from_io(action: &'static str, path: PathBuf, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { path },
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Damaged { path, problem: error.to_string() }
            }
            _ => Self::Io { action, path, source: Arc::new(error) },
        }
    }
}

/// Why one write was not made.
#[derive(Clone, Debug)]
pub enum WriteError {
    /// What is stored is not what the write expected: the object as it is, or `None` where there is none.
    Conflict(Option<Object>),
    /// The store could not write.
    Store(StoreError),
}

/// A watch or a read asked for a revision whose history is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// The oldest revision from which history is whole.
    pub oldest: u64,
}
