//! Containers: those of a pod, those that run before them, and those that are added to look into it.

use serde_json::Value;

use super::tools::{Errors, items, named, one_of, port, require, required_one_of, text};
use super::{env, mounts, names, probe, resources, security};
use crate::fields::{FieldError, Path};

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];

/// What containers refer to outside of themselves.
pub(super) struct Pod<'p> {
    /// The spec of the pod.
    pub(super) spec: &'p Value,
    /// The names of its sound volumes.
    pub(super) volumes: Vec<&'p str>,
}

impl Pod<'_> {
    /// How long the containers have to end.
    fn grace(&self) -> i64 {
        self.spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30)
    }
}

/// The containers that run side by side.
pub(super) fn regular(errors: &mut Errors, path: &Path, pod: &Pod<'_>) {
    let containers = items(&pod.spec["containers"]);
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let at = path.index(index);
        common(errors, &at, container, pod);
        let name = text(container, "name");
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
        probe::all(errors, &at, container, pod.grace());
        if container["restartPolicy"].is_string() {
            let why = "may not be set for non-init containers";
            errors.push(FieldError::forbidden(&at.child("restartPolicy"), why));
        }
    }
    host_ports(errors, path, containers);
}

/// The containers that run before the others, or beside them if they are always restarted.
pub(super) fn init(errors: &mut Errors, path: &Path, pod: &Pod<'_>) {
    let regular = items(&pod.spec["containers"]).iter();
    let mut seen: Vec<&str> = regular.map(|it| text(it, "name")).collect();
    for (index, container) in items(&pod.spec["initContainers"]).iter().enumerate() {
        let at = path.index(index);
        common(errors, &at, container, pod);
        one_of(errors, &at, container, "restartPolicy", &["Always"]);
        let name = text(container, "name");
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        } else if !name.is_empty() {
            seen.push(name);
        }
        host_ports(errors, path, std::slice::from_ref(container));
        if text(container, "restartPolicy") == "Always" {
            probe::all(errors, &at, container, pod.grace());
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container[name].is_object() {
                let why = "may not be set for init containers without restartPolicy=Always";
                errors.push(FieldError::forbidden(&at.child(name), why));
            }
        }
    }
}

/// Containers that are added to a pod to look into it.
pub(super) fn ephemeral(errors: &mut Errors, path: &Path, pod: &Pod<'_>) {
    let others = ["containers", "initContainers"].into_iter();
    let others = others.flat_map(|list| items(&pod.spec[list])).map(|it| text(it, "name"));
    let others: Vec<&str> = others.collect();
    let mut seen = others.clone();
    for (index, container) in items(&pod.spec["ephemeralContainers"]).iter().enumerate() {
        let at = path.index(index);
        common(errors, &at, container, pod);
        trimmed(errors, &at, container);
        let name = text(container, "name");
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        } else {
            seen.push(name);
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(&target) {
            errors.push(FieldError::not_found(&at.child("targetContainerName"), target));
        }
        for name in [
            "ports",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
        ] {
            if !is_unset(&container[name]) {
                let why = "cannot be set for an Ephemeral Container";
                errors.push(FieldError::forbidden(&at.child(name), why));
            }
        }
        mounts::without_parts(errors, &at.child("volumeMounts"), &container["volumeMounts"]);
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The image of a pod's container stands there without blanks; templates may have them.
pub(super) fn trimmed(errors: &mut Errors, path: &Path, container: &Value) {
    let image = text(container, "image");
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, why));
    }
}

fn common(errors: &mut Errors, path: &Path, container: &Value, pod: &Pod<'_>) {
    if require(errors, path, container, "name") {
        named(errors, &path.child("name"), text(container, "name"), names::dns1123_label);
    }
    require(errors, path, container, "image");
    let policies = ["File", "FallbackToLogsOnError"];
    required_one_of(errors, path, container, "terminationMessagePolicy", &policies);
    ports(errors, &path.child("ports"), &container["ports"]);
    env::list(errors, &path.child("env"), &container["env"]);
    env::sources(errors, &path.child("envFrom"), &container["envFrom"]);
    mounts::list(errors, &path.child("volumeMounts"), container, &pod.volumes);
    mounts::devices(errors, &path.child("volumeDevices"), container, pod);
    required_one_of(errors, path, container, "imagePullPolicy", PULL_POLICIES);
    resources::check(errors, &path.child("resources"), &container["resources"]);
    let never = text(pod.spec, "restartPolicy") == "Never";
    resizes(errors, &path.child("resizePolicy"), &container["resizePolicy"], never);
    let context = &container["securityContext"];
    security::container(errors, &path.child("securityContext"), context, pod.spec);
}

fn ports(errors: &mut Errors, path: &Path, ports: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(ports).iter().enumerate() {
        let at = path.index(index);
        let name = text(it, "name");
        if !name.is_empty() {
            let wrong = names::port_name_errors(name);
            if wrong.is_empty() && seen.contains(&name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
            for why in wrong {
                errors.push(FieldError::invalid(&at.child("name"), name, &why));
            }
            seen.push(name);
        }
        match it["containerPort"].as_i64().unwrap_or(0) {
            0 => errors.push(FieldError::required(&at.child("containerPort"), "")),
            number => port(errors, &at.child("containerPort"), number),
        }
        let host = it["hostPort"].as_i64().unwrap_or(0);
        if host != 0 {
            port(errors, &at.child("hostPort"), host);
        }
        required_one_of(errors, &at, it, "protocol", &["SCTP", "TCP", "UDP"]);
    }
}

/// No port of the host is wanted twice.
fn host_ports(errors: &mut Errors, path: &Path, containers: &[Value]) {
    let mut seen: Vec<String> = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        for (number, it) in items(&container["ports"]).iter().enumerate() {
            let host = it["hostPort"].as_i64().unwrap_or(0);
            if host == 0 {
                continue;
            }
            let place = format!("{}/{}/{host}", text(it, "protocol"), text(it, "hostIP"));
            if seen.contains(&place) {
                let at = path.index(index).child("ports").index(number).child("hostPort");
                errors.push(FieldError::duplicate(&at, place));
            } else {
                seen.push(place);
            }
        }
    }
}

/// What a change of resources does to the container.
fn resizes(errors: &mut Errors, path: &Path, policies: &Value, never: bool) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(policies).iter().enumerate() {
        let (resource, policy) = (text(it, "resourceName"), text(it, "restartPolicy"));
        if seen.contains(&resource) {
            errors.push(FieldError::duplicate(&path.index(index), resource));
        }
        seen.push(resource);
        let known: [(&str, &[&str]); 2] =
            [(resource, &["cpu", "memory"]), (policy, &["NotRequired", "RestartContainer"])];
        for (found, allowed) in known {
            if found.is_empty() {
                errors.push(FieldError::required(path, ""));
            } else if !allowed.contains(&found) {
                errors.push(FieldError::not_supported(path, found, allowed));
            }
        }
        if never && policy != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, policy, why));
        }
    }
}
