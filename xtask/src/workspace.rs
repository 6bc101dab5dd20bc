//! The workspace as cargo sees it, and the files that belong to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The root folder and cargo's description of all packages.
pub(crate) struct Workspace {
    /// Where the workspace's `Cargo.toml` lies.
    pub(crate) root: PathBuf,
    /// Every package, ours and foreign, with the resolved graph.
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Asks cargo. The lock file is taken as it is, so the answer is about the versions that are built.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .other_options(["--locked".to_owned()])
            .exec()
            .context("cannot read the workspace with `cargo metadata --locked`")?;
        Ok(Self { root: metadata.workspace_root.clone().into_std_path_buf(), metadata })
    }

    /// Our own packages, by name.
    pub(crate) fn members(&self) -> Vec<&Package> {
        let mut members = self.metadata.workspace_packages();
        members.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        members
    }

    /// The names of our own packages.
    pub(crate) fn member_names(&self) -> BTreeSet<&str> {
        self.members().into_iter().map(|package| package.name.as_str()).collect()
    }

    /// A cargo command that runs in the root folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Whether `cargo NAME` is installed.
    pub(crate) fn has_subcommand(&self, name: &str) -> bool {
        self.cargo(&[name, "--version"]).output().is_ok_and(|output| output.status.success())
    }

    /// Every file of the repository with one of these extensions, relative to the root, sorted.
    pub(crate) fn files(&self, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.root, extensions, &mut files)?;
        let mut relative: Vec<PathBuf> = files
            .iter()
            .filter_map(|file| file.strip_prefix(&self.root).ok())
            .map(Path::to_path_buf)
            .collect();
        relative.sort();
        Ok(relative)
    }

    /// The text of a file named relative to the root.
    pub(crate) fn read(&self, file: impl AsRef<Path>) -> anyhow::Result<String> {
        let path = self.root.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Walks a folder, leaving out build output and hidden folders other than those that hold our own files.
fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = !name.starts_with('.') || name == ".cargo" || name == ".ci";
        if path.is_dir() {
            if ours && name != "target" {
                collect(&path, extensions, found)?;
            }
        } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
            found.push(path);
        }
    }
    Ok(())
}
