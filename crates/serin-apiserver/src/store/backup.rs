//! Copies of a whole store, at one revision: lines of JSON, of which the first tells what follows and the last that all of it
//! is there.
//!
//! A copy holds the private keys as well, because tokens and kubeconfigs are worth nothing without them: who can read it can do
//! everything that the server's administrator can.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::disk::{Batch, Disk, Place, Row};
use super::{Object, Store, StoreError};

/// The form of the copy.
const FORM: &str = "serin-backup/1";

/// Why a copy could not be made a store again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What was given is no copy, or not all of one.
    #[error("the backup cannot be used: {0}; nothing was restored")]
    Damaged(String),
    /// There is a store already.
    #[error("{path} holds a store already: restore into another folder, or move that one away")]
    Present {
        /// The folder.
        path: PathBuf,
    },
    /// The copy could not be read.
    #[error("cannot read the backup: {0}")]
    Read(#[from] std::io::Error),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// A copy of everything as it is now, piece by piece. Writes go on meanwhile and are not in it.
    pub fn backup(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (objects, revision) = self.snapshot();
        let keys = self.keys();
        let head = json!({"form": FORM, "revision": revision, "objects": objects.len(), "keys": keys.len()});
        let keys = keys
            .into_iter()
            .map(|(name, key)| json!({"name": name, "key": STANDARD.encode(key)}).to_string());
        let objects = objects.into_iter().map(|(key, object)| {
            let object = String::from_utf8_lossy(object.bytes()).into_owned();
            format!("{{\"at\":{},\"object\":{object}}}", Value::from(key))
        });
        let lines = std::iter::once(head.to_string()).chain(keys).chain(objects).map(Some);
        let mut sum = Sha256::new();
        lines.chain([None]).map(move |line| {
            let line = match line {
                Some(line) => format!("{line}\n"),
                None => format!("{}\n", json!({"sha256": hex(&sum.finalize_reset())})),
            };
            sum.update(&line);
            Bytes::from(line)
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a store of a copy in a folder that has none. The number of objects is returned. Nothing is left where the copy is not
/// whole.
///
/// # Errors
/// Fails where there is a store already, where the copy is not whole, or where the folder cannot be written.
pub fn restore(from: impl Read, folder: &Path) -> Result<usize, BackupError> {
    if folder.join(super::disk::FILE).exists() {
        return Err(BackupError::Present { path: folder.to_owned() });
    }
    let batch = read(from)?;
    let count = batch.rows.len();
    // The store gets its name when it is whole.
    let part = folder.join("restore");
    let made = Disk::open(Place::Folder(part.clone())).and_then(|disk| disk.commit(&batch));
    let put = made.map_err(BackupError::from).and_then(|()| {
        Ok(fs::rename(part.join(super::disk::FILE), folder.join(super::disk::FILE))
            .and_then(|()| fs::File::open(folder)?.sync_all())?)
    });
    // What could not be removed is in nobody's way.
    let _ = fs::remove_dir_all(&part);
    put.map(|()| count)
}

fn read(from: impl Read) -> Result<Batch, BackupError> {
    let damaged = |why: &str| BackupError::Damaged(why.to_owned());
    let mut lines = BufReader::new(from).lines();
    let mut sum = Sha256::new();
    let head = lines.next().ok_or_else(|| damaged("it is empty"))??;
    sum.update(&head);
    sum.update("\n");
    let head: Value = serde_json::from_str(&head).map_err(|_| damaged("it is no backup"))?;
    if head["form"] != FORM {
        return Err(damaged("it is no backup of this version"));
    }
    let mut batch =
        Batch { revision: head["revision"].as_u64().unwrap_or_default(), ..Batch::default() };
    for line in lines {
        let line = line?;
        let value: Value = serde_json::from_str(&line).map_err(|_| damaged("a line is no JSON"))?;
        if let Some(wanted) = value["sha256"].as_str() {
            let whole = wanted == hex(&sum.finalize())
                && head["objects"] == batch.rows.len()
                && head["keys"] == batch.keys.len();
            return if whole {
                Ok(batch)
            } else {
                Err(damaged("it was changed or parts are missing"))
            };
        }
        sum.update(&line);
        sum.update("\n");
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        if value["object"].is_object() {
            // The bytes as they are in the line: an object keeps its form.
            let start = line.find(",\"object\":").map(|at| at + ",\"object\":".len());
            let bytes = start.and_then(|start| line.as_bytes().get(start..line.len() - 1));
            let object = bytes.and_then(Object::from_disk);
            let object = object.ok_or_else(|| damaged("an object has no revision"))?;
            batch.rows.push(Row { key: text("at").to_owned(), value: Some(object) });
        } else {
            let key = STANDARD.decode(text("key")).map_err(|_| damaged("a key is no base64"))?;
            batch.keys.push((text("name").to_owned(), key));
        }
    }
    Err(damaged("its end is missing"))
}
