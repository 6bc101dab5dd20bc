//! Pods and templates of pods.

use serde_json::{Map, Value, json};

use super::tools::{Errors, at_least, items, named, one_of, required_one_of, selector, text};
use super::{Change, container, meta, names, volume};
use crate::fields::{FieldError, Path};

/// What may change in the spec of a pod, as Kubernetes says it.
const CHANGES: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The class of service that a pod's resources earn it.
pub(crate) fn quality(pod: &Map<String, Value>) -> &'static str {
    let containers = |name: &str| {
        let list = pod.get("spec").and_then(|spec| spec[name].as_array());
        list.into_iter().flatten()
    };
    let (mut any, mut all) = (false, true);
    for container in containers("containers").chain(containers("initContainers")) {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (request, limit) = (&resources["requests"][name], &resources["limits"][name]);
            any |= request.is_string() || limit.is_string();
            all &= limit.is_string() && (request.is_null() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    spec(errors, &path, &change.new["spec"]);
    let at = path.child("ephemeralContainers");
    ephemeral(errors, &at, &change.new["spec"]);
    match (change.old, change.subresource) {
        (Some(old), None) => update(errors, &path, &old["spec"], &change.new["spec"]),
        (Some(old), Some("ephemeralcontainers")) => {
            ephemeral_update(errors, &at, &old["spec"], &change.new["spec"]);
        }
        (None, _) if !items(&change.new["spec"]["ephemeralContainers"]).is_empty() => {
            errors.push(FieldError::forbidden(&at, "cannot be set on create"));
        }
        _ => {}
    }
}

/// A template of pods.
pub(super) fn template(errors: &mut Errors, path: &Path, template: &Value) {
    let metadata = path.child("metadata");
    errors.extend(meta::labels(&metadata.child("labels"), &template["metadata"]["labels"]));
    errors.extend(meta::annotations(
        &metadata.child("annotations"),
        &template["metadata"]["annotations"],
    ));
    spec(errors, &path.child("spec"), &template["spec"]);
}

fn spec(errors: &mut Errors, path: &Path, spec: &Value) {
    volume::list(errors, &path.child("volumes"), &spec["volumes"]);
    if items(&spec["containers"]).is_empty() {
        errors.push(FieldError::required(&path.child("containers"), ""));
    }
    container::list(errors, &path.child("containers"), &spec["containers"], spec, false);
    container::list(errors, &path.child("initContainers"), &spec["initContainers"], spec, true);
    for (index, it) in items(&spec["initContainers"]).iter().enumerate() {
        if items(&spec["containers"]).iter().any(|other| other["name"] == it["name"]) {
            let at = path.child("initContainers").index(index).child("name");
            errors.push(FieldError::duplicate(&at, it["name"].clone()));
        }
    }
    required_one_of(errors, path, spec, "restartPolicy", &["Always", "OnFailure", "Never"]);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_one_of(errors, path, spec, "dnsPolicy", &dns);
    errors.extend(meta::labels(&path.child("nodeSelector"), &spec["nodeSelector"]));
    for (name, rule) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("priorityClassName", names::dns1123_subdomain),
    ] {
        if !text(spec, name).is_empty() {
            named(errors, &path.child(name), text(spec, name), rule);
        }
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(&path.child("activeDeadlineSeconds"), seconds, why));
    }
    at_least(errors, path, spec, "terminationGracePeriodSeconds", 0);
    tolerations(errors, &path.child("tolerations"), &spec["tolerations"]);
    spread(errors, &path.child("topologySpreadConstraints"), &spec["topologySpreadConstraints"]);
    for (index, it) in items(&spec["imagePullSecrets"]).iter().enumerate() {
        if text(it, "name").is_empty() {
            let at = path.child("imagePullSecrets").index(index).child("name");
            errors.push(FieldError::required(&at, ""));
        }
    }
    for (index, it) in items(&spec["hostAliases"]).iter().enumerate() {
        let at = path.child("hostAliases").index(index);
        super::tools::ip(errors, &at.child("ip"), text(it, "ip"));
    }
}

