//! Sets of fields of an object, as `metadata.managedFields` holds them.
//!
//! A set is a tree. What is a member of it is a leaf someone set, or an element of a list or map that someone put
//! there. The steps of the tree are kept as they are written: `f:name`, `k:{"name":"web"}`, `v:"x"`, `i:0`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::schema::Node;

/// A step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element(String);

impl Element {
    /// A field of a record or a key of a map.
    pub(crate) fn field(name: &str) -> Self {
        Self(format!("f:{name}"))
    }

    /// An element of a list that these fields tell apart.
    pub(crate) fn keys(keys: &BTreeMap<&str, &Value>) -> Self {
        Self(format!("k:{}", serde_json::to_string(keys).unwrap_or_default()))
    }

    /// An element of a set.
    pub(crate) fn value(value: &Value) -> Self {
        Self(format!("v:{value}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self(text.to_owned())),
            // Written anew, so that equal keys are equal texts.
            "k" => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                let keys = keys.iter().map(|(name, value)| (name.as_str(), value)).collect();
                Some(Self::keys(&keys))
            }
            "v" => Some(Self::value(&serde_json::from_str(rest).ok()?)),
            "i" => rest.parse::<u32>().ok().map(|index| Self(format!("i:{index}"))),
            _ => None,
        }
    }

    /// The name, if the step is one to a field.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }
}

impl fmt::Display for Element {
    /// As conflicts are described: `.spec`, `[name="web"]`, `[="x"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rest) = self.0.split_once(':').unwrap_or(("", &self.0));
        match kind {
            "k" => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(rest).unwrap_or_default();
                let keys: Vec<String> =
                    keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
            "v" => write!(f, "[={rest}]"),
            "i" => write!(f, "[{rest}]"),
            _ => write!(f, ".{rest}"),
        }
    }
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    members: BTreeSet<Element>,
    children: BTreeMap<Element, Self>,
}

impl Set {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Adds the field that a path leads to. The path of the object itself adds nothing.
    pub(crate) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the part that a step leads to is itself a member.
    pub(crate) fn has(&self, element: &Element) -> bool {
        self.members.contains(element)
    }

    /// What is in the set below a step.
    pub(crate) fn below(&self, element: &Element) -> Option<&Self> {
        self.children.get(element)
    }

