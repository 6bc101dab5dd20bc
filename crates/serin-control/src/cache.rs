//! The objects of the cluster as they were when they were last right.
//!
//! Watches feed it; it says what of that is a change. An object that cannot be read, or that Istio would refuse, stays as it was, and
//! what is wrong with it is a finding. It does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use serin_api::core::Pod;
use serin_api::load;
use serin_api::mesh_config::MeshConfig;
use serin_api::{
    AnyObject, FieldPath, Finding, Kind, Object, ObjectRef, Severity, codes, validation,
};
use serin_translate::Objects;

use crate::kinds;

/// Something that a watch tells of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static Kind,
    pub(crate) what: What,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// All objects follow.
    Begin,
    /// One of them.
    Listed(Value),
    /// That were all; others are gone.
    Complete,
    /// There is an object, or it has changed.
    Present(Value),
    /// An object is gone.
    Gone(Value),
    /// The API does not have the kind.
    NotServed,
}

/// What an object is known by: its kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// The key of a reference, if its kind is known.
    pub(crate) fn of(reference: &ObjectRef) -> Option<Self> {
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = Kind::find(group, &reference.kind)?;
        let (namespace, name) = (reference.namespace.clone(), reference.name.clone());
        Some(Self { group: kind.group, kind: kind.kind, namespace, name })
    }

    fn read(kind: &'static Kind, object: &Value) -> Self {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
        Self {
            group: kind.group,
            kind: kind.kind,
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
        }
    }
}

/// What is known of an object.
#[derive(Debug)]
struct Entry {
    /// Its last good form.
    good: Option<AnyObject>,
    /// What is wrong with its present form.
    findings: Vec<Finding>,
    /// The generation of its present form.
    generation: i64,
    /// Its status as the API has it, for custom kinds.
    status: Arc<Value>,
    /// Its `resourceVersion`.
    version: String,
}

/// A custom object as the writer of statuses sees it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) generation: i64,
    pub(crate) status: Arc<Value>,
    pub(crate) version: String,
    pub(crate) findings: Vec<Finding>,
}

impl Written {
    /// A status was written where `before` was the version. If another has come since, it may be newer than what was written, and
    /// others may have written over it: what the watch tells is what is there.
    pub(crate) fn wrote(&mut self, before: &str, status: Value, version: String) {
        if self.version == before {
            (self.status, self.version) = (Arc::new(status), version);
        }
    }
}

/// What has changed in the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Objects whose last good form is another, with its generation; none for those that are gone.
    pub(crate) objects: BTreeMap<Key, Option<i64>>,
    /// Objects of which only the status, or what is wrong with them, is another.
    pub(crate) statuses: BTreeSet<Key>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.statuses.is_empty()
    }
}

/// The objects of the cluster.
#[derive(Debug)]
pub(crate) struct Cache {
    root_namespace: String,
    objects: Objects,
    entries: BTreeMap<Key, Entry>,
    /// Kinds whose objects are being listed, and those listed so far.
    listing: BTreeMap<(&'static str, &'static str), BTreeSet<Key>>,
    /// Kinds whose objects are not all known yet.
    missing: BTreeSet<(&'static str, &'static str)>,
    mesh: Arc<MeshConfig>,
    changes: Changes,
}

impl Cache {
    /// A cache that waits for all kinds that are watched. `root_namespace` is where the mesh configuration is, `pods` are among the
    /// objects from the start, and stay.
    pub(crate) fn new(root_namespace: &str, pods: impl IntoIterator<Item = Object<Pod>>) -> Self {
        let mut objects = Objects::default();
        pods.into_iter().for_each(|pod| objects.exchange(None, Some(Arc::new(pod))));
        Self {
            root_namespace: root_namespace.to_owned(),
            objects,
            entries: BTreeMap::new(),
            listing: BTreeMap::new(),
            missing: kinds::watched().map(|kind| (kind.group, kind.kind)).collect(),
            mesh: Arc::new(mesh_config(root_namespace)),
            changes: Changes::default(),
        }
    }

    /// Takes in what a watch tells.
    pub(crate) fn take(&mut self, event: Event) {
        let Event { kind, what } = event;
        let id = (kind.group, kind.kind);
        match what {
            What::Begin => {
                self.listing.insert(id, BTreeSet::new());
            }
            What::Listed(object) => {
                let key = self.present(kind, object);
                self.listing.entry(id).or_default().insert(key);
            }
            What::Complete => {
                let listed = self.listing.remove(&id).unwrap_or_default();
                let is_gone = |key: &&Key| (key.group, key.kind) == id && !listed.contains(*key);
                let gone: Vec<Key> = self.entries.keys().filter(is_gone).cloned().collect();
                gone.iter().for_each(|key| self.remove(key));
                self.missing.remove(&id);
            }
            What::Present(object) => {
                self.present(kind, object);
            }
            What::Gone(object) => self.remove(&Key::read(kind, &object)),
            What::NotServed => {
                self.missing.remove(&id);
            }
        }
    }