fn tolerations(errors: &mut Errors, path: &Path, tolerations: &Value) {
    for (index, it) in items(tolerations).iter().enumerate() {
        let at = path.index(index);
        let (key, operator, effect) = (text(it, "key"), text(it, "operator"), text(it, "effect"));
        if !key.is_empty() {
            named(errors, &at.child("key"), key, names::label_key_errors);
        } else if operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&at.child("operator"), operator, why));
        }
        if it["tolerationSeconds"].is_number() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&at.child("effect"), effect, why));
        }
        match operator {
            "" | "Equal" => {
                named(errors, &at.child("operator"), text(it, "value"), names::label_value_errors);
            }
            "Exists" if !text(it, "value").is_empty() => {
                let why = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(
                    &at.child("operator"),
                    json!(text(it, "value")),
                    why,
                ));
            }
            "Exists" => {}
            other => {
                let allowed = ["Equal", "Exists"];
                errors.push(FieldError::not_supported(&at.child("operator"), other, &allowed));
            }
        }
        one_of(errors, &at, it, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}

fn spread(errors: &mut Errors, path: &Path, constraints: &Value) {
    for (index, it) in items(constraints).iter().enumerate() {
        let at = path.index(index);
        let skew = it["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(
                &at.child("maxSkew"),
                skew,
                "must be greater than zero",
            ));
        }
        if text(it, "topologyKey").is_empty() {
            errors.push(FieldError::required(&at.child("topologyKey"), "can not be empty"));
        }
        let allowed = ["DoNotSchedule", "ScheduleAnyway"];
        required_one_of(errors, &at, it, "whenUnsatisfiable", &allowed);
        selector(errors, &at.child("labelSelector"), &it["labelSelector"]);
    }
}

/// Containers that are added to a pod to look into it.
fn ephemeral(errors: &mut Errors, path: &Path, spec: &Value) {
    let added = &spec["ephemeralContainers"];
    container::list(errors, path, added, spec, false);
    let has = |name: &Value| {
        let all = ["containers", "initContainers"];
        all.iter().any(|list| items(&spec[*list]).iter().any(|it| it["name"] == *name))
    };
    for (index, it) in items(added).iter().enumerate() {
        let at = path.index(index);
        if has(&it["name"]) {
            errors.push(FieldError::duplicate(&at.child("name"), it["name"].clone()));
        }
        let target = &it["targetContainerName"];
        if !text(it, "targetContainerName").is_empty() && !has(target) {
            errors.push(FieldError::not_found(&at.child("targetContainerName"), target.clone()));
        }
        for name in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
            if !it[name].is_null() {
                let why = "cannot be set for an Ephemeral Container";
                errors.push(FieldError::forbidden(&at.child(name), why));
            }
        }
    }
}

/// What was added once stays as it is.
fn ephemeral_update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    for before in items(&old["ephemeralContainers"]) {
        let now = items(&new["ephemeralContainers"]).iter().find(|it| it["name"] == before["name"]);
        let what = match now {
            None => "removed",
            Some(now) if now != before => "changed",
            Some(_) => continue,
        };
        let name = crate::go::quote(text(before, "name"));
        let why = format!("existing ephemeral containers {name} may not be {what}\n");
        errors.push(FieldError::forbidden(path, &why));
    }
}

/// What an update of a pod changes that it may not.
fn update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    for list in ["containers", "initContainers"] {
        if items(&old[list]).len() != items(&new[list]).len() {
            let why = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&path.child(list), why));
            return;
        }
    }
    let kept = items(&old["tolerations"]).iter().all(|it| items(&new["tolerations"]).contains(it));
    if !kept {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(&path.child("tolerations"), why));
    }
    let mut masked = new.clone();
    for name in ["activeDeadlineSeconds", "tolerations"] {
        mask(&mut masked, name, old.get(name));
    }
    for list in ["containers", "initContainers"] {
        for (index, it) in items(&old[list]).iter().enumerate() {
            masked[list][index]["image"] = it["image"].clone();
        }
    }
    if old["terminationGracePeriodSeconds"].as_i64().is_some_and(|it| it < 0)
        && new["terminationGracePeriodSeconds"] == 1
    {
        mask(
            &mut masked,
            "terminationGracePeriodSeconds",
            old.get("terminationGracePeriodSeconds"),
        );
    }
    // Gates may be lifted, and what they hold back may still be placed.
    if !items(&old["schedulingGates"]).is_empty() {
        mask(&mut masked, "schedulingGates", old.get("schedulingGates"));
        mask(&mut masked, "nodeSelector", old.get("nodeSelector"));
    }
    if masked != *old {
        errors.push(FieldError::forbidden(path, CHANGES));
    }
}

fn mask(spec: &mut Value, name: &str, value: Option<&Value>) {
    let Some(map) = spec.as_object_mut() else { return };
    match value {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
}
