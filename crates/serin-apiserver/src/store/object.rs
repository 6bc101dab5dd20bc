//! One stored object: its JSON with the revision inside, and the form it has before the revision is known.
//!
//! Objects are kept as the bytes that clients get, the metadata in the order in which Kubernetes writes it. Before the revision
//! stand only names and the uid there, so that its place is found without reading JSON again.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// What the metadata begin with.
const METADATA: &str = "\"metadata\":{";
/// What stands before the revision.
const REVISION: &str = "\"resourceVersion\":\"";

/// The fields of the metadata before the revision, and those after it.
const BEFORE: &[&str] = &["name", "generateName", "namespace", "selfLink", "uid"];
const AFTER: &[&str] = &[
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// An object as it is stored: JSON bytes and the revision of its last change.
#[derive(Clone)]
pub struct Object {
    bytes: Arc<[u8]>,
    revision: u64,
    owners: Owners,
}

/// The uids of the objects that an object names as its owners; most have none.
type Owners = Option<Arc<[Box<str>]>>;

/// The owners that an object names.
fn owners_of(object: &Value) -> Owners {
    let all = object["metadata"]["ownerReferences"].as_array()?;
    let uids: Vec<Box<str>> =
        all.iter().filter_map(|owner| owner["uid"].as_str()).map(Box::from).collect();
    (!uids.is_empty()).then(|| uids.into())
}

impl Object {
    /// The revision at which the object was last written.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The object as compact JSON.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The object as JSON, shared.
    pub fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// The object, parsed.
    pub fn value(&self) -> Value {
        // What is stored was serialised by `Draft`; reading it back cannot fail unless memory is damaged.
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// Its labels, read without the rest of the object; null where it has none.
    pub fn labels(&self) -> Value {
        #[derive(serde::Deserialize)]
        struct Metadata {
            #[serde(default)]
            labels: Value,
        }
        let start = find_metadata(&self.bytes).map(|at| at + METADATA.len() - 1);
        let metadata = start.and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        let mut reader = serde_json::Deserializer::from_slice(metadata);
        let read: Result<Metadata, _> = serde::Deserialize::deserialize(&mut reader);
        read.map(|metadata| metadata.labels).unwrap_or_default()
    }

    /// Whether it is kept in this `apiVersion`.
    pub fn is_of(&self, api_version: &str) -> bool {
        let head = find_metadata(&self.bytes).and_then(|at| self.bytes.get(..at));
        let head = head.and_then(|head| head.strip_suffix(b"\","));
        head.and_then(|head| head.strip_suffix(api_version.as_bytes()))
            .is_some_and(|head| head.ends_with(b"\"apiVersion\":\""))
    }

    /// The uids of its owners.
    pub fn owners(&self) -> &[Box<str>] {
        self.owners.as_deref().unwrap_or_default()
    }

    /// The same object under another revision, as watchers are told of its deletion.
    pub(crate) fn at(&self, revision: u64) -> Self {
        match Draft::from_bytes(self.bytes.to_vec()) {
            Some(draft) => Self { owners: self.owners.clone(), ..draft.at(revision) },
            None => Self { revision, ..self.clone() },
        }
    }

    /// An object read from disk. The revision is taken from its JSON; `None` where there is none.
    pub(crate) fn from_disk(bytes: &[u8]) -> Option<Self> {
        let start = find_revision(bytes)?;
        let digits: String = bytes
            .get(start..)?
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .map(|&b| b as char)
            .collect();
        // Most objects have no owners, and need not be parsed to see that.
        let named = memchr::memmem::find(bytes, b"\"ownerReferences\":").is_some();
        let parsed = named.then(|| serde_json::from_slice::<Value>(bytes).ok()).flatten();
        let owners = parsed.as_ref().and_then(owners_of);
        Some(Self { bytes: bytes.into(), revision: digits.parse().ok()?, owners })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} @ {})", String::from_utf8_lossy(&self.bytes), self.revision)
    }
}

/// An object that waits for its revision.
#[derive(Clone, Debug)]
pub struct Draft {
    bytes: Vec<u8>,
    /// Where the revision goes.
    at: usize,
    owners: Owners,
}

