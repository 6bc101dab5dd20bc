//! Roles and their bindings.

use serde_json::Value;

use super::Change;
use super::tools::{Errors, items, named, require, selector, text};
use crate::fields::{FieldError, Path};
use crate::validate::names;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    let new = change.new;
    match kind {
        "Role" | "ClusterRole" => {
            for (index, it) in items(&new["rules"]).iter().enumerate() {
                rule(errors, &Path::new("rules").index(index), it, kind == "Role");
            }
            for (index, it) in
                items(&new["aggregationRule"]["clusterRoleSelectors"]).iter().enumerate()
            {
                let path = Path::new("aggregationRule.clusterRoleSelectors").index(index);
                selector(errors, &path, it);
            }
        }
        _ => {
            binding(errors, new, kind == "RoleBinding");
            if let Some(old) = change.old
                && old["roleRef"] != new["roleRef"]
            {
                let path = Path::new("roleRef");
                errors.push(FieldError::invalid(
                    &path,
                    new["roleRef"].clone(),
                    "cannot change roleRef",
                ));
            }
        }
    }
}

fn rule(errors: &mut Errors, path: &Path, rule: &Value, namespaced: bool) {
    let has = |name: &str| !items(&rule[name]).is_empty();
    if !has("verbs") {
        let why = "verbs must contain at least one value";
        errors.push(FieldError::required(&path.child("verbs"), why));
    }
    if has("nonResourceURLs") {
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(
                &path.child("nonResourceURLs"),
                rule["nonResourceURLs"].clone(),
                why,
            ));
        }
        if has("apiGroups") || has("resources") || has("resourceNames") {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(
                &path.child("nonResourceURLs"),
                rule["nonResourceURLs"].clone(),
                why,
            ));
        }
        return;
    }
    if !has("apiGroups") {
        let why = "resource rules must supply at least one api group";
        errors.push(FieldError::required(&path.child("apiGroups"), why));
    }
    if !has("resources") {
        let why = "resource rules must supply at least one resource";
        errors.push(FieldError::required(&path.child("resources"), why));
    }
}

fn binding(errors: &mut Errors, object: &Value, namespaced: bool) {
    let path = Path::new("roleRef");
    let role = &object["roleRef"];
    if text(role, "apiGroup") != GROUP {
        let group = text(role, "apiGroup");
        errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&text(role, "kind")) {
        errors.push(FieldError::not_supported(&path.child("kind"), text(role, "kind"), kinds));
    }
    if require(errors, &path, role, "name") {
        named(errors, &path.child("name"), text(role, "name"), names::path_segment_errors);
    }
    for (index, it) in items(&object["subjects"]).iter().enumerate() {
        let path = Path::new("subjects").index(index);
        let is_named = require(errors, &path, it, "name");
        match text(it, "kind") {
            "ServiceAccount" => {
                if !text(it, "name").is_empty() {
                    named(errors, &path.child("name"), text(it, "name"), names::dns1123_subdomain);
                }
                if !text(it, "apiGroup").is_empty() {
                    let group = text(it, "apiGroup");
                    errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[""]));
                }
                // In a namespace, that of the binding is meant.
                if !namespaced {
                    require(errors, &path, it, "namespace");
                }
            }
            kind @ ("User" | "Group") => {
                if !is_named {
                    let why = format!("{} name cannot be empty", kind.to_lowercase());
                    errors.push(FieldError::invalid(&path.child("name"), "", &why));
                }
                if text(it, "apiGroup") != GROUP {
                    let group = text(it, "apiGroup");
                    errors.push(FieldError::not_supported(
                        &path.child("apiGroup"),
                        group,
                        &[GROUP],
                    ));
                }
            }
            other => {
                let allowed = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(&path.child("kind"), other, &allowed));
            }
        }
    }
}
