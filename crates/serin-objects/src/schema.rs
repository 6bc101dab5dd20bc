//! The shape of objects: one model for Kubernetes' own kinds and for those that users define.
//!
//! It says what merging, comparing and owning fields need to know: which values are records, maps, lists or scalars,
//! how the elements of lists are told apart, and what a field holds that nobody set. What values are *allowed* is said
//! elsewhere: by [`crate::validate`] for Kubernetes' own kinds, and by the structural schema of a definition.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

pub(crate) mod builtin;
mod custom;
mod tables;

pub(crate) use custom::node as custom_node;

/// What a value is.
#[derive(Debug)]
pub(crate) enum Node {
    /// A record with known fields.
    Struct(Struct),
    /// A map from any text.
    Map(Map),
    /// A list.
    List(List),
    /// A single value.
    Scalar(Scalar),
    /// Anything; owned field by field where it is an object.
    Any,
}

/// A record.
#[derive(Debug, Default)]
pub(crate) struct Struct {
    /// The name of the type in Go, as messages show it; empty where users defined it.
    pub(crate) name: String,
    /// The name with its package, `v1.Container`.
    pub(crate) qualified: String,
    /// The full name without its common beginning, `api.core.v1.Container`; empty where users defined it.
    pub(crate) full: String,
    /// The fields.
    pub(crate) fields: IndexMap<String, Field>,
    /// Whether the record is owned as a whole.
    pub(crate) atomic: bool,
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    link: Link,
    /// The field is written even where it is empty.
    pub(crate) required: bool,
    /// A record that is always there, if empty.
    pub(crate) always: bool,
    /// An empty scalar is a value, different from none.
    pub(crate) keeps_zero: bool,
    /// How a strategic merge patch treats the field.
    pub(crate) merge: Merge,
    /// The value of an absent field, where elements of lists are told apart by it.
    pub(crate) default: Option<Value>,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merge {
    /// Lists are merged, not replaced: elements by this field, or as a set of scalars where it is empty.
    pub(crate) list_key: Option<&'static str>,
    /// Fields of the record that the patch does not name are removed.
    pub(crate) retain_keys: bool,
}

/// A map.
#[derive(Debug)]
pub(crate) struct Map {
    values: Link,
    /// Whether the map is owned as a whole.
    pub(crate) atomic: bool,
}

/// A list.
#[derive(Debug)]
pub(crate) struct List {
    items: Link,
    /// How elements are told apart.
    pub(crate) kind: ListKind,
}

/// How elements of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Not at all: the list is owned as a whole.
    Atomic,
    /// By value.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// A single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Int32,
    Int64,
    Double,
    Boolean,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    Bytes,
    /// Whatever stands there, as one value.
    Opaque,
}

/// A reference to another shape.
#[derive(Clone, Debug)]
enum Link {
    Own(Arc<Node>),
    /// A place in the registry of Kubernetes' own types.
    Named(usize),
    /// The metadata of objects, without making the registry before it is needed.
    Metadata,
}

static ANY: Node = Node::Any;

impl Link {
    fn get(&self) -> &Node {
        match self {
            Self::Own(node) => node,
            Self::Named(place) => builtin::at(*place),
            Self::Metadata => builtin::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
        }
    }
}

impl Field {
    /// The shape of the field's value.
    pub(crate) fn node(&self) -> &Node {
        self.link.get()
    }
}

impl Map {
    /// The shape of the values.
    pub(crate) fn values(&self) -> &Node {
        self.values.get()
    }
}

impl List {
    /// The shape of the elements.
    pub(crate) fn items(&self) -> &Node {
        self.items.get()
    }
}

impl Node {
    /// The shape of what stands under `name`.
    pub(crate) fn field(&self, name: &str) -> &Self {
        match self {
            Self::Struct(it) => it.fields.get(name).map_or(&ANY, Field::node),
            Self::Map(it) => it.values(),
            _ => &ANY,
        }
    }

    /// The shape of a list's elements.
    pub(crate) fn element(&self) -> &Self {
        match self {
            Self::List(it) => it.items(),
            _ => &ANY,
        }
    }

    /// The value that a field of an element has if it is absent: for telling elements of lists apart.
    pub(crate) fn default_of(&self, field: &str) -> Option<&Value> {
        match self {
            Self::Struct(it) => it.fields.get(field).and_then(|it| it.default.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
