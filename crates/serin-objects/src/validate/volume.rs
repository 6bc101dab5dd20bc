//! Volumes of pods.

use serde_json::Value;

use super::names;
use super::tools::{Errors, items, named, one_of, require, text};
use crate::fields::{FieldError, Path};

/// The volumes of a pod.
pub(super) fn list(errors: &mut Errors, path: &Path, volumes: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, volume) in items(volumes).iter().enumerate() {
        let at = path.index(index);
        source(errors, &at, volume);
        let name = text(volume, "name");
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else {
            named(errors, &at.child("name"), name, names::dns1123_label);
            if seen.contains(&name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
        seen.push(name);
    }
}

fn source(errors: &mut Errors, path: &Path, volume: &Value) {
    let sources = volume.as_object().into_iter().flatten().filter(|(name, _)| *name != "name");
    for (index, (kind, it)) in sources.enumerate() {
        let at = path.child(kind);
        if index > 0 {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&at, why));
            continue;
        }
        match kind.as_str() {
            "hostPath" => {
                require(errors, &at, it, "path");
                let allowed = [
                    "",
                    "BlockDevice",
                    "CharDevice",
                    "Directory",
                    "DirectoryOrCreate",
                    "File",
                    "FileOrCreate",
                    "Socket",
                ];
                one_of(errors, &at, it, "type", &allowed);
            }
            "secret" => {
                require(errors, &at, it, "secretName");
                keys(errors, &at, it);
            }
            "configMap" => {
                require(errors, &at, it, "name");
                keys(errors, &at, it);
            }
            "persistentVolumeClaim" => {
                require(errors, &at, it, "claimName");
            }
            "nfs" => {
                require(errors, &at, it, "server");
                require(errors, &at, it, "path");
            }
            "csi" => {
                require(errors, &at, it, "driver");
            }
            _ => {}
        }
    }
}

/// The keys of a map that become files.
fn keys(errors: &mut Errors, path: &Path, source: &Value) {
    let mode = source["defaultMode"].as_i64();
    if mode.is_some_and(|it| !(0..=0o777).contains(&it)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(
            &path.child("defaultMode"),
            source["defaultMode"].clone(),
            why,
        ));
    }
    for (index, it) in items(&source["items"]).iter().enumerate() {
        let at = path.child("items").index(index);
        require(errors, &at, it, "key");
        if require(errors, &at, it, "path") && text(it, "path").split('/').any(|part| part == "..")
        {
            errors.push(FieldError::invalid(
                &at.child("path"),
                text(it, "path"),
                "must not contain '..'",
            ));
        }
    }
}
