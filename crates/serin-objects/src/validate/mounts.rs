//! Where containers see volumes.

use serde_json::Value;

use super::container::Pod;
use super::tools::{Errors, descending, items, one_of, text};
use crate::fields::{FieldError, Path};

/// The mounts of a container. `volumes` are those that can be mounted.
pub(super) fn list(errors: &mut Errors, path: &Path, container: &Value, volumes: &[&str]) {
    let devices = items(&container["volumeDevices"]);
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&container["volumeMounts"]).iter().enumerate() {
        let at = path.index(index);
        let (name, place) = (text(it, "name"), text(it, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        if !volumes.contains(&name) {
            errors.push(FieldError::not_found(&at.child("name"), name));
        }
        if place.is_empty() {
            errors.push(FieldError::required(&at.child("mountPath"), ""));
        }
        if seen.contains(&place) {
            errors.push(FieldError::invalid(&at.child("mountPath"), place, "must be unique"));
        }
        seen.push(place);
        if devices.iter().any(|device| text(device, "name") == name) {
            let why = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(&at.child("name"), name, why));
        }
        if devices.iter().any(|device| text(device, "devicePath") == place) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(&at.child("mountPath"), place, why));
        }
        part(errors, path, &at, it);
        propagation(errors, path, container, it);
        read_only(errors, path, it);
    }
}

/// The part of a volume that is mounted. What is wrong with it is told of the list.
fn part(errors: &mut Errors, list: &Path, at: &Path, mount: &Value) {
    let (plain, expanded) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    if !plain.is_empty() {
        descending(errors, &list.child("subPath"), plain);
    }
    if !expanded.is_empty() {
        if !plain.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(&at.child("subPathExpr"), expanded, why));
        }
        descending(errors, &list.child("subPathExpr"), expanded);
    }
}

fn propagation(errors: &mut Errors, path: &Path, container: &Value, mount: &Value) {
    let allowed = ["Bidirectional", "HostToContainer", "None"];
    one_of(errors, path, mount, "mountPropagation", &allowed);
    let privileged = container["securityContext"]["privileged"] == true;
    if text(mount, "mountPropagation") == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(&path.child("mountPropagation"), why));
    }
}

fn read_only(errors: &mut Errors, path: &Path, mount: &Value) {
    let at = path.child("recursiveReadOnly");
    match text(mount, "recursiveReadOnly") {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount["readOnly"] != true {
                let why = "may only be specified when readOnly is true";
                errors.push(FieldError::forbidden(&at, why));
            }
            if !matches!(text(mount, "mountPropagation"), "" | "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(&at, why));
            }
        }
        other => {
            let allowed = ["Disabled", "Enabled", "IfPossible"];
            errors.push(FieldError::not_supported(&at, other, &allowed));
        }
    }
}

/// Volumes that a container sees as a block of bytes.
pub(super) fn devices(errors: &mut Errors, path: &Path, container: &Value, pod: &Pod<'_>) {
    let (mut seen, mut places): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (index, it) in items(&container["volumeDevices"]).iter().enumerate() {
        let (at, place) = (path.index(index).child("devicePath"), text(it, "devicePath"));
        device_name(errors, &path.index(index).child("name"), text(it, "name"), pod);
        if seen.contains(&text(it, "name")) {
            let at = path.index(index).child("name");
            errors.push(FieldError::invalid(&at, text(it, "name"), "must be unique"));
        }
        seen.push(text(it, "name"));
        if place.is_empty() {
            errors.push(FieldError::required(&at, ""));
        }
        if places.contains(&place) {
            errors.push(FieldError::invalid(&at, place, "must be unique"));
        }
        if place.split('/').any(|part| part == "..") {
            let why = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(&at, place, why));
        } else {
            places.push(place);
        }
    }
}

fn device_name(errors: &mut Errors, at: &Path, name: &str, pod: &Pod<'_>) {
    if name.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    if !pod.volumes.contains(&name) {
        errors.push(FieldError::not_found(at, name));
        return;
    }
    let volume = items(&pod.spec["volumes"]).iter().find(|it| text(it, "name") == name);
    let is_claim =
        |it: &Value| it["persistentVolumeClaim"].is_object() || it["ephemeral"].is_object();
    if !volume.is_some_and(is_claim) {
        let why =
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
        errors.push(FieldError::invalid(at, name, why));
    }
}

/// Mounts of whole volumes only.
pub(super) fn without_parts(errors: &mut Errors, path: &Path, mounts: &Value) {
    for (index, it) in items(mounts).iter().enumerate() {
        for name in ["subPath", "subPathExpr"] {
            if !text(it, name).is_empty() {
                let why = "cannot be set for an Ephemeral Container";
                errors.push(FieldError::forbidden(&path.index(index).child(name), why));
            }
        }
    }
}
