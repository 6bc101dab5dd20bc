//! The objects on disk: one redb file in a folder that only its owner can read.
//!
//! Tables: `objects` (`/group/resource/namespace/name` to JSON), `keys` (private keys and certificates, never served by
//! the API) and `meta` (format and revision). A batch of writes is one transaction, durable when [`Disk::commit`] returns.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::{Object, StoreError};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The format of the tables.
const FORMAT: u64 = 1;
/// The database's own cache, in bytes. Reads are answered from memory, so it only has to hold the inner pages.
const CACHE: usize = 4 << 20;
/// The name of the file in the data folder.
pub(super) const FILE: &str = "store.redb";

/// Where the database lives.
#[derive(Clone)]
pub(super) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A backend given by a test, made anew each time the database is opened.
    Backend(Arc<dyn Fn() -> Box<dyn StorageBackend> + Send + Sync>),
}

/// One change of one row.
pub(super) struct Row {
    pub(super) key: String,
    /// `None` removes the row.
    pub(super) value: Option<Object>,
}

/// A batch of changes that become durable together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) keys: Vec<(String, Vec<u8>)>,
    /// The revision after the batch.
    pub(super) revision: u64,
}

/// The open database.
pub(super) struct Disk {
    database: Database,
    place: Place,
    path: PathBuf,
}

/// What the file held.
pub(super) struct Loaded {
    pub(super) revision: u64,
    pub(super) objects: Vec<(String, Object)>,
}

impl Disk {
    /// Opens the database, and makes it where there is none.
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        let path = match &place {
            Place::Folder(folder) => folder.join(FILE),
            Place::Backend(_) => PathBuf::from("(memory)"),
        };
        let database = match &place {
            Place::Folder(folder) => open_file(folder, &path)?,
            Place::Backend(make) => builder()
                .create_with_backend(Boxed(make()))
                .map_err(|error| StoreError::from_redb("open", &path, error.into()))?,
        };
        let disk = Self { database, place, path };
        disk.prepare()?;
        Ok(disk)
    }

    /// Opens the database again, after it refused a write.
    pub(super) fn reopen(self) -> Result<Self, (Place, StoreError)> {
        let Self { database, place, .. } = self;
        drop(database);
        Self::open(place.clone()).map_err(|error| (place, error))
    }

    /// The path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let format = self.meta("format")?;
        match format {
            Some(FORMAT) => Ok(()),
            Some(found) => {
                Err(StoreError::Format { path: self.path.clone(), found, known: FORMAT })
            }
            None => self.run("prepare", || {
                let write = self.database.begin_write()?;
                write.open_table(OBJECTS)?;
                write.open_table(KEYS)?;
                write.open_table(META)?.insert("format", FORMAT)?;
                Ok(write.commit()?)
            }),
        }
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.run("read", || {
            let read = self.database.begin_read()?;
            let table = match read.open_table(META) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            Ok(table.get(name)?.map(|row| row.value()))
        })
    }

    /// The revision of the last durable write.
    pub(super) fn revision(&self) -> Result<u64, StoreError> {
        Ok(self.meta("revision")?.unwrap_or(0))
    }

    /// Reads everything.
    pub(super) fn load(&self) -> Result<Loaded, StoreError> {
        let revision = self.revision()?;
        let rows = self.run("read", || {
            let read = self.database.begin_read()?;
            let table = read.open_table(OBJECTS)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), Object::from_disk(value.value())));
            }
            Ok(rows)
        })?;
        let objects = rows.into_iter().map(|(key, object)| match object {
            Some(object) => Ok((key, object)),
            None => Err(StoreError::Damaged {
                path: self.path.clone(),
                problem: format!("the object {key} has no revision"),
            }),
        });
        Ok(Loaded { revision, objects: objects.collect::<Result<_, _>>()? })
    }

    /// Writes a batch; when this returns it survives a loss of power.
    pub(super) fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.run("write", || {
            let write = self.database.begin_write()?;
            {
                let mut objects = write.open_table(OBJECTS)?;
                for row in &batch.rows {
                    match &row.value {
                        Some(object) => objects.insert(row.key.as_str(), object.bytes())?,
                        None => objects.remove(row.key.as_str())?,
                    };
                }
                if !batch.keys.is_empty() {
                    let mut keys = write.open_table(KEYS)?;
                    for (name, value) in &batch.keys {
                        keys.insert(name.as_str(), value.as_slice())?;
                    }
                }
                write.open_table(META)?.insert("revision", batch.revision)?;
            }
            Ok(write.commit()?)
        })
    }

    /// The private keys and certificates.
    pub(super) fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.run("read", || {
            let read = self.database.begin_read()?;
            let table = read.open_table(KEYS)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(rows)
        })
    }

    fn run<T>(
        &self,
        action: &'static str,
        body: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        body().map_err(|error| StoreError::from_redb(action, &self.path, error))
    }
}

/// Makes the data folder, readable by its owner only.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::from_io("make the folder of", folder.to_owned(), error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Opens the file of a folder. A new file gets its name only when it is whole: an empty file under the name is a damaged one,
/// and never taken for a new store.
fn open_file(folder: &Path, path: &Path) -> Result<Database, StoreError> {
    make_folder(folder)?;
    let io_failed = |error| StoreError::from_io("open", path.to_owned(), error);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_file(folder, path)?,
        Err(error) => return Err(io_failed(error)),
        Ok(metadata) if metadata.len() == 0 => {
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                problem: "the file is empty".into(),
            });
        }
        Ok(_) => {}
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io_failed)?;
    builder().create_file(file).map_err(|error| StoreError::from_redb("open", path, error.into()))
}

fn make_file(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let new = folder.join(format!("{FILE}.new"));
    let io_failed = |error| StoreError::from_io("make", path.to_owned(), error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(io_failed)?;
    drop(
        builder()
            .create_file(file)
            .map_err(|error| StoreError::from_redb("make", path, error.into()))?,
    );
    fs::rename(&new, path).map_err(io_failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_failed)
}

/// A backend behind a pointer.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}
