//! The manifests of a gateway as they change: what of them is good, and what is wrong.
//!
//! Each file stands for itself. An object that has become wrong, or that a file which cannot be read any more held, stays as
//! it was when it was last right; an object that was taken out of a sound file is gone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use serin_api::load::{self, Loaded};
use serin_api::mesh_config::MeshConfig;
use serin_api::{AnyObject, Finding, ObjectRef, Severity, yaml};

use crate::check::report::Report;
use crate::input::{self, Text};
use crate::world;

/// Manifests, read again whenever they may have changed.
pub(super) struct Manifests {
    paths: Vec<PathBuf>,
    mesh_config: Option<PathBuf>,
    default_namespace: String,
    standard_input: Option<Text>,
    files: BTreeMap<Arc<str>, File>,
    mesh: MeshText,
    /// What could not be read at all.
    problems: Vec<(Arc<str>, String)>,
}

/// What a file held when it was read last.
struct File {
    content: Vec<u8>,
    text: String,
    loaded: Loaded,
    findings: Vec<Finding>,
    /// Its objects, each as it was when it was last right.
    good: BTreeMap<Identity, AnyObject>,
}

/// What makes two objects the same: group, kind, namespace, name.
type Identity = [String; 4];

/// The mesh configuration, as it was when it was last right.
#[derive(Default)]
struct MeshText {
    content: Vec<u8>,
    config: Arc<MeshConfig>,
}

impl Manifests {
    /// The manifests at `paths`, not read yet.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        mesh_config: Option<PathBuf>,
        default_namespace: &str,
    ) -> Self {
        Self {
            paths,
            mesh_config,
            default_namespace: default_namespace.to_owned(),
            standard_input: None,
            files: BTreeMap::new(),
            mesh: MeshText::default(),
            problems: Vec::new(),
        }
    }

    /// Files and folders to be watched.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.paths.iter().filter(|path| *path != Path::new("-"));
        files.chain(&self.mesh_config).map(PathBuf::as_path)
    }

    /// Reads for the first time. What is wrong with objects is told by [`report`](Self::report).
    ///
    /// # Errors
    /// A path that was named cannot be read, or the mesh configuration is wrong: most likely a slip of the command line.
    pub(super) fn read_first(&mut self) -> anyhow::Result<()> {
        if self.paths.iter().any(|path| path == Path::new("-")) {
            let mut content = Vec::new();
            std::io::stdin().read_to_end(&mut content).context("cannot read standard input")?;
            self.standard_input = Some(Text { file: "-".into(), content });
        }
        for path in self.paths() {
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        self.read();
        if let (Some(path), true) = (&self.mesh_config, self.mesh.content.is_empty()) {
            let file = path.display().to_string();
            let problem = self.problems.iter().find(|(named, _)| **named == *file);
            ensure!(problem.is_none(), "{file}: {}", problem.map_or("", |(_, problem)| problem));
        }
        Ok(())
    }

    /// Reads again; whether anything is different.
    pub(super) fn read(&mut self) -> bool {
        let (mut texts, problems) = input::read_what_can_be(&self.paths);
        texts.extend(self.standard_input.clone());
        let mut before = std::mem::take(&mut self.files);
        let old_problems = std::mem::take(&mut self.problems);
        for (path, error) in problems {
            let file: Arc<str> = path.display().to_string().into();
            self.problems.push((file, format!("{error:#}")));
        }
        let mut changed = false;
        for Text { file, content } in texts {
            let old = before.remove(&file);
            let new = match old {
                Some(old) if old.content == content => old,
                old => {
                    changed = true;
                    self.load(&file, content, old)
                }
            };
            self.files.insert(file, new);
        }
        for (file, old) in before {
            // A file that is there but cannot be read is broken, not gone.
            let is_broken = |problem: &(Arc<str>, String)| file.starts_with(&*problem.0);
            if self.problems.iter().any(is_broken) {
                self.files.insert(file, old);
            } else {
                changed = true;
            }
        }
        changed |= self.read_mesh();
        changed || self.problems != old_problems
    }

    fn load(&self, file: &Arc<str>, content: Vec<u8>, old: Option<File>) -> File {
        let old = old.map(|old| old.good).unwrap_or_default();
        let text = match yaml::decode(&content) {
            Ok(text) => Cow::into_owned(text),
            Err(problem) => {
                let findings = vec![world::no_text(Arc::clone(file), problem)];
                let (text, loaded) = (String::new(), Loaded::default());
                return File { content, text, loaded, findings, good: old };
            }
        };
        let loaded = load::load(file, &text, &self.default_namespace);
        let mut good: BTreeMap<Identity, AnyObject> = BTreeMap::new();
        for object in &loaded.objects {
            good.insert(identity(&object.object.reference()), object.object.clone());
        }
        let errors = || loaded.findings.iter().filter(|it| it.severity == Severity::Error);
        let wrong: Vec<Identity> =
            errors().filter_map(|it| it.object.as_ref()).map(identity).collect();
        let is_unreadable = errors().any(|finding| finding.object.is_none());
        for (identity, object) in old {
            if is_unreadable || wrong.contains(&identity) {
                good.entry(identity).or_insert(object);
            }
        }
        let findings = loaded.findings.clone();
        File { content, text, loaded, findings, good }
    }

    /// Whether the mesh configuration is another.
    fn read_mesh(&mut self) -> bool {
        let Some(path) = &self.mesh_config else { return false };
        let file: Arc<str> = path.display().to_string().into();
        let content = match std::fs::read(path) {
            Ok(content) if content == self.mesh.content => return false,
            Ok(content) => content,
            Err(error) => {
                self.problems.push((file, error.to_string()));
                return false;
            }
        };
        let mesh = load::mesh(&file, &String::from_utf8_lossy(&content));
        if let Some(finding) = mesh.findings.first() {
            self.problems.push((file, finding.message.clone()));
            return false;
        }
        let config = Arc::new(mesh.config.unwrap_or_default());
        self.mesh = MeshText { content, config };
        true
    }

    /// The good objects, of each only the one in the last file.
    pub(super) fn objects(&self) -> Vec<AnyObject> {
        let all = self.files.values().flat_map(|file| &file.good);
        let by_identity: BTreeMap<&Identity, &AnyObject> = all.collect();
        by_identity.into_values().cloned().collect()
    }

    /// The mesh configuration.
    pub(super) fn mesh(&self) -> &Arc<MeshConfig> {
        &self.mesh.config
    }

    /// All errors: in the files, and those that were `found` between objects.
    pub(super) fn report(&self, found: &[Finding]) -> Report {
        let mut report = Report::default();
        for file in self.files.values() {
            let own = Report::new(&file.loaded);
            report.objects += own.objects;
            let is_here = |finding: &&Finding| {
                let object = finding.object.as_ref();
                object.is_some_and(|it| file.loaded.place(it, &finding.field).is_some())
            };
            let found = found.iter().filter(is_here);
            let all = file.findings.iter().chain(found);
            let errors = all.filter(|finding| finding.severity == Severity::Error).cloned();
            report.add(errors, &file.loaded);
        }
        let texts = self.files.iter().map(|(name, file)| (Arc::clone(name), file.text.clone()));
        report.finish(texts.collect())
    }

    /// Files that cannot be read at all, and why.
    pub(super) fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|(_, problem)| problem.as_str())
    }
}

fn identity(object: &ObjectRef) -> Identity {
    let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
    [group, &object.kind, &object.namespace, &object.name].map(str::to_owned)
}

#[cfg(test)]
mod tests;
