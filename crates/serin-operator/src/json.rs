//! Objects as trees of JSON. What is copied from one workload to another is copied whole, whatever fields a newer
//! Kubernetes gives it, so objects are not read into types that know only some of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A part of an object, by its path without the leading slash: `spec/template`. Absent is `null`.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('/').try_fold(value, |it, key| it.get(key)).unwrap_or(&Value::Null)
}

/// A text in an object; empty if it is not there.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or_default()
}

/// A number of something; 0 if it is not there.
pub(crate) fn count(value: &Value, path: &str) -> u32 {
    at(value, path).as_i64().and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

/// A map of texts.
pub(crate) fn texts(value: &Value, path: &str) -> BTreeMap<String, String> {
    at(value, path)
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The elements of a list.
pub(crate) fn items<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// A name of the object's metadata.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "metadata/name")
}

/// The namespace of an object.
pub(crate) fn namespace(value: &Value) -> &str {
    text(value, "metadata/namespace")
}

/// The value at a path, made if it is not there.
pub(crate) fn entry<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('/').fold(value, |it, key| {
        if !it.is_object() {
            *it = Value::Object(Map::new());
        }
        match it {
            Value::Object(map) => map.entry(key).or_insert(Value::Null),
            other => other,
        }
    })
}

/// Sets the value at a path.
pub(crate) fn set(value: &mut Value, path: &str, to: Value) {
    *entry(value, path) = to;
}

/// Removes the value at a path.
pub(crate) fn remove(value: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('/').unwrap_or(("", path));
    let parent =
        if parent.is_empty() { Some(value) } else { value.pointer_mut(&format!("/{parent}")) };
    if let Some(Value::Object(map)) = parent {
        map.remove(key);
    }
}

/// Everything of `wanted` is in `found`: maps may hold more, lists and values are the same.
pub(crate) fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| holds(found.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| holds(a, b))
        }
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        // Nothing is wanted of what is not named.
        (_, Value::Null) => true,
        // What is empty may be left out.
        (Value::Null, Value::Object(map)) => map.values().all(|it| holds(&Value::Null, it)),
        (Value::Null, Value::Array(list)) => list.is_empty(),
        _ => found == wanted,
    }
}

/// A short hash of a value, whatever the order of its keys.
pub(crate) fn hash(value: &Value) -> String {
    fn feed(value: &Value, hash: &mut Sha256) {
        match value {
            Value::Object(map) => {
                let sorted: BTreeMap<&String, &Value> = map.iter().collect();
                hash.update("{");
                for (key, value) in sorted {
                    hash.update(Value::String(key.clone()).to_string());
                    feed(value, hash);
                }
                hash.update("}");
            }
            Value::Array(list) => {
                hash.update("[");
                list.iter().for_each(|it| feed(it, hash));
                hash.update("]");
            }
            plain => {
                hash.update(plain.to_string());
                hash.update(",");
            }
        }
    }
    let mut hash = Sha256::new();
    feed(value, &mut hash);
    hash.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// Metadata of an object that is made.
pub(crate) fn metadata(namespace: &str, name: &str) -> Value {
    json!({"name": name, "namespace": namespace})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter_to_a_hash() {
        let (a, b) = (json!({"a": 1, "b": [1, 2]}), json!({"b": [1, 2], "a": 1}));
        assert_eq!(hash(&a), hash(&b));
        assert_ne!(hash(&a), hash(&json!({"a": 1, "b": [2, 1]})));
        assert_ne!(hash(&json!(["1", "2"])), hash(&json!(["12"])));
    }

    #[test]
    fn an_object_may_hold_more_than_was_wanted() {
        let found = json!({"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}]});
        assert!(holds(&found, &json!({"a": {"b": 1.0}, "l": [{"x": 1}], "e": {}, "f": []})));
        assert!(holds(&found, &json!({"a": null, "n": null})));
        assert!(!holds(&found, &json!({"a": {"b": 2}})));
        assert!(!holds(&found, &json!({"l": []})));
    }

    #[test]
    fn values_are_set_and_removed_by_path() {
        let mut value = json!({});
        set(&mut value, "spec/template/replicas", json!(1));
        assert_eq!(at(&value, "spec/template/replicas"), &json!(1));
        remove(&mut value, "spec/template");
        assert_eq!(value, json!({"spec": {}}));
    }
}