impl Draft {
    /// Serialises `object`, whatever revision it says it has. Kind and apiVersion come first, then the metadata.
    pub fn new(object: &Value) -> Self {
        let empty = Map::new();
        let fields = object.as_object().unwrap_or(&empty);
        let mut bytes = Vec::with_capacity(512);
        bytes.push(b'{');
        for name in ["kind", "apiVersion"] {
            if let Some(value) = fields.get(name) {
                field(&mut bytes, name, value);
                bytes.push(b',');
            }
        }
        bytes.extend_from_slice(METADATA.as_bytes());
        let metadata = fields.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
        for (name, value) in BEFORE.iter().filter_map(|name| metadata.get_key_value(*name)) {
            field(&mut bytes, name, value);
            bytes.push(b',');
        }
        bytes.extend_from_slice(REVISION.as_bytes());
        let at = bytes.len();
        bytes.push(b'"');
        let known = |name: &str| name == "resourceVersion" || BEFORE.contains(&name);
        let after = AFTER.iter().filter_map(|name| metadata.get_key_value(*name));
        let others = metadata.iter().filter(|(name, _)| !AFTER.contains(&name.as_str()));
        for (name, value) in after.chain(others).filter(|(name, _)| !known(name)) {
            bytes.push(b',');
            field(&mut bytes, name, value);
        }
        bytes.push(b'}');
        for (name, value) in fields {
            if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
                bytes.push(b',');
                field(&mut bytes, name, value);
            }
        }
        bytes.push(b'}');
        Self { bytes, at, owners: owners_of(object) }
    }

    /// A draft from bytes that were stored before; their revision is cut out.
    fn from_bytes(mut bytes: Vec<u8>) -> Option<Self> {
        let at = find_revision(&bytes)?;
        let digits = bytes.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        bytes.drain(at..at + digits);
        Some(Self { bytes, at, owners: None })
    }

    /// The object at its revision.
    pub(crate) fn at(&self, revision: u64) -> Object {
        let digits = revision.to_string();
        let mut bytes = Vec::with_capacity(self.bytes.len() + digits.len());
        let (head, tail) = self.bytes.split_at(self.at);
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(digits.as_bytes());
        bytes.extend_from_slice(tail);
        Object { bytes: bytes.into(), revision, owners: self.owners.clone() }
    }

    /// How long the object is, in bytes, without its revision.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it; never, in practice.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn field(bytes: &mut Vec<u8>, name: &str, value: &Value) {
    // Serialising a string or a value into memory cannot fail.
    let _ = serde_json::to_writer(&mut *bytes, name);
    bytes.push(b':');
    let _ = serde_json::to_writer(&mut *bytes, value);
}

/// Where the metadata begin: the first place in the bytes where they can, because quotes inside of texts are escaped.
fn find_metadata(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, METADATA.as_bytes())
}

/// The position of the revision: the fields before it are texts, in which quotes are escaped.
fn find_revision(bytes: &[u8]) -> Option<usize> {
    let metadata = find_metadata(bytes)?;
    let at = memchr::memmem::find(bytes.get(metadata..)?, REVISION.as_bytes())?;
    Some(metadata + at + REVISION.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_stand_in_the_order_of_kubernetes() {
        let value = json!({"data": {"a": "1"}, "metadata": {"labels": {"a": "b"}, "x": 1, "uid": "u", "generation": 1,
            "resourceVersion": "7", "name": "c"}, "apiVersion": "v1", "kind": "ConfigMap"});
        let object = Draft::new(&value).at(42);
        assert_eq!(
            String::from_utf8_lossy(object.bytes()),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","uid":"u","resourceVersion":"42","generation":1,"labels":{"a":"b"},"x":1},"data":{"a":"1"}}"#
        );
        assert_eq!(Object::from_disk(object.bytes()).map(|o| o.revision()), Some(42));
        assert!(
            String::from_utf8_lossy(object.at(1000).bytes())
                .contains(r#""resourceVersion":"1000""#)
        );
    }

    #[test]
    fn a_revision_inside_of_texts_is_not_taken_for_the_objects() {
        let (kind, name) = (format!("{METADATA}{REVISION}1"), format!("{REVISION}2"));
        let value =
            json!({"kind": kind, "apiVersion": "v1", "metadata": {"name": name}, "x": name});
        let object = Draft::new(&value).at(5).at(6);
        assert_eq!(object.value()["metadata"]["resourceVersion"], "6");
        assert_eq!((&object.value()["x"], &object.value()["kind"]), (&json!(name), &json!(kind)));
    }

    #[test]
    fn objects_whose_revision_comes_first_are_read_as_well() {
        let bytes = br#"{"kind":"C","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"c","labels":{"resourceVersion":"9"}}}"#;
        let object = Object::from_disk(bytes).unwrap();
        assert_eq!(object.revision(), 7);
        assert_eq!(object.at(8).value()["metadata"]["resourceVersion"], "8");
        assert_eq!(object.labels(), json!({"resourceVersion": "9"}));
    }

    #[test]
    fn labels_and_version_are_read_without_the_rest() {
        let value = json!({
            "kind": "C", "apiVersion": "g/v1", "data": {"labels": {"x": "y"}},
            "metadata": {"name": "c", "labels": {"a": "1"}, "annotations": {"labels": "no"}},
        });
        let object = Draft::new(&value).at(5);
        assert_eq!(object.labels(), json!({"a": "1"}));
        assert!(object.is_of("g/v1") && !object.is_of("v1") && !object.is_of("g/v"));
        let bare = json!({"kind": "C", "apiVersion": "v1", "metadata": {"name": "c"}});
        let bare = Draft::new(&bare).at(5);
        assert_eq!((bare.labels(), bare.is_of("v1")), (Value::Null, true));
    }

    #[test]
    fn bytes_without_a_revision_are_not_an_object() {
        assert!(Object::from_disk(b"{}").is_none());
        assert!(Object::from_disk(br#"{"metadata":{"resourceVersion":"x"}}"#).is_none());
    }
}
