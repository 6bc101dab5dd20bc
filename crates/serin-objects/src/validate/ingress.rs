//! Ingresses and their classes.

use serde_json::Value;

use super::tools::{Errors, immutable, items, named, one_of, port, require, text};
use super::{Change, names};
use crate::fields::{FieldError, Path};

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    if items(&spec["rules"]).is_empty() && !spec["defaultBackend"].is_object() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, Value::Null, why));
    }
    if spec["defaultBackend"].is_object() {
        backend(errors, &path.child("defaultBackend"), &spec["defaultBackend"]);
    }
    for (index, rule) in items(&spec["rules"]).iter().enumerate() {
        self::rule(errors, &path.child("rules").index(index), rule);
    }
    for (index, it) in items(&spec["tls"]).iter().enumerate() {
        let at = path.child("tls").index(index);
        for (index, host) in items(&it["hosts"]).iter().enumerate() {
            self::host(errors, &at.child("hosts").index(index), host.as_str().unwrap_or_default());
        }
        if !text(it, "secretName").is_empty() {
            let name = text(it, "secretName");
            named(errors, &at.child("secretName"), name, names::dns1123_subdomain);
        }
    }
    let class = &spec["ingressClassName"];
    if let Some(class) = class.as_str() {
        named(errors, &path.child("ingressClassName"), class, names::dns1123_subdomain);
    }
    let name = "kubernetes.io/ingress.class";
    let annotation = text(&change.new["metadata"]["annotations"], name);
    if change.old.is_none() && !annotation.is_empty() && class.is_string() && class != annotation {
        let why = "must match `ingressClassName` when both are specified";
        errors.push(FieldError::invalid(&Path::new("annotations").child(name), annotation, why));
    }
}

/// A host by name, perhaps with a wildcard in front.
fn host(errors: &mut Errors, path: &Path, host: &str) {
    let rule = if host.contains('*') { names::wildcard_errors } else { names::dns1123_subdomain };
    named(errors, path, host, rule);
}

fn rule(errors: &mut Errors, path: &Path, rule: &Value) {
    let name = text(rule, "host");
    if !name.is_empty() {
        let at = path.child("host");
        if name.parse::<std::net::IpAddr>().is_ok() {
            errors.push(FieldError::invalid(&at, name, "must be a DNS name, not an IP address"));
        }
        host(errors, &at, name);
    }
    let http = &rule["http"];
    if !http.is_object() {
        return;
    }
    let at = path.child("http.paths");
    if items(&http["paths"]).is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    for (index, it) in items(&http["paths"]).iter().enumerate() {
        http_path(errors, &at.index(index), it);
    }
}

fn http_path(errors: &mut Errors, path: &Path, it: &Value) {
    let (at, place) = (path.child("path"), text(it, "path"));
    let absolute = place.starts_with('/');
    match text(it, "pathType") {
        "" => {
            let why = "pathType must be specified";
            errors.push(FieldError::required(&path.child("pathType"), why));
            return;
        }
        kind @ ("Exact" | "Prefix" | "ImplementationSpecific") => {
            let strict = kind != "ImplementationSpecific";
            if !absolute && (strict || !place.is_empty()) {
                errors.push(FieldError::invalid(&at, place, "must be an absolute path"));
            }
            if strict {
                plain_path(errors, &at, place);
            }
        }
        other => {
            let allowed = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(FieldError::not_supported(&path.child("pathType"), other, &allowed));
        }
    }
    backend(errors, &path.child("backend"), &it["backend"]);
}

/// A path that can only be read in one way.
fn plain_path(errors: &mut Errors, path: &Path, place: &str) {
    for part in ["//", "/./", "/../", "%2f", "%2F"] {
        if place.contains(part) {
            let why = format!("must not contain '{part}'");
            errors.push(FieldError::invalid(path, place, &why));
        }
    }
    for end in ["/..", "/."] {
        if place.ends_with(end) {
            let why = format!("cannot end with '{end}'");
            errors.push(FieldError::invalid(path, place, &why));
        }
    }
}

fn backend(errors: &mut Errors, path: &Path, backend: &Value) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_object(), resource.is_object()) {
        (true, true) => {
            let why = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, "", why));
        }
        (false, false) => {
            let why = "resource or service backend is required";
            errors.push(FieldError::invalid(path, "", why));
        }
        (false, true) => {
            let at = path.child("resource");
            if let Some(group) = resource["apiGroup"].as_str() {
                named(errors, &at.child("apiGroup"), group, names::dns1123_subdomain);
            }
            reference(errors, &at, resource);
        }
        (true, false) => to_service(errors, path, service),
    }
}

fn to_service(errors: &mut Errors, path: &Path, service: &Value) {
    let at = path.child("service");
    if require(errors, &at, service, "name") {
        named(errors, &at.child("name"), text(service, "name"), names::dns1035_label);
    }
    let number = service["port"]["number"].as_i64().unwrap_or(0);
    match (text(&service["port"], "name"), number) {
        ("", 0) => {
            errors.push(FieldError::required(path, "port name or number is required"));
        }
        ("", number) => port(errors, &at.child("port.number"), number),
        (name, 0) => named(errors, &at.child("port.name"), name, names::port_name_errors),
        _ => {
            let why = "cannot set both port name & port number";
            errors.push(FieldError::invalid(path, "", why));
        }
    }
}

/// An object by kind and name.
fn reference(errors: &mut Errors, path: &Path, reference: &Value) {
    for name in ["kind", "name"] {
        if require(errors, path, reference, name) {
            let value = text(reference, name);
            named(errors, &path.child(name), value, names::path_segment_errors);
        }
    }
}

pub(super) fn class(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    let at = path.child("controller");
    if let Some(old) = change.old {
        immutable(errors, &at, &old["spec"]["controller"], &spec["controller"]);
    }
    if require(errors, &path, spec, "controller") {
        let controller = text(spec, "controller");
        match controller.split_once('/') {
            Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
                named(errors, &at, domain, names::dns1123_subdomain);
            }
            _ => {
                let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
                errors.push(FieldError::invalid(&at, controller, why));
            }
        }
    }
    let parameters = &spec["parameters"];
    if !parameters.is_object() {
        return;
    }
    let at = path.child("parameters");
    if let Some(group) = parameters["apiGroup"].as_str() {
        named(errors, &at.child("apiGroup"), group, names::dns1123_subdomain);
    }
    reference(errors, &at, parameters);
    if !require(errors, &at, parameters, "scope") {
        return;
    }
    one_of(errors, &at, parameters, "scope", &["Cluster", "Namespace"]);
    let named = parameters["namespace"].is_string();
    match text(parameters, "scope") {
        "Namespace" if !named => {
            let why = "`parameters.scope` is set to 'Namespace'";
            errors.push(FieldError::required(&at.child("namespace"), why));
        }
        "Cluster" if named => {
            let why = "`parameters.scope` is set to 'Cluster'";
            errors.push(FieldError::forbidden(&at.child("namespace"), why));
        }
        _ => {}
    }
}
