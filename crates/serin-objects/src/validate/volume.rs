//! Volumes of pods.

use serde_json::Value;

use super::tools::{Errors, descending, items, named, one_of, require, text, without_backsteps};
use super::{config, env, names};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

const HOST_PATHS: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// The volumes of a pod; the names of those that can be mounted.
pub(super) fn list<'v>(errors: &mut Errors, path: &Path, volumes: &'v Value) -> Vec<&'v str> {
    let mut sound: Vec<&str> = Vec::new();
    for (index, volume) in items(volumes).iter().enumerate() {
        let (at, before) = (path.index(index), errors.len());
        sources(errors, &at, volume);
        let name = text(volume, "name");
        if require(errors, &at, volume, "name") {
            named(errors, &at.child("name"), name, names::dns1123_label);
        }
        if sound.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        if errors.len() == before {
            sound.push(name);
        }
    }
    sound
}

fn sources(errors: &mut Errors, path: &Path, volume: &Value) {
    let sources = volume.as_object().into_iter().flatten().filter(|(name, _)| *name != "name");
    for (index, (kind, it)) in sources.enumerate() {
        let at = path.child(kind);
        if index > 0 {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&at, why));
        } else {
            source(errors, &at, kind, it);
        }
    }
}

fn source(errors: &mut Errors, at: &Path, kind: &str, it: &Value) {
    match kind {
        "emptyDir" => {
            let limit = it["sizeLimit"].as_str().and_then(Quantity::parse);
            if limit.is_some_and(Quantity::is_negative) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.push(FieldError::forbidden(&at.child("sizeLimit"), why));
            }
        }
        "hostPath" if require(errors, at, it, "path") => {
            without_backsteps(errors, &at.child("path"), text(it, "path"));
            one_of(errors, at, it, "type", HOST_PATHS);
        }
        "secret" => {
            require(errors, at, it, "secretName");
            keys(errors, at, it);
        }
        "configMap" => {
            require(errors, at, it, "name");
            keys(errors, at, it);
        }
        "persistentVolumeClaim" => {
            require(errors, at, it, "claimName");
        }
        "nfs" => {
            require(errors, at, it, "server");
            if require(errors, at, it, "path") && !text(it, "path").starts_with('/') {
                let why = "must be an absolute path";
                errors.push(FieldError::invalid(&at.child("path"), text(it, "path"), why));
            }
        }
        "csi" => {
            require(errors, at, it, "driver");
        }
        "downwardAPI" => {
            mode(errors, at, it, "defaultMode");
            files(errors, at, it);
        }
        "projected" => projected(errors, at, it),
        "ephemeral" => {
            let (at, claim) = (at.child("volumeClaimTemplate"), &it["volumeClaimTemplate"]);
            if claim.is_object() {
                config::claim_spec(errors, &at.child("spec"), &claim["spec"]);
            } else {
                errors.push(FieldError::required(&at, ""));
            }
        }
        "image" => {
            require(errors, at, it, "reference");
            one_of(errors, at, it, "pullPolicy", &["Always", "IfNotPresent", "Never"]);
        }
        _ => {}
    }
}

/// The bits of a file's mode.
fn mode(errors: &mut Errors, path: &Path, source: &Value, name: &str) {
    if let Some(bits) = source[name].as_i64().filter(|it| !(0..=0o777).contains(it)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(&path.child(name), bits, why));
    }
}

/// The keys of a map that become files.
fn keys(errors: &mut Errors, path: &Path, source: &Value) {
    mode(errors, path, source, "defaultMode");
    for (index, it) in items(&source["items"]).iter().enumerate() {
        let at = path.child("items").index(index);
        require(errors, &at, it, "key");
        place(errors, &at, it);
        mode(errors, &at, it, "mode");
    }
}

/// Where a file stands in its volume.
fn place(errors: &mut Errors, path: &Path, file: &Value) {
    if !require(errors, path, file, "path") {
        return;
    }
    let (at, place) = (path.child("path"), text(file, "path"));
    descending(errors, &at, place);
    // A path that leaves the volume was told already.
    if place.starts_with("..") && !place.starts_with("../") {
        errors.push(FieldError::invalid(&at, place, "must not start with '..'"));
    }
}

/// Files that tell about the pod.
fn files(errors: &mut Errors, path: &Path, source: &Value) {
    for (index, it) in items(&source["items"]).iter().enumerate() {
        let at = path.child("items").index(index);
        place(errors, &at, it);
        match (it["fieldRef"].is_object(), it["resourceFieldRef"].is_object()) {
            (true, both) => {
                env::field(errors, &at.child("fieldRef"), &it["fieldRef"], env::FILE_FIELDS);
                if both {
                    let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                    errors.push(FieldError::invalid(&at, "resource", why));
                }
            }
            (false, true) => {
                let at = at.child("resourceFieldRef");
                env::resource(errors, &at, &it["resourceFieldRef"], true);
            }
            (false, false) => {
                let why = "one of fieldRef and resourceFieldRef is required";
                errors.push(FieldError::required(&at.child("fieldRef"), why));
            }
        }
        mode(errors, &at, it, "mode");
    }
}

/// Several sources in one folder.
fn projected(errors: &mut Errors, path: &Path, volume: &Value) {
    mode(errors, path, volume, "defaultMode");
    for (index, it) in items(&volume["sources"]).iter().enumerate() {
        let at = path.child("sources").index(index);
        let given = it.as_object().map_or(0, serde_json::Map::len);
        for name in ["secret", "configMap"] {
            if it[name].is_object() {
                require(errors, &at.child(name), &it[name], "name");
                keys(errors, &at.child(name), &it[name]);
            }
        }
        if it["downwardAPI"].is_object() {
            files(errors, &at.child("downwardAPI"), &it["downwardAPI"]);
        }
        let token = &it["serviceAccountToken"];
        if token.is_object() {
            let at = at.child("serviceAccountToken");
            if token["expirationSeconds"].as_i64().is_some_and(|it| it < 600) {
                let why = "may not specify a duration less than 10 minutes";
                let seconds = token["expirationSeconds"].clone();
                errors.push(FieldError::invalid(&at.child("expirationSeconds"), seconds, why));
            }
            place(errors, &at, token);
        }
        if given > 1 {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&at, why));
        }
    }
}
