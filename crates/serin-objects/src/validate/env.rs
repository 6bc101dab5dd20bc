//! Environment variables of containers, and what of a pod they and volumes may show.

use serde_json::Value;

use super::names;
use super::tools::{Errors, items, named, require, text};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

/// What a variable may tell about its pod.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a file may tell about its pod.
pub(super) const FILE_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// Fields of pods that can be named at all.
const KNOWN: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The variables of a container.
pub(super) fn list(errors: &mut Errors, path: &Path, env: &Value) {
    for (index, it) in items(env).iter().enumerate() {
        let at = path.index(index);
        if require(errors, &at, it, "name") {
            named(errors, &at.child("name"), text(it, "name"), names::env_name_errors);
        }
        if it["valueFrom"].is_object() {
            value_from(errors, &at.child("valueFrom"), it);
        }
    }
}

fn value_from(errors: &mut Errors, path: &Path, variable: &Value) {
    let from = &variable["valueFrom"];
    let known = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];
    let given = known.iter().filter(|name| from[**name].is_object()).count();
    if from["fieldRef"].is_object() {
        field(errors, &path.child("fieldRef"), &from["fieldRef"], FIELDS);
    }
    if from["resourceFieldRef"].is_object() {
        resource(errors, &path.child("resourceFieldRef"), &from["resourceFieldRef"], false);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if from[name].is_object() {
            key(errors, &path.child(name), &from[name]);
        }
    }
    let why = if given == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
    } else if !text(variable, "value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if given > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, "", why));
}

fn key(errors: &mut Errors, path: &Path, source: &Value) {
    named(errors, &path.child("name"), text(source, "name"), names::dns1123_subdomain);
    if require(errors, path, source, "key") {
        named(errors, &path.child("key"), text(source, "key"), names::config_key_errors);
    }
}

/// A field of the pod, one of those that are `allowed` where it is asked for.
pub(super) fn field(errors: &mut Errors, path: &Path, source: &Value, allowed: &[&str]) {
    if !require(errors, path, source, "apiVersion") || !require(errors, path, source, "fieldPath") {
        return;
    }
    let (at, version) = (path.child("fieldPath"), text(source, "apiVersion"));
    let name = match text(source, "fieldPath") {
        "spec.host" => "spec.nodeName",
        name => name,
    };
    let entry = name.strip_suffix("']").and_then(|it| it.split_once("['"));
    let wrong = if version != "v1" {
        Some(format!("unsupported pod version: {version}"))
    } else if let Some((map, _)) = entry {
        let is_map = matches!(map, "metadata.annotations" | "metadata.labels");
        (!is_map).then(|| format!("field label does not support subscript: {name}"))
    } else {
        (!KNOWN.contains(&name)).then(|| format!("field label not supported: {name}"))
    };
    if let Some(why) = wrong {
        let why = format!("error converting fieldPath: {why}");
        errors.push(FieldError::invalid(&at, text(source, "fieldPath"), &why));
    } else if let Some((map, key)) = entry {
        let lower = key.to_lowercase();
        let key = if map == "metadata.annotations" { lower.as_str() } else { key };
        named(errors, path, key, names::label_key_errors);
    } else if !allowed.contains(&name) {
        errors.push(FieldError::not_supported(&at, name, allowed));
    }
}

/// A resource of a container. A file has to say of which.
pub(super) fn resource(errors: &mut Errors, path: &Path, source: &Value, is_file: bool) {
    let name = text(source, "resource");
    let is_pages =
        |it: &str| it.starts_with("requests.hugepages-") || it.starts_with("limits.hugepages-");
    if is_file && text(source, "containerName").is_empty() {
        errors.push(FieldError::required(&path.child("containerName"), ""));
    } else if name.is_empty() {
        errors.push(FieldError::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&name) && !is_pages(name) {
        errors.push(FieldError::not_supported(&path.child("resource"), name, RESOURCES));
    }
    let Some(divisor) = source["divisor"].as_str().and_then(Quantity::parse) else { return };
    let is = |texts: &[&str]| {
        texts.iter().any(|it| Quantity::parse(it).is_some_and(|it| it.equals(divisor)))
    };
    let what = match name.split_once('.').map(|(_, resource)| resource) {
        Some("cpu") => "cpu",
        Some("memory") => "memory",
        Some("ephemeral-storage") => "local ephemeral storage",
        Some(_) if is_pages(name) => "hugepages",
        _ => return,
    };
    let units = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let (allowed, units) = match what {
        "cpu" => (is(&["0", "1m", "1"]), "1m and 1"),
        _ => (is(&["0"]) || is(&units.split(", ").collect::<Vec<_>>()), units),
    };
    if !allowed {
        let why = format!("only divisor's values {units} are supported with the {what} resource");
        errors.push(FieldError::invalid(&path.child("divisor"), name, &why));
    }
}

/// Maps whose keys become variables.
pub(super) fn sources(errors: &mut Errors, path: &Path, sources: &Value) {
    for (index, it) in items(sources).iter().enumerate() {
        let at = path.index(index);
        let prefix = text(it, "prefix");
        if !prefix.is_empty() {
            named(errors, &at.child("prefix"), prefix, names::env_name_errors);
        }
        let mut given = 0;
        for name in ["configMapRef", "secretRef"] {
            if it[name].is_object() {
                given += 1;
                let at = at.child(name);
                if require(errors, &at, &it[name], "name") {
                    let name = text(&it[name], "name");
                    named(errors, &at.child("name"), name, names::dns1123_subdomain);
                }
            }
        }
        // What is wrong with one of the sources is told of the list.
        match given {
            0 => {
                let why = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", why));
            }
            1 => {}
            _ => {
                let why = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", why));
            }
        }
    }
}
