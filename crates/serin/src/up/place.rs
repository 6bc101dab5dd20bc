//! The folder of a cluster: who runs it, where it is reached, and what is in it.
//!
//! Whoever runs the cluster holds a lock on a file there; the system lets go of it however the process ends. What others need to
//! know stands in `run.json` while the cluster runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::cli::PlaceArgs;

/// A cluster's folder.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder, absolute.
    pub(crate) folder: PathBuf,
}

/// What a running cluster tells of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The process.
    pub(crate) pid: u32,
    /// Where the API is.
    pub(crate) api: String,
    /// The kubeconfig with the cluster's context.
    pub(crate) kubeconfig: PathBuf,
    /// Where the gateway listens, a line each.
    pub(crate) gateway: Vec<String>,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// The context that the kubeconfig had selected before.
    #[serde(default)]
    pub(crate) context_before: Option<String>,
    /// The link to the dashboard, with its token, if there is one.
    #[serde(default)]
    pub(crate) dashboard: Option<String>,
}

/// The right to run the cluster, until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    file: File,
}

impl Place {
    /// The folder that the arguments name.
    ///
    /// # Errors
    /// There is no default without a home folder.
    pub(crate) fn of(args: &PlaceArgs) -> anyhow::Result<Self> {
        let folder = match &args.data_dir {
            Some(folder) => folder.clone(),
            None => default_folder()
                .context("neither XDG_STATE_HOME nor HOME is set: name a folder with --data-dir")?,
        };
        let folder = std::path::absolute(&folder)
            .with_context(|| format!("cannot use {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// A folder of another name beside the default one.
    ///
    /// # Errors
    /// There is no default without a home folder.
    pub(crate) fn beside_the_default(name: &str) -> anyhow::Result<Self> {
        let folder = default_folder()
            .context("neither XDG_STATE_HOME nor HOME is set: name a folder with --data-dir")?;
        Ok(Self { folder: folder.with_file_name(name) })
    }

    /// A file or folder in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the folder, for its owner only, and takes the right to run its cluster.
    ///
    /// # Errors
    /// Another process runs it, or the folder cannot be had.
    pub(crate) fn hold(&self) -> anyhow::Result<Hold> {
        let shown = self.folder.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .with_context(|| format!("cannot make the folder {shown}"))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.join("run.json"))
            .with_context(|| format!("cannot write in {shown}"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Hold { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let run = read(&mut file).unwrap_or_default();
                bail!(
                    "the cluster in {shown} runs already (process {}): `serin down{}` ends it, and --data-dir makes another",
                    run.pid,
                    self.argument()
                )
            }
            Err(error) => {
                Err(io::Error::from(error)).with_context(|| format!("cannot lock {shown}"))
            }
        }
    }

    /// What the cluster tells of itself, if it runs.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn running(&self) -> anyhow::Result<Option<Run>> {
        let path = self.join("run.json");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            // Nobody holds it.
            Ok(()) => Ok(None),
            Err(_) => Ok(Some(read(&mut file).unwrap_or_default())),
        }
    }

    /// How a user names this folder to other commands.
    pub(crate) fn argument(&self) -> String {
        if default_folder().as_deref() == Some(&self.folder) {
            return String::new();
        }
        format!(" --data-dir {}", self.folder.display())
    }

    /// Waits until nobody runs the cluster; false if that takes too long.
    pub(crate) fn wait_until_free(&self, limit: Duration) -> anyhow::Result<bool> {
        let path = self.join("run.json");
        let Ok(file) = File::open(&path) else { return Ok(true) };
        let (free, is_free) = mpsc::channel();
        // A lock can be waited for without a limit only; the thread ends with the process if nobody waits any more.
        std::thread::spawn(move || {
            let is_locked = flock(&file, FlockOperation::LockShared).is_ok();
            // The next may have it at once.
            drop(file);
            // Whoever asked may have given up.
            let _ = free.send(is_locked);
        });
        Ok(is_free.recv_timeout(limit).unwrap_or(false))
    }
}

impl Hold {
    /// What the process before told last, if it did not end in order.
    pub(crate) fn left(&mut self) -> Option<Run> {
        read(&mut self.file)
    }

    /// Tells others what runs here.
    pub(crate) fn tell(&mut self, run: &Run) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(run)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)?;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // What stays is read as the word of a process that was killed.
        let _ = self.file.set_len(0);
    }
}

fn read(file: &mut File) -> Option<Run> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn default_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")))?;
    Some(state.join("serin/cluster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_runs_a_cluster_and_others_see_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().join("new") };
        assert!(place.running().unwrap().is_none());
        let mut hold = place.hold().unwrap();
        hold.tell(&Run { pid: 7, ..Run::default() }).unwrap();
        hold.tell(&Run { pid: 42, ..Run::default() }).unwrap();
        assert_eq!(place.running().unwrap().unwrap().pid, 42);
        let refused = place.hold().unwrap_err().to_string();
        assert!(refused.contains("runs already (process 42)"), "{refused}");
        drop(hold);
        assert!(place.running().unwrap().is_none());
        assert!(place.wait_until_free(Duration::from_secs(60)).unwrap());
        place.hold().unwrap();
    }
}
