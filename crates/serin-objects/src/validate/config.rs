//! ConfigMaps, Secrets, Namespaces and other kinds that hold things.

use serde_json::Value;

use super::tools::{
    Errors, entries, immutable, items, one_of, quantity, require, required_one_of, text,
};
use super::{Change, names, pod};
use crate::fields::{FieldError, FieldErrorKind, Path};

/// How many bytes a ConfigMap or a Secret may have.
const MAX_SIZE: usize = 1 << 20;

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    match kind {
        "ConfigMap" => config_map(change, errors),
        "Secret" => secret(change, errors),
        "ServiceAccount" => {}
        "Node" => node(change, errors),
        "Event" => event(change, errors),
        "PersistentVolumeClaim" => claim(change, errors),
        "PodTemplate" => pod::template(errors, &Path::new("template"), &change.new["template"]),
        "ResourceQuota" => {
            let path = Path::new("spec.hard");
            for (name, value) in entries(&change.new["spec"]["hard"]) {
                quantity(errors, &path.key(name), value);
            }
        }
        "LimitRange" => {
            for (index, it) in items(&change.new["spec"]["limits"]).iter().enumerate() {
                let path = Path::new("spec.limits").index(index);
                require(errors, &path, it, "type");
            }
        }
        _ => {}
    }
}

fn too_big(errors: &mut Errors, path: &str, size: usize) {
    if size > MAX_SIZE {
        let mut error = FieldError::too_long(&Path::new(path), MAX_SIZE);
        error.field = path.to_owned();
        errors.push(error);
    }
}

fn config_map(change: &Change<'_>, errors: &mut Errors) {
    let mut size = 0;
    let new = change.new;
    for part in ["data", "binaryData"] {
        for (key, value) in entries(&new[part]) {
            let at = Path::new(part).key(key);
            for why in names::config_key_errors(key) {
                errors.push(FieldError::invalid(&at, key.as_str(), &why));
            }
            if part == "data" && new["binaryData"].get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&at, key.as_str(), why));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    too_big(errors, "", size);
    sealed(change, errors, &["data", "binaryData"]);
}

/// What is marked as immutable does not change any more.
fn sealed(change: &Change<'_>, errors: &mut Errors, parts: &[&str]) {
    let Some(old) = change.old.filter(|old| old["immutable"] == true) else { return };
    let why = "field is immutable when `immutable` is set";
    if change.new["immutable"] != true {
        errors.push(FieldError::forbidden(&Path::new("immutable"), why));
    }
    for part in parts {
        if old[*part] != change.new[*part] {
            errors.push(FieldError::forbidden(&Path::new(part), why));
        }
    }
}

fn secret(change: &Change<'_>, errors: &mut Errors) {
    let new = change.new;
    let mut size = 0;
    for (key, value) in entries(&new["data"]) {
        for why in names::config_key_errors(key) {
            errors.push(FieldError::invalid(&Path::new("data").key(key), key.as_str(), &why));
        }
        size += value.as_str().map_or(0, str::len) / 4 * 3;
    }
    too_big(errors, "data", size);
    let mut require_key = |key: &str| {
        if new["data"].get(key).is_none() {
            errors.push(FieldError::required(&Path::new("data").key(key), ""));
        }
    };
    match text(new, "type") {
        "kubernetes.io/tls" => {
            require_key("tls.crt");
            require_key("tls.key");
        }
        "kubernetes.io/dockerconfigjson" => require_key(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => require_key(".dockercfg"),
        "kubernetes.io/ssh-auth" => require_key("ssh-privatekey"),
        "kubernetes.io/basic-auth"
            if new["data"].get("username").is_none() && new["data"].get("password").is_none() =>
        {
            require_key("username");
            require_key("password");
        }
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if text(&new["metadata"]["annotations"], name).is_empty() {
                let path = Path::new("metadata.annotations").key(name);
                errors.push(FieldError::required(&path, ""));
            }
        }
        _ => {}
    }
    if let Some(old) = change.old {
        immutable(errors, &Path::new("type"), &old["type"], &new["type"]);
    }
    sealed(change, errors, &["data"]);
}

fn node(change: &Change<'_>, errors: &mut Errors) {
    for (index, it) in items(&change.new["spec"]["taints"]).iter().enumerate() {
        let path = Path::new("spec.taints").index(index);
        for why in names::label_key_errors(text(it, "key")) {
            errors.push(FieldError::invalid(&path.child("key"), text(it, "key"), &why));
        }
        required_one_of(
            errors,
            &path,
            it,
            "effect",
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
    }
}

fn event(change: &Change<'_>, errors: &mut Errors) {
    // Which event is whose is told by namespaces.
    let involved =
        if change.new.get("regarding").is_some() { "regarding" } else { "involvedObject" };
    let (own, of) =
        (text(&change.new["metadata"], "namespace"), text(&change.new[involved], "namespace"));
    let fits =
        if of.is_empty() { matches!(own, "" | "default" | "kube-system") } else { own == of };
    if !fits && change.old.is_none() {
        let path = Path::new("involvedObject.namespace");
        errors.push(FieldError {
            kind: FieldErrorKind::Invalid,
            field: path.to_string(),
            message: format!("Invalid value: {of:?}: does not match event.namespace"),
        });
    }
}

fn claim(change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    if items(&spec["accessModes"]).is_empty() {
        let why = "at least 1 access mode is required";
        errors.push(FieldError::required(&path.child("accessModes"), why));
    }
    let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in items(&spec["accessModes"]).iter().filter_map(Value::as_str) {
        if !modes.contains(&mode) {
            errors.push(FieldError::not_supported(&path.child("accessModes"), mode, &modes));
        }
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        errors.push(FieldError::required(&path.child("resources").key("storage"), ""));
    }
    one_of(errors, &path, spec, "volumeMode", &["Block", "Filesystem"]);
}
