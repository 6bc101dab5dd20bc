//! Containers.

use serde_json::Value;

use super::names;
use super::tools::{
    Errors, at_least, entries, items, named, non_negative, one_of, port, port_or_name, quantity,
    require, required_one_of, text,
};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

/// The containers of a list. `volumes` are the names of the pod's volumes.
pub(super) fn list(errors: &mut Errors, path: &Path, list: &Value, pod: &Value, init: bool) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, container) in items(list).iter().enumerate() {
        let at = path.index(index);
        check(errors, &at, container, pod, init);
        let name = text(container, "name");
        if !name.is_empty() && seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
    }
}

fn check(errors: &mut Errors, path: &Path, container: &Value, pod: &Value, init: bool) {
    if require(errors, path, container, "name") {
        named(errors, &path.child("name"), text(container, "name"), names::dns1123_label);
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, why));
    }
    one_of(errors, path, container, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]);
    ports(errors, &path.child("ports"), &container["ports"], pod["hostNetwork"] == true);
    env(errors, &path.child("env"), &container["env"]);
    env_from(errors, &path.child("envFrom"), &container["envFrom"]);
    mounts(errors, &path.child("volumeMounts"), &container["volumeMounts"], pod);
    one_of(errors, path, container, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]);
    resources(errors, &path.child("resources"), &container["resources"]);
    let sidecar = text(container, "restartPolicy") == "Always";
    if init && !sidecar {
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container[name].is_object() {
                let why = "may not be set for init containers without restartPolicy=Always";
                errors.push(FieldError::forbidden(&path.child(name), why));
            }
        }
        return;
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(errors, &path.child(name), &container[name]);
        let threshold = container[name]["successThreshold"].as_i64().unwrap_or(1);
        if name != "readinessProbe" && threshold != 1 {
            let at = path.child(name).child("successThreshold");
            errors.push(FieldError::invalid(&at, threshold, "must be 1"));
        }
    }
    for name in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][name];
        if handler.is_object() {
            action(
                errors,
                &path.child("lifecycle").child(name),
                handler,
                &["exec", "httpGet", "tcpSocket", "sleep"],
            );
        }
    }
}

fn ports(errors: &mut Errors, path: &Path, ports: &Value, host_network: bool) {
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
        let number = it["containerPort"].as_i64().unwrap_or(0);
        if number == 0 {
            errors.push(FieldError::required(&at.child("containerPort"), ""));
        } else {
            port(errors, &at.child("containerPort"), number);
        }
        let host = it["hostPort"].as_i64().unwrap_or(0);
        if host != 0 {
            port(errors, &at.child("hostPort"), host);
            if host_network && host != number {
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&at.child("hostPort"), host, why));
            }
        }
        required_one_of(errors, &at, it, "protocol", &["SCTP", "TCP", "UDP"]);
    }
}

fn env(errors: &mut Errors, path: &Path, env: &Value) {
    for (index, it) in items(env).iter().enumerate() {
        let at = path.index(index);
        if require(errors, &at, it, "name") {
            named(errors, &at.child("name"), text(it, "name"), names::env_name_errors);
        }
        let from = &it["valueFrom"];
        let Some(sources) = from.as_object() else { continue };
        let at = at.child("valueFrom");
        if sources.is_empty() {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            errors.push(FieldError::invalid(&at, "", why));
        } else if !text(it, "value").is_empty() {
            let why = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(&at, "", why));
        } else if sources.len() > 1 {
            let why = "may not have more than one field specified at a time";
            errors.push(FieldError::invalid(&at, "", why));
        }
        for name in ["configMapKeyRef", "secretKeyRef"] {
            if from[name].is_object() {
                require(errors, &at.child(name), &from[name], "name");
                require(errors, &at.child(name), &from[name], "key");
            }
        }
        if from["fieldRef"].is_object() {
            require(errors, &at.child("fieldRef"), &from["fieldRef"], "fieldPath");
        }
    }
}