    /// What has changed since this was asked last.
    pub(crate) fn changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Whether all objects are known.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The objects in their last good form.
    pub(crate) const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The mesh configuration in its last good form.
    pub(crate) const fn mesh(&self) -> &Arc<MeshConfig> {
        &self.mesh
    }

    /// A custom object.
    pub(crate) fn written(&self, key: &Key) -> Option<Written> {
        let entry = self.entries.get(key)?;
        Some(Written {
            generation: entry.generation,
            status: Arc::clone(&entry.status),
            version: entry.version.clone(),
            findings: entry.findings.clone(),
        })
    }

    /// The present form of an object is this.
    fn present(&mut self, kind: &'static Kind, mut object: Value) -> Key {
        let key = Key::read(kind, &object);
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let version = version.unwrap_or_default().to_owned();
        let status = kinds::prune(kind, &mut object);
        let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
        let (read, findings) = read(kind, &object, &key);
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            good: None,
            findings: Vec::new(),
            generation: 0,
            status: Arc::default(),
            version: String::new(),
        });
        let is_told = entry.findings == findings && *entry.status == status;
        if !is_told {
            self.changes.statuses.insert(key.clone());
        }
        entry.findings = findings;
        entry.status = Arc::new(status);
        entry.version = version;
        entry.generation = generation.unwrap_or_default();
        let Some(new) = read else { return key };
        if entry.good.as_ref().is_some_and(|old| kinds::are_equal(old, &new)) {
            return key;
        }
        kinds::exchange(&mut self.objects, entry.good.as_ref(), Some(new.clone()));
        entry.good = Some(new);
        self.changes.objects.insert(key.clone(), Some(entry.generation));
        if self.is_mesh_config(&key) {
            self.read_mesh(&key, Some(&object));
        }
        key
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        if let Some(old) = &entry.good {
            kinds::exchange(&mut self.objects, Some(old), None);
        }
        self.changes.statuses.remove(key);
        self.changes.objects.insert(key.clone(), None);
        if self.is_mesh_config(key) {
            self.read_mesh(key, None);
        }
    }

    fn is_mesh_config(&self, key: &Key) -> bool {
        key.kind == "ConfigMap" && key.name == "istio" && key.namespace == self.root_namespace
    }

    /// The mesh configuration of a ConfigMap. One that is wrong leaves the last good one in force.
    fn read_mesh(&mut self, key: &Key, config_map: Option<&Value>) {
        let text = config_map.and_then(|it| it.pointer("/data/mesh")?.as_str());
        let Some(text) = text else {
            self.mesh = Arc::new(mesh_config(&self.root_namespace));
            return;
        };
        let read = load::mesh("istio", text);
        match (read.config, read.findings.first()) {
            (Some(config), None) => self.mesh = Arc::new(config),
            (_, finding) => {
                let problem = finding.map_or("it is empty", |it| it.message.as_str());
                tracing::error!(config_map = %format!("{}/{}", key.namespace, key.name), problem,
                    "the mesh configuration cannot be read; the last good one stays in force");
            }
        }
    }
}

/// The mesh configuration where none is written.
fn mesh_config(root_namespace: &str) -> MeshConfig {
    MeshConfig { root_namespace: root_namespace.to_owned(), ..MeshConfig::default() }
}

/// An object in its typed form, unless it must not be used; and what is wrong with it.
fn read(kind: &'static Kind, object: &Value, key: &Key) -> (Option<AnyObject>, Vec<Finding>) {
    let reference = || ObjectRef {
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    };
    let typed = match kind.read(object) {
        Ok(typed) => typed,
        Err(error) => {
            let finding = Finding::new(
                codes::UNDECODABLE,
                Severity::Error,
                &reference(),
                error.field,
                error.message,
            );
            return (None, vec![finding]);
        }
    };
    let problems = match validation::validate(object) {
        Some(Ok(problems)) => problems,
        _ => Vec::new(),
    };
    let mut findings: Vec<Finding> =
        problems.into_iter().map(|problem| problem.into_finding(&reference())).collect();
    let is_refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    if matches!(kind.kind, "EnvoyFilter" | "WasmPlugin" | "TrafficExtension") {
        let field = FieldPath::root().key("kind");
        let message = envoy_only(kind.kind);
        findings.push(Finding::new(
            codes::ENVOY_ONLY,
            Severity::Error,
            &reference(),
            field,
            message,
        ));
    }
    ((!is_refused).then_some(typed), findings)
}

/// Why a kind that only Envoy could carry out does nothing here.
pub(crate) fn envoy_only(kind: &str) -> String {
    format!(
        "{kind} changes or extends Envoy itself, and Serin's proxies are not Envoy: it cannot be carried out, and leaving it out \
         in silence could be dangerous"
    )
}

#[cfg(test)]
mod tests;
