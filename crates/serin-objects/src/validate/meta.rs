//! Metadata.

use serde_json::{Value, json};

use super::names;
use crate::Resource;
use crate::fields::{FieldError, Path};

/// How many bytes keys and values of annotations may have together.
const ANNOTATIONS: usize = 256 << 10;

/// The rule for names of a kind.
fn name_errors(resource: &Resource, name: &str) -> Vec<String> {
    if resource.is_custom() {
        return names::dns1123_subdomain(name);
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => names::dns1123_label(name),
        ("", "Service") => names::dns1035_label(name),
        ("rbac.authorization.k8s.io" | "apiregistration.k8s.io" | "certificates.k8s.io", _) => {
            names::path_segment_errors(name)
        }
        ("batch", "CronJob") if name.len() > 52 => {
            let mut errors = names::dns1123_subdomain(name);
            errors.insert(0, "must be no more than 52 characters".to_owned());
            errors
        }
        _ => names::dns1123_subdomain(name),
    }
}

pub(super) fn check(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let metadata = &object["metadata"];
    let mut errors = Vec::new();
    let generate = metadata["generateName"].as_str().unwrap_or_default();
    let name = metadata["name"].as_str().unwrap_or_default();
    if !generate.is_empty() {
        // The prefix may end where a name may not.
        let whole = format!("{}a", generate.trim_end_matches(['-', '.']));
        for why in name_errors(resource, &whole) {
            errors.push(FieldError::invalid(&path.child("generateName"), generate, &why));
        }
    }
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else {
        for why in name_errors(resource, name) {
            errors.push(FieldError::invalid(&path.child("name"), name, &why));
        }
    }
    if resource.namespaced {
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            errors.push(FieldError::required(&path.child("namespace"), ""));
        } else {
            for why in names::dns1123_label(namespace) {
                errors.push(FieldError::invalid(&path.child("namespace"), namespace, &why));
            }
        }
    } else if metadata["namespace"].is_string() {
        errors.push(FieldError::forbidden(&path.child("namespace"), "not allowed on this type"));
    }
    errors.extend(marks(&path, metadata, resource.is_custom()));
    errors
}

/// What is wrong with metadata beside names.
pub(super) fn marks(path: &Path, metadata: &Value, is_custom: bool) -> Vec<FieldError> {
    let mut errors = labels(&path.child("labels"), &metadata["labels"]);
    errors.extend(annotations(&path.child("annotations"), &metadata["annotations"]));
    errors.extend(owners(&path.child("ownerReferences"), &metadata["ownerReferences"]));
    let path = path.child("finalizers");
    errors.extend(finalizers(&path, &metadata["finalizers"], is_custom));
    errors
}

/// What is wrong with labels.
pub(crate) fn labels(path: &Path, labels: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        for why in names::label_key_errors(key) {
            errors.push(FieldError::invalid(path, key.as_str(), &why));
        }
        for why in names::label_value_errors(value.as_str().unwrap_or_default()) {
            errors.push(FieldError::invalid(path, value.clone(), &why));
        }
    }
    errors
}

/// What is wrong with annotations.
pub(crate) fn annotations(path: &Path, annotations: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        for why in names::label_key_errors(&key.to_lowercase()) {
            errors.push(FieldError::invalid(path, key.as_str(), &why));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS {
        errors.push(FieldError::too_long(path, ANNOTATIONS));
    }
    errors
}

fn owners(path: &Path, owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = Vec::new();
    // What is wrong with one of them is told of the list.
    for owner in owners.as_array().into_iter().flatten() {
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        for name in ["apiVersion", "kind", "name", "uid"] {
            if text(name).is_empty() {
                let why = match name {
                    "apiVersion" => "version must not be empty",
                    _ => "must not be empty",
                };
                errors.push(FieldError::invalid(&path.child(name), "", why));
            }
        }
        if owner["controller"] == true {
            controllers.push(text("name").to_owned());
        }
    }
    if let [first, second, ..] = controllers.as_slice() {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        errors.push(FieldError::invalid(path, owners.clone(), &why));
    }
    errors
}

fn finalizers(path: &Path, finalizers: &Value, is_custom: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let all = || finalizers.as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in all() {
        for why in names::label_key_errors(name) {
            errors.push(FieldError::invalid(path, name, &why));
        }
    }
    for (index, name) in all().enumerate() {
        let standard = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        // Of custom resources any qualified name will do; Kubernetes only warns of those without a domain.
        if !name.contains('/') && !standard && !is_custom {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path.index(index), name, why));
        }
    }
    let has = |name: &str| finalizers.as_array().is_some_and(|list| list.contains(&json!(name)));
    if has("orphan") && has("foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, finalizers.clone(), why));
    }
    errors
}

/// What an update may not change.
pub(super) fn check_update(old: &Value, object: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let (old, new) = (&old["metadata"], &object["metadata"]);
    let mut errors = Vec::new();
    for name in ["name", "namespace", "uid", "creationTimestamp"] {
        if old[name] != new[name] {
            errors.push(FieldError::invalid(
                &path.child(name),
                new[name].clone(),
                "field is immutable",
            ));
        }
    }
    if old["deletionTimestamp"].is_string() {
        let listed = |it: &Value| it["finalizers"].as_array().cloned().unwrap_or_default();
        let known = listed(old);
        let added: Vec<String> =
            listed(new).iter().filter(|it| !known.contains(it)).map(ToString::to_string).collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::forbidden(&path.child("finalizers"), &why));
        }
    }
    errors
}