fn env_from(errors: &mut Errors, path: &Path, sources: &Value) {
    for (index, it) in items(sources).iter().enumerate() {
        let at = path.index(index);
        let given: Vec<&str> = ["configMapRef", "secretRef"]
            .into_iter()
            .filter(|name| it[*name].is_object())
            .collect();
        match given.as_slice() {
            [] => {
                let why = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(&at, "", why));
            }
            [name] => {
                require(errors, &at.child(name), &it[*name], "name");
            }
            _ => {
                let why = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(&at, "", why));
            }
        }
    }
}

fn mounts(errors: &mut Errors, path: &Path, mounts: &Value, pod: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(mounts).iter().enumerate() {
        let at = path.index(index);
        let (name, place) = (text(it, "name"), text(it, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !items(&pod["volumes"]).iter().any(|volume| text(volume, "name") == name) {
            errors.push(FieldError::not_found(&at.child("name"), name));
        }
        if place.is_empty() {
            errors.push(FieldError::required(&at.child("mountPath"), ""));
        } else if seen.contains(&place) {
            errors.push(FieldError::invalid(&at.child("mountPath"), place, "must be unique"));
        }
        if text(it, "subPath").starts_with('/') {
            let at = at.child("subPath");
            errors.push(FieldError::invalid(&at, text(it, "subPath"), "must be a relative path"));
        }
        seen.push(place);
    }
}

/// Resources that a container may ask for by a plain name.
fn is_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
        || name.starts_with("hugepages-")
        || name.contains('/')
}

fn resources(errors: &mut Errors, path: &Path, resources: &Value) {
    for part in ["limits", "requests"] {
        for (name, value) in entries(&resources[part]) {
            let at = path.child(part).key(name);
            if !name.contains('/') && !is_container_resource(name) {
                let why = "must be a standard resource type or fully qualified";
                errors.push(FieldError::invalid(&at, name.as_str(), why));
                errors.push(FieldError::invalid(
                    &at,
                    name.as_str(),
                    "must be a standard resource for containers",
                ));
            }
            quantity(errors, &at, value);
        }
    }
    for (name, value) in entries(&resources["requests"]) {
        let limit = &resources["limits"][name];
        let (Some(request), Some(most)) = (parsed(value), parsed(limit)) else { continue };
        if request > most {
            let why = format!("must be less than or equal to {name} limit of {}", text_of(limit));
            errors.push(FieldError::invalid(&path.child("requests"), value.clone(), &why));
        }
    }
}

fn parsed(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn probe(errors: &mut Errors, path: &Path, probe: &Value) {
    if !probe.is_object() {
        return;
    }
    action(errors, path, probe, &["exec", "httpGet", "tcpSocket", "grpc"]);
    non_negative(
        errors,
        path,
        probe,
        &[
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ],
    );
    if probe["terminationGracePeriodSeconds"].is_number() {
        at_least(errors, path, probe, "terminationGracePeriodSeconds", 1);
    }
}

/// What a probe or a hook does: exactly one thing.
fn action(errors: &mut Errors, path: &Path, handler: &Value, kinds: &[&str]) {
    let given: Vec<&&str> = kinds.iter().filter(|kind| handler[**kind].is_object()).collect();
    if given.is_empty() {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
    for kind in given.iter().skip(1) {
        let why = "may not specify more than 1 handler type";
        errors.push(FieldError::forbidden(&path.child(kind), why));
    }
    let Some(kind) = given.first() else { return };
    let (at, it) = (path.child(kind), &handler[**kind]);
    match **kind {
        "exec" if items(&it["command"]).is_empty() => {
            errors.push(FieldError::required(&at.child("command"), ""));
        }
        "httpGet" => {
            if text(it, "path").is_empty() {
                errors.push(FieldError::required(&at.child("path"), ""));
            }
            port_or_name(errors, &at.child("port"), &it["port"]);
            one_of(errors, &at, it, "scheme", &["HTTP", "HTTPS"]);
        }
        "tcpSocket" | "grpc" => port_or_name(errors, &at.child("port"), &it["port"]),
        _ => {}
    }
}