    /// What is in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let merged =
                out.children.get(element).map_or_else(|| child.clone(), |it| it.union(child));
            out.children.insert(element.clone(), merged);
        }
        out
    }

    /// What is in this and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let child = |(element, child): (&Element, &Self)| {
            let rest = other
                .children
                .get(element)
                .map_or_else(|| child.clone(), |it| child.difference(it));
            (!rest.is_empty()).then(|| (element.clone(), rest))
        };
        Self { members, children: self.children.iter().filter_map(child).collect() }
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let child = |(element, child): (&Element, &Self)| {
            let both = child.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        };
        Self { members, children: self.children.iter().filter_map(child).collect() }
    }

    /// Takes out a member, but not what is below it.
    pub(crate) fn remove_member(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.remove(last);
            }
            [first, rest @ ..] => {
                if let Some(child) = self.children.get_mut(first) {
                    child.remove_member(rest);
                    if child.is_empty() {
                        self.children.remove(first);
                    }
                }
            }
        }
    }

    /// The set in which every field on the way to a member is a member too, if its record lists it. Keys of maps and
    /// elements of lists are not: they may hold what others own.
    pub(crate) fn with_named_fields(&self, node: &Node) -> Self {
        let listed = |element: &&Element| match (node, element.name()) {
            (Node::Struct(record), Some(name)) => record.fields.contains_key(name),
            _ => false,
        };
        let mut members = self.members.clone();
        members.extend(self.children.keys().filter(listed).cloned());
        let child = |(element, child): (&Element, &Self)| {
            let below = element.name().map_or_else(|| node.element(), |name| node.field(name));
            (element.clone(), child.with_named_fields(below))
        };
        Self { members, children: self.children.iter().map(child).collect() }
    }

    /// The paths of all members as text: `.spec.replicas`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        out.extend(self.members.iter().map(|member| format!("{prefix}{member}")));
        for (element, child) in &self.children {
            child.collect(&format!("{prefix}{element}"), out);
        }
    }

    /// The form of `fieldsV1`.
    pub(crate) fn to_value(&self) -> Value {
        let mut out = Map::new();
        let elements: BTreeSet<&Element> =
            self.members.iter().chain(self.children.keys()).collect();
        for element in elements {
            let child = self.children.get(element).filter(|child| !child.is_empty());
            let is_member = self.members.contains(element);
            let value = match child {
                Some(child) => {
                    let mut value = Map::new();
                    if is_member {
                        value.insert(".".to_owned(), Value::Object(Map::new()));
                    }
                    if let Value::Object(rest) = child.to_value() {
                        value.extend(rest);
                    }
                    Value::Object(value)
                }
                None if is_member => Value::Object(Map::new()),
                None => continue,
            };
            out.insert(element.0.clone(), value);
        }
        Value::Object(out)
    }

    /// Reads the form of `fieldsV1`.
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let mut out = Self::default();
        for (name, below) in value.as_object()? {
            if name == "." {
                continue;
            }
            let element = Element::parse(name)?;
            let below_map = below.as_object()?;
            if below_map.is_empty() || below_map.contains_key(".") {
                out.members.insert(element.clone());
            }
            let child = Self::from_value(below)?;
            if !child.is_empty() {
                out.children.insert(element, child);
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> Set {
        Set::from_value(&value).unwrap()
    }

    #[test]
    fn sets_are_read_and_written() {
        let value = json!({
            "f:spec": {"f:replicas": {}, "f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}},
            "f:finalizers": {"v:\"a\"": {}, "i:3": {}},
        });
        let read = set(value.clone());
        assert_eq!(read.to_value(), value);
        assert_eq!(
            read.paths(),
            [
                ".finalizers[3]",
                ".finalizers[=\"a\"]",
                ".spec.replicas",
                ".spec.containers[name=\"web\"]",
                ".spec.containers[name=\"web\"].image",
            ]
        );
        assert!(Set::from_value(&json!({"x:y": {}})).is_none());
    }

    #[test]
    fn sets_are_added_subtracted_and_cut() {
        let a = set(json!({"f:a": {}, "f:b": {".": {}, "f:c": {}, "f:d": {}}}));
        let b = set(json!({"f:b": {"f:c": {}}, "f:e": {}}));
        assert_eq!(a.difference(&b).to_value(), json!({"f:a": {}, "f:b": {".": {}, "f:d": {}}}));
        assert_eq!(a.intersection(&b).to_value(), json!({"f:b": {"f:c": {}}}));
        assert_eq!(
            a.union(&b).to_value(),
            json!({"f:a": {}, "f:b": {".": {}, "f:c": {}, "f:d": {}}, "f:e": {}})
        );
    }

    #[test]
    fn records_on_the_way_to_a_member_are_members_and_maps_are_not() {
        let node = crate::schema::builtin::of_kind("apps", "v1", "Deployment");
        let labels = json!({"f:metadata": {"f:labels": {"f:app": {}}}});
        assert_eq!(
            set(labels).with_named_fields(node).to_value(),
            json!({"f:metadata": {".": {}, "f:labels": {".": {}, "f:app": {}}}})
        );
        let limits = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {"f:resources": {"f:limits": {"f:cpu": {}}}}}}}}});
        assert_eq!(
            set(limits).with_named_fields(node).to_value(),
            json!({"f:spec": {".": {}, "f:template": {".": {}, "f:spec": {".": {}, "f:containers": {".": {},
                "k:{\"name\":\"a\"}": {"f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}}}}}}}}})
        );
    }
}
