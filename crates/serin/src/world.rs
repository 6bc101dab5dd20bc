//! The manifests that a command was given: texts, objects, and the mesh that they make.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serin_api::load::{self, Loaded, Loader, Mesh};
use serin_api::mesh_config::MeshConfig;
use serin_api::{AnyObject, FieldPath, Finding, Location, yaml};
use serin_translate::{Settings, Snapshot};

use crate::cli::WorldArgs;
use crate::input::{self, Text};

/// What was read.
pub(crate) struct World {
    /// The texts, by file.
    pub(crate) texts: BTreeMap<Arc<str>, String>,
    /// The objects in them and what is wrong with each.
    pub(crate) loaded: Loaded,
    /// The mesh configuration, and what is wrong with it.
    pub(crate) mesh: Mesh,
    /// Files that are no text.
    pub(crate) unreadable: Vec<Finding>,
    cluster_domain: Arc<str>,
}

impl World {
    /// Reads the manifests at `paths` and the mesh configuration.
    pub(crate) fn read(paths: &[PathBuf], args: &WorldArgs) -> anyhow::Result<Self> {
        let mut world = Self {
            texts: BTreeMap::new(),
            loaded: Loaded::default(),
            mesh: Mesh::default(),
            unreadable: Vec::new(),
            cluster_domain: args.cluster_domain.as_str().into(),
        };
        let mut loader = Loader::new(args.default_namespace());
        for text in input::read(paths)? {
            if let Some((file, content)) = world.keep(text) {
                loader.add(file, content);
            }
        }
        world.loaded = loader.finish();
        if let Some(path) = &args.mesh_config {
            let content =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.display().to_string();
            if let Some((file, content)) = world.keep(Text { file: file.into(), content }) {
                world.mesh = load::mesh(file, content);
            }
        }
        Ok(world)
    }

    /// Decodes a text and keeps it to show lines of it.
    fn keep(&mut self, text: Text) -> Option<(&str, &str)> {
        match yaml::decode(&text.content) {
            Ok(content) => {
                let content = Cow::into_owned(content);
                self.texts.insert(Arc::clone(&text.file), content);
                self.texts
                    .get_key_value(&text.file)
                    .map(|(file, content)| (&**file, content.as_str()))
            }
            Err(problem) => {
                self.unreadable.push(no_text(text.file, problem));
                None
            }
        }
    }

    /// The mesh that objects make.
    pub(crate) fn snapshot(&self, objects: impl Iterator<Item = AnyObject>) -> Snapshot {
        let mesh = Arc::new(self.mesh.config.clone().unwrap_or_default());
        Snapshot::new(objects.collect(), settings(mesh, &self.cluster_domain))
    }

    /// The namespace of the workloads with these labels, if they are all in one.
    pub(crate) fn namespace_of(&self, labels: &BTreeMap<String, String>) -> Option<&str> {
        namespace_of(self.loaded.objects.iter().map(|loaded| &loaded.object), labels)
    }

    /// Everything that is wrong with single texts and objects.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.unreadable.iter().chain(&self.mesh.findings).chain(&self.loaded.findings)
    }
}

/// What holds for a mesh that manifests make.
pub(crate) fn settings(mesh: Arc<MeshConfig>, cluster_domain: &str) -> Settings {
    Settings { mesh, cluster_domain: cluster_domain.into(), expects_pods: true, injects: false }
}

/// The namespace of the workloads with these labels, if they are all in one.
pub(crate) fn namespace_of<'o>(
    objects: impl Iterator<Item = &'o AnyObject>,
    labels: &BTreeMap<String, String>,
) -> Option<&'o str> {
    let carried = |own: &BTreeMap<String, String>| {
        !labels.is_empty() && labels.iter().all(|(key, value)| own.get(key) == Some(value))
    };
    let found: BTreeSet<&str> = objects
        .filter(|object| match object {
            AnyObject::Pod(pod) => carried(&pod.meta.labels),
            AnyObject::Deployment(it) => carried(&it.spec.template.metadata.labels),
            AnyObject::StatefulSet(it) => carried(&it.spec.template.metadata.labels),
            AnyObject::DaemonSet(it) => carried(&it.spec.template.metadata.labels),
            _ => false,
        })
        .map(|object| object.meta().namespace.as_str())
        .collect();
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none())
}

/// A file that is no text.
pub(crate) fn no_text(file: Arc<str>, problem: yaml::Problem) -> Finding {
    Finding {
        code: problem.code,
        severity: problem.severity,
        object: None,
        field: FieldPath::root(),
        location: Some(Location { file, span: problem.span }),
        message: problem.message,
        help: problem.help,
        related: Vec::new(),
    }
}
