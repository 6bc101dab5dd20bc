//! Resources by name and amount: what containers ask for, quotas grant and ranges limit.

use serde_json::Value;

use super::names;
use super::tools::{Errors, entries, named, text};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

/// Resources that are counted.
const COUNTED: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// Resources that are measured.
const MEASURED: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// A resource that Kubernetes itself knows.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether more of a resource may be promised than there is.
pub(super) fn can_be_overcommitted(name: &str) -> bool {
    is_native(name) && !name.starts_with("hugepages-")
}

/// What containers may ask for.
fn is_of_containers(name: &str) -> bool {
    MEASURED.contains(&name) || name.starts_with("hugepages-")
}

/// What quotas grant.
pub(super) fn is_of_quotas(name: &str) -> bool {
    let plain = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits."));
    COUNTED.contains(&name)
        || MEASURED.contains(&plain.unwrap_or(name))
        || name == "requests.storage"
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Any resource: one of Kubernetes, or one with the name of a domain. Says whether it has the form of a name.
pub(super) fn name(errors: &mut Errors, path: &Path, name: &str) -> bool {
    let before = errors.len();
    named(errors, path, name, names::label_key_errors);
    if errors.len() > before {
        return false;
    }
    let standard = is_of_quotas(name) || name == "storage";
    if !name.contains('/') && (!standard || name.starts_with("requests.hugepages-")) {
        let why = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, why));
    }
    true
}

/// A resource of containers.
pub(super) fn container_name(errors: &mut Errors, path: &Path, resource: &str) {
    name(errors, path, resource);
    if !resource.contains('/') {
        if !is_of_containers(resource) {
            let why = "must be a standard resource for containers";
            errors.push(FieldError::invalid(path, resource, why));
        }
    } else if !is_native(resource) && resource.starts_with("requests.") {
        let why = "doesn't follow extended resource name standard";
        errors.push(FieldError::invalid(path, resource, why));
    }
}

/// An amount of a resource.
pub(super) fn amount(errors: &mut Errors, path: &Path, name: &str, value: &Value) {
    let Some(quantity) = value.as_str().and_then(Quantity::parse) else { return };
    if quantity.is_negative() {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path, value.clone(), why));
    }
    let counted = COUNTED.contains(&name) || !is_native(name) && !name.starts_with("count/");
    if counted && !quantity.is_whole() {
        errors.push(FieldError::invalid(path, value.clone(), "must be an integer"));
    }
}

/// What a container asks for and may take.
pub(super) fn check(errors: &mut Errors, path: &Path, resources: &Value) {
    for part in ["limits", "requests"] {
        for (name, value) in entries(&resources[part]) {
            let at = path.child(part).key(name);
            container_name(errors, &at, name);
            amount(errors, &at, name, value);
            if part == "requests" {
                request(errors, path, resources, name);
            }
        }
    }
    let has = |test: fn(&str) -> bool| {
        ["limits", "requests"].iter().any(|part| entries(&resources[*part]).any(|it| test(it.0)))
    };
    if has(|it| it.starts_with("hugepages-")) && !has(|it| matches!(it, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    claims(errors, &path.child("claims"), &resources["claims"]);
}

/// What is asked for is not more than what may be taken.
fn request(errors: &mut Errors, path: &Path, resources: &Value, name: &str) {
    let (wanted, most) = (text(&resources["requests"], name), text(&resources["limits"], name));
    let (Some(request), limit) = (Quantity::parse(wanted), Quantity::parse(most)) else { return };
    let at = path.child("requests");
    match limit {
        Some(limit) if !request.equals(limit) && !can_be_overcommitted(name) => {
            let why = format!("must be equal to {name} limit of {most}");
            errors.push(FieldError::invalid(&at, wanted, &why));
        }
        Some(limit) if request > limit => {
            let why = format!("must be less than or equal to {name} limit of {most}");
            errors.push(FieldError::invalid(&at, wanted, &why));
        }
        None if !can_be_overcommitted(name) => {
            let why = "Limit must be set for non overcommitable resources";
            errors.push(FieldError::required(&path.child("limits"), why));
        }
        _ => {}
    }
}

/// Devices that are claimed are none of those that a node of this kind has.
fn claims(errors: &mut Errors, path: &Path, claims: &Value) {
    for (index, it) in super::tools::items(claims).iter().enumerate() {
        if text(it, "name").is_empty() {
            errors.push(FieldError::required(&path.index(index), ""));
        }
    }
}
