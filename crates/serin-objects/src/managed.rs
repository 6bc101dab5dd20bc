//! Who owns which field: `metadata.managedFields`, kept up with every write.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::field_set::{Element, Set};
use crate::schema::Node;
use crate::{Resource, convert, decode, time, typed};

/// How many owners by ordinary writes are told apart. Older ones are put together.
const MAX_UPDATERS: usize = 10;
/// Under this name.
const ANCIENT: &str = "ancient-changes";

/// How fields were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// An owner and what it owns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: Option<String>,
    pub(crate) set: Set,
}

impl Owner {
    /// An owner of nothing yet.
    pub(crate) fn new(
        resource: &Resource,
        operation: Operation,
        manager: &str,
        subresource: Option<&str>,
    ) -> Self {
        Self {
            manager: manager.chars().take(128).collect(),
            operation,
            api_version: resource.api_version(),
            subresource: subresource.unwrap_or_default().to_owned(),
            time: None,
            set: Set::default(),
        }
    }

    /// Whether the other is the same owner. One that applies is the same in every version.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    fn parse(entry: &Value) -> Option<Self> {
        let text =
            |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            manager: text("manager"),
            operation: match text("operation").as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            },
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            set: Set::from_value(entry.get("fieldsV1").unwrap_or(&json!({})))?,
        })
    }

    fn to_value(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        if !self.manager.is_empty() {
            put("manager", json!(self.manager));
        }
        put("operation", json!(self.operation.as_str()));
        put("apiVersion", json!(self.api_version));
        if let Some(time) = &self.time {
            put("time", json!(time));
        }
        put("fieldsType", json!("FieldsV1"));
        put("fieldsV1", self.set.to_value());
        if !self.subresource.is_empty() {
            put("subresource", json!(self.subresource));
        }
        Value::Object(out)
    }

    /// As conflicts name it.
    pub(crate) fn described(&self) -> String {
        let mut text = crate::go::quote(&self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", crate::go::quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// What an object says of its owners.
pub(crate) fn read(object: &Value) -> Option<Vec<Owner>> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    entries.iter().map(Owner::parse).collect()
}

/// Whether a client asks for the record to be forgotten, with a single empty entry.
fn is_reset(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    matches!(entries.map(Vec::as_slice), Some([only]) if {
        only.as_object().is_some_and(|it| it.values().all(|value| value.as_str() == Some("") || value.is_null()))
    })
}

/// The owners to go on from: those that the client sent, unless it does not know them.
pub(crate) fn decode_or_old(old: &Value, new: &Value, is_subresource: bool) -> Vec<Owner> {
    if is_subresource {
        return read(old).unwrap_or_default();
    }
    if is_reset(new) {
        return Vec::new();
    }
    match read(new) {
        Some(owners) if !owners.is_empty() => owners,
        _ => read(old).unwrap_or_default(),
    }
}

/// Writes the owners into an object.
pub(crate) fn write(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.set.is_empty());
    owners.sort_by(|a, b| {
        let key = |it: &Owner| (it.operation, it.time.clone().unwrap_or_default());
        key(a)
            .cmp(&key(b))
            .then_with(|| a.manager.cmp(&b.manager))
            .then_with(|| a.api_version.cmp(&b.api_version))
            .then_with(|| a.subresource.cmp(&b.subresource))
    });
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if owners.is_empty() {
        metadata.remove("managedFields");
    } else {
        let entries = owners.iter().map(Owner::to_value).collect();
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// The object without the record of its owners.
pub(crate) fn without(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// What nobody owns: who an object is, and what the server writes.
pub(crate) fn strip(set: &mut Set) {
    let field = Element::field;
    for name in ["apiVersion", "kind", "metadata"] {
        set.remove_member(&[field(name)]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.remove_member(&[field("metadata"), field(name)]);
    }
}

/// Two states of an object in the version in which an owner owns it.
pub(crate) struct Versions<'v> {
    resource: &'v Resource,
    old: &'v Value,
    new: &'v Value,
    made: BTreeMap<String, typed::Comparison>,
}

impl<'v> Versions<'v> {
    pub(crate) fn new(resource: &'v Resource, old: &'v Value, new: &'v Value) -> Self {
        Self { resource, old, new, made: BTreeMap::new() }
    }

    /// How the states differ in a version.
    pub(crate) fn comparison(&mut self, api_version: &str) -> &typed::Comparison {
        let Self { resource, old, new, made } = self;
        made.entry(api_version.to_owned()).or_insert_with(|| {
            let node = node_in(resource, api_version);
            if api_version == resource.api_version() || resource.is_custom() {
                return typed::compare(node, old, new);
            }
            let old = convert::between(resource, api_version, (*old).clone());
            let new = convert::between(resource, api_version, (*new).clone());
            typed::compare(node, &old, &new)
        })
    }
}

/// The shape of the kind in another version.
pub(crate) fn node_in<'r>(resource: &'r Resource, api_version: &str) -> &'r Node {
    let (group, version) = crate::catalog::split_api_version(api_version);
    match resource.definition() {
        Some(definition) if definition.version(version).is_some() => definition.node(version),
        Some(_) => resource.schema(),
        None => crate::schema::builtin::of_kind(group, version, &resource.kind),
    }
}

/// Takes from all owners but `except` what changed, and returns what they had of it.
pub(crate) fn yield_fields(
    owners: &mut [Owner],
    except: Option<&Owner>,
    versions: &mut Versions<'_>,
) -> Vec<(Owner, Set)> {
    let mut conflicts = Vec::new();
    for owner in owners {
        if except.is_some_and(|except| owner.is(except)) {
            continue;
        }
        let comparison = versions.comparison(&owner.api_version);
        let changed = comparison.modified.union(&comparison.added);
        let conflict = owner.set.intersection(&changed);
        let rest = owner.set.difference(&conflict).difference(&comparison.removed);
        if !conflict.is_empty() {
            conflicts.push((owner.clone(), conflict));
        }
        owner.set = rest;
    }
    conflicts
}

/// Records an ordinary write in `new`: what changed since `old` (none: a new object) belongs to `manager`.
pub(crate) fn update(
    resource: &Resource,
    old: Option<&Value>,
    new: &mut Value,
    writer: (&str, Option<&str>),
    now: Timestamp,
) {
    let (manager, subresource) = writer;
    let zero;
    let base = match old {
        Some(old) => old,
        None => {
            zero = decode::canonical::zero_of_resource(resource);
            &zero
        }
    };
    let mut owners = decode_or_old(base, new, subresource.is_some());
    let (before, after) = (without(base), without(new));
    let mut versions = Versions::new(resource, &before, &after);
    yield_fields(&mut owners, None, &mut versions);
    let comparison = versions.comparison(&resource.api_version());
    let mut taken = comparison.modified.union(&comparison.added);
    strip(&mut taken);
    if !taken.is_empty() {
        let mut owner = Owner::new(resource, Operation::Update, manager, subresource);
        if let Some(place) = owners.iter().position(|it| it.is(&owner)) {
            owner.set = owners.remove(place).set;
        }
        owner.set = owner.set.union(&taken);
        owner.time = Some(time::seconds(now));
        owners.push(owner);
    }
    owners.retain(|owner| !owner.set.is_empty());
    cap(&mut owners);
    write(new, owners);
}

/// Puts the oldest owners by ordinary writes together, if there are too many.
fn cap(owners: &mut Vec<Owner>) {
    let mut updaters: Vec<usize> =
        (0..owners.len()).filter(|place| owners[*place].operation == Operation::Update).collect();
    if updaters.len() <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by(|a, b| {
        owners[*a]
            .time
            .cmp(&owners[*b].time)
            .then_with(|| owners[*a].manager.cmp(&owners[*b].manager))
    });
    let excess = updaters.len() - MAX_UPDATERS;
    let old: Vec<usize> = updaters.into_iter().take(excess + 1).collect();
    let mut kept = Vec::new();
    let mut buckets: BTreeMap<String, Owner> = BTreeMap::new();
    for (place, owner) in owners.drain(..).enumerate() {
        if !old.contains(&place) {
            kept.push(owner);
            continue;
        }
        let bucket = buckets.entry(owner.api_version.clone()).or_insert_with(|| Owner {
            manager: ANCIENT.to_owned(),
            subresource: String::new(),
            set: Set::default(),
            ..owner.clone()
        });
        bucket.set = bucket.set.union(&owner.set);
        bucket.time = bucket.time.take().max(owner.time);
    }
    kept.extend(buckets.into_values());
    *owners = kept;
}

#[cfg(test)]
mod tests;
