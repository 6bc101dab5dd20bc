//! The resources that exist: Kubernetes' own, and those that CustomResourceDefinitions add and remove.
//!
//! A catalog is immutable and cheap to clone; a change makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::crd::Definition;
use crate::schema::Node;

mod builtin;

/// The verbs of an ordinary resource.
const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A resource in one version: what discovery says of it, and the shape of its objects.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The name in paths: `deployments`.
    pub plural: String,
    /// The name of one: `deployment`.
    pub singular: String,
    /// The kind: `Deployment`.
    pub kind: String,
    /// The kind of lists: `DeploymentList`.
    pub list_kind: String,
    /// Short names: `deploy`.
    pub short_names: Vec<String>,
    /// Names of sets of resources: `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What can be done, sorted.
    pub verbs: Vec<String>,
    /// Parts of objects that have a path of their own.
    pub subresources: Vec<Subresource>,
    /// Where objects are kept: two resources with the same place serve the same objects.
    pub storage: Storage,
    source: Source,
}

/// Where and in which version objects are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Storage {
    /// The group in which they are kept.
    pub group: String,
    /// The plural under which they are kept.
    pub plural: String,
    /// The version in which they are kept.
    pub version: String,
}

/// A part of an object that has a path of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The name in paths: `status`.
    pub name: String,
    /// The group of its kind; empty with an empty version when it is that of the resource.
    pub group: String,
    /// The version of its kind; empty when it is that of the resource.
    pub version: String,
    /// Its kind: `Scale`.
    pub kind: String,
    /// What can be done, sorted.
    pub verbs: Vec<String>,
}

/// Where the schema comes from.
#[derive(Clone, Debug)]
enum Source {
    Builtin,
    Custom(Arc<Definition>),
}

impl Resource {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `deployments.apps`, or `pods` in the core group: as messages name the resource.
    pub fn group_resource(&self) -> String {
        crate::status::qualified(&self.plural, &self.group)
    }

    /// Whether a CustomResourceDefinition defines it.
    pub const fn is_custom(&self) -> bool {
        matches!(self.source, Source::Custom(_))
    }

    /// The definition, of a custom resource.
    pub fn definition(&self) -> Option<&Definition> {
        match &self.source {
            Source::Builtin => None,
            Source::Custom(definition) => Some(definition),
        }
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|it| it.name == name)
    }

    /// Whether the verb can be used on the resource itself.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|it| it == verb)
    }

    /// Whether objects are kept, or only answered (reviews).
    pub fn is_stored(&self) -> bool {
        self.has_verb("get")
    }

    /// Whether updates of the object itself leave its status alone.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// The shape of the objects.
    pub(crate) fn schema(&self) -> &Node {
        match &self.source {
            Source::Builtin => {
                crate::schema::builtin::of_kind(&self.group, &self.version, &self.kind)
            }
            Source::Custom(definition) => definition.node(&self.version),
        }
    }

    /// What users should hear of a resource that they had better not use any more.
    pub fn deprecation(&self) -> Option<String> {
        if let Some(definition) = self.definition() {
            return definition.version(&self.version)?.deprecation.clone();
        }
        let text = match (self.group.as_str(), self.kind.as_str()) {
            ("", "Endpoints") => {
                "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
            }
            ("", "ComponentStatus") => "v1 ComponentStatus is deprecated in v1.19+",
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether it is this kind of Kubernetes' own.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind && !self.is_custom()
    }
}

/// `group/version`, or the version alone in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Group and version of an `apiVersion`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The resources that exist.
#[derive(Clone, Debug)]
pub struct Catalog {
    groups: Arc<Vec<Group>>,
}

/// An API group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name; empty for the core group.
    pub name: String,
    /// Its versions, preferred first.
    pub versions: Vec<Version>,
}

/// A version of an API group.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Its resources by plural.
    pub resources: BTreeMap<String, Arc<Resource>>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Catalog {
    /// Kubernetes' own resources.
    pub fn builtin() -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for resource in builtin::resources() {
            insert(&mut groups, resource);
        }
        Self { groups: Arc::new(groups) }
    }

    /// This catalog with the served versions of a CustomResourceDefinition, in the place of what it had of it.
    ///
    /// # Errors
    /// What the definition lacks. (Everything else about it was checked when it was written.)
    pub fn with_definition(&self, definition: &Value) -> Result<Self, String> {
        let definition = Arc::new(Definition::parse(definition)?);
        let mut groups = self.groups.as_ref().clone();
        remove(&mut groups, &definition.group, &definition.plural);
        for version in definition.versions.iter().filter(|version| version.served) {
            let resource = custom(&definition, version);
            insert(&mut groups, resource);
        }
        order(&mut groups);
        Ok(Self { groups: Arc::new(groups) })
    }

    /// This catalog without the custom resource `plural` of `group`.
    #[must_use]
    pub fn without_definition(&self, group: &str, plural: &str) -> Self {
        let mut groups = self.groups.as_ref().clone();
        remove(&mut groups, group, plural);
        Self { groups: Arc::new(groups) }
    }

    /// The groups in the order of discovery.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A group.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// A version of a group.
    pub fn version(&self, group: &str, version: &str) -> Option<&Version> {
        self.group(group)?.versions.iter().find(|it| it.name == version)
    }

    /// The resource at a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.version(group, version)?.resources.get(plural)
    }

    /// The resource of a kind.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.version(group, version)?.resources.values().find(|it| it.kind == kind)
    }

    /// The resource in whichever version is preferred.
    pub fn find_preferred(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.group(group)?.versions.iter().find_map(|version| version.resources.get(plural))
    }

    /// All resources in all versions, in the order of discovery.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups
            .iter()
            .flat_map(|group| &group.versions)
            .flat_map(|version| version.resources.values())
    }
}

