//! The ConfigMaps and Secrets that the pods of a workload use: in volumes, projected volumes and environments.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kind::Kind;

/// A ConfigMap or Secret that is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Reference {
    /// `configmap/NAME` or `secret/NAME`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.kind.name().to_lowercase(), self.name)
    }
}

/// Where names of ConfigMaps and Secrets stand in a part of a pod: the key of the part, and that of the name.
const PLACES: [(&str, &str, Kind); 7] = [
    ("configMap", "name", Kind::ConfigMap),
    ("secret", "secretName", Kind::Secret),
    // In projected volumes.
    ("secret", "name", Kind::Secret),
    ("configMapKeyRef", "name", Kind::ConfigMap),
    ("secretKeyRef", "name", Kind::Secret),
    ("configMapRef", "name", Kind::ConfigMap),
    ("secretRef", "name", Kind::Secret),
];

/// Everything that the pods use.
pub(crate) fn references(pod: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    let mut pod = pod.clone();
    visit(&mut pod, &mut |kind, name| {
        found.insert(Reference { kind, name: name.clone() });
    });
    found
}

/// Gives the objects that `is_copied` picks out the names of the primary's copies.
pub(crate) fn rename(pod: &mut Value, is_copied: &dyn Fn(&Reference) -> bool) {
    visit(pod, &mut |kind, name| {
        let reference = Reference { kind, name: name.clone() };
        if is_copied(&reference) {
            *name = super::primary_name(name);
        }
    });
}

fn visit(pod: &mut Value, seen: &mut dyn FnMut(Kind, &mut String)) {
    for list in ["containers", "initContainers"] {
        for container in lists(pod, list) {
            for variable in lists(container, "env") {
                if let Some(from) = variable.get_mut("valueFrom") {
                    names(from, seen);
                }
            }
            lists(container, "envFrom").iter_mut().for_each(|from| names(from, seen));
        }
    }
    for volume in lists(pod, "volumes") {
        names(volume, seen);
        if let Some(projected) = volume.get_mut("projected") {
            lists(projected, "sources").iter_mut().for_each(|source| names(source, seen));
        }
    }
}

fn lists<'v>(value: &'v mut Value, key: &str) -> &'v mut [Value] {
    match value.get_mut(key) {
        Some(Value::Array(list)) => list,
        _ => &mut [],
    }
}

fn names(part: &mut Value, seen: &mut dyn FnMut(Kind, &mut String)) {
    for (key, name, kind) in PLACES {
        if let Some(Value::String(name)) = part.get_mut(key).and_then(|it| it.get_mut(name)) {
            seen(kind, name);
        }
    }
}
