//! APIServices: which server answers for a group and version.

use serde_json::Value;

use super::tools::{Errors, named, require, text};
use super::{Change, names};
use crate::fields::{FieldError, Path};

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    let name = text(&change.new["metadata"], "name");
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let wanted = format!("{version}.{group}");
    if name != wanted {
        let why = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        errors.push(FieldError::invalid(&Path::new("metadata.name"), name, &why));
    }
    if group.is_empty() && version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required(&path.child("group"), why));
    } else if !group.is_empty() {
        named(errors, &path.child("group"), group, names::dns1123_subdomain);
    }
    named(errors, &path.child("version"), version, names::dns1035_label);
    within(errors, &path, spec, "groupPriorityMinimum", 20_000);
    within(errors, &path, spec, "versionPriority", 1_000);
    let insecure = spec["insecureSkipTLSVerify"] == true;
    if spec["service"].is_null() {
        // This server answers itself.
        if !text(spec, "caBundle").is_empty() {
            let why = "local APIServices may not have a caBundle";
            let shown = format!("{} bytes", text(spec, "caBundle").len() / 4 * 3);
            errors.push(FieldError::invalid(&path.child("caBundle"), shown, why));
        }
        if insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(&path.child("insecureSkipTLSVerify"), true, why));
        }
        return;
    }
    let (at, service) = (path.child("service"), &spec["service"]);
    require(errors, &at, service, "namespace");
    require(errors, &at, service, "name");
    if service["port"].as_i64().is_some_and(|port| !(1..=65535).contains(&port)) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(&at.child("port"), service["port"].clone(), why));
    }
    if insecure && !text(spec, "caBundle").is_empty() {
        let why = "may not be true if caBundle is present";
        errors.push(FieldError::invalid(&path.child("insecureSkipTLSVerify"), true, why));
    }
}

/// A rank is above zero and not above its limit.
fn within(errors: &mut Errors, path: &Path, spec: &Value, name: &str, most: i64) {
    let rank = spec[name].as_i64().unwrap_or(0);
    if !(1..=most).contains(&rank) {
        let why = format!("must be positive and less than {most}");
        errors.push(FieldError::invalid(&path.child(name), rank, &why));
    }
}