fn insert(groups: &mut Vec<Group>, resource: Resource) {
    let at = groups.iter().position(|it| it.name == resource.group).unwrap_or_else(|| {
        groups.push(Group { name: resource.group.clone(), versions: Vec::new() });
        groups.len() - 1
    });
    let group = &mut groups[at];
    let at =
        group.versions.iter().position(|it| it.name == resource.version).unwrap_or_else(|| {
            group
                .versions
                .push(Version { name: resource.version.clone(), resources: BTreeMap::new() });
            group.versions.len() - 1
        });
    group.versions[at].resources.insert(resource.plural.clone(), Arc::new(resource));
}

/// Takes a custom resource out, and groups and versions that are empty without it.
fn remove(groups: &mut Vec<Group>, group: &str, plural: &str) {
    for it in groups.iter_mut().filter(|it| it.name == group) {
        for version in &mut it.versions {
            if version.resources.get(plural).is_some_and(|it| it.is_custom()) {
                version.resources.remove(plural);
            }
        }
        it.versions.retain(|version| !version.resources.is_empty());
    }
    groups.retain(|group| !group.versions.is_empty());
}

/// Orders the versions of groups with custom resources as Kubernetes does, and such groups by name behind its own.
fn order(groups: &mut [Group]) {
    let is_custom = |group: &Group| {
        group.versions.iter().flat_map(|it| it.resources.values()).all(|it| it.is_custom())
    };
    for group in groups.iter_mut().filter(|group| is_custom(group)) {
        group.versions.sort_by_key(|version| version_order(&version.name));
    }
    groups.sort_by_cached_key(|group| {
        let custom = is_custom(group);
        (custom, if custom { group.name.clone() } else { String::new() })
    });
}

/// The place of a version: stable before beta before alpha, newer before older, other names last by letters.
pub(crate) fn version_order(
    version: &str,
) -> (u8, std::cmp::Reverse<u32>, std::cmp::Reverse<u32>, String) {
    use std::cmp::Reverse;
    let other = || (3, Reverse(0), Reverse(0), version.to_owned());
    let Some(rest) = version.strip_prefix('v') else { return other() };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..end].parse::<u32>() else { return other() };
    let stage = &rest[end..];
    if stage.is_empty() {
        return (0, Reverse(major), Reverse(0), String::new());
    }
    for (rank, name) in [(1, "beta"), (2, "alpha")] {
        if let Some(minor) = stage.strip_prefix(name).and_then(|it| it.parse::<u32>().ok()) {
            return (rank, Reverse(major), Reverse(minor), String::new());
        }
    }
    other()
}

fn custom(definition: &Arc<Definition>, version: &crate::crd::DefinedVersion) -> Resource {
    let own = |name: &str, verbs: &[&str]| Subresource {
        name: name.to_owned(),
        group: String::new(),
        version: String::new(),
        kind: definition.kind.clone(),
        verbs: verbs.iter().map(|it| (*it).to_owned()).collect(),
    };
    let mut subresources = Vec::new();
    if version.scale.is_some() {
        let mut scale = own("scale", &["get", "patch", "update"]);
        scale.group = "autoscaling".to_owned();
        scale.version = "v1".to_owned();
        scale.kind = "Scale".to_owned();
        subresources.push(scale);
    }
    if version.status {
        subresources.push(own("status", &["get", "patch", "update"]));
    }
    Resource {
        group: definition.group.clone(),
        version: version.name.clone(),
        plural: definition.plural.clone(),
        singular: definition.singular.clone(),
        kind: definition.kind.clone(),
        list_kind: definition.list_kind.clone(),
        short_names: definition.short_names.clone(),
        categories: definition.categories.clone(),
        namespaced: definition.namespaced,
        verbs: ALL_VERBS.iter().map(|it| (*it).to_owned()).collect(),
        subresources,
        storage: Storage {
            group: definition.group.clone(),
            plural: definition.plural.clone(),
            version: definition.storage_version().to_owned(),
        },
        source: Source::Custom(Arc::clone(definition)),
    }
}

#[cfg(test)]
mod tests;
