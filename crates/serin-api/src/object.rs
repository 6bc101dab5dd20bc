//! The parts that all Kubernetes objects share: identity, metadata, and the frame around a kind's own fields.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an object is called: enough to find it again, not a reference to a certain version of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// API group and version as written: `networking.istio.io/v1`, or `v1` for the core group.
    pub api_version: String,
    /// The kind: `VirtualService`.
    pub kind: String,
    /// The namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Metadata as far as Serin reads it. Times are RFC 3339 in UTC as Kubernetes writes them, or absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name, unique in its kind and namespace.
    pub name: String,
    /// Prefix from which the API server makes the name when `name` is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When the object was created. Order among several objects is by this, then name, then namespace.
    pub creation_timestamp: Option<String>,
    /// Identity across deletion and re-creation.
    pub uid: String,
    /// Version of the stored object.
    pub resource_version: String,
    /// Counts changes of the desired state.
    pub generation: i64,
    /// When deletion was asked for.
    pub deletion_timestamp: Option<String>,
    /// Objects this one belongs to.
    pub owner_references: Vec<OwnerReference>,
}

/// An object another one belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// API group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Identity of the owner.
    pub uid: String,
    /// Whether the owner manages this object.
    pub controller: bool,
}

/// Whether a kind lives in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Objects belong to a namespace.
    Namespaced,
    /// Objects belong to the whole cluster.
    Cluster,
}

/// A column that `kubectl get` shows for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printer {
    /// Heading.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `date`…
    pub r#type: &'static str,
    /// Path in the object: `.spec.hosts`.
    pub json_path: &'static str,
    /// What the column tells.
    pub description: &'static str,
    /// Whether it is shown with `-o wide` only.
    pub is_wide: bool,
}

/// A kind of object: its names, and the fields that are its own.
///
/// The implementing type holds what stands under `spec`; for kinds without a spec (`Secret`, `EndpointSlice`) it
/// holds the fields beside `metadata`.
pub trait Resource: Sized + for<'de> Deserialize<'de> {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// Served versions, preferred first. All versions of a kind have one schema.
    const VERSIONS: &'static [&'static str];
    /// Kind, in camel case.
    const KIND: &'static str;
    /// Lower-case plural, as in URLs.
    const PLURAL: &'static str;
    /// Short names for kubectl.
    const SHORT_NAMES: &'static [&'static str] = &[];
    /// Whether objects live in namespaces.
    const SCOPE: Scope = Scope::Namespaced;
    /// Whether the fields of this type stand under `spec` (true) or beside `metadata` (false).
    const HAS_SPEC: bool = true;
    /// Columns of `kubectl get` beside name and age.
    const PRINTER_COLUMNS: &'static [Printer] = &[];
}

/// An object of kind `T`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<T> {
    /// API group and version as its author wrote it.
    pub api_version: String,
    /// Metadata.
    pub meta: Meta,
    /// The kind's own fields.
    pub spec: T,
    /// The status as read, where the kind has one; `null` otherwise.
    pub status: serde_json::Value,
}

impl<T: Resource> Object<T> {
    /// What this object is called.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: T::KIND.to_owned(),
            namespace: self.meta.namespace.clone(),
            name: self.meta.name.clone(),
        }
    }
}
