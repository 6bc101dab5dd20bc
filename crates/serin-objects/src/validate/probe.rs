//! Probes of containers, and what is done when one starts or stops.

use serde_json::Value;

use super::names;
use super::tools::{
    Errors, items, named, non_negative, port_or_name, require, required_one_of, text,
};
use crate::fields::{FieldError, Path};

/// What a probe can do.
const PROBES: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];
/// What a hook can do.
const HOOKS: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];

/// The hooks and probes of a container that has `grace` seconds to end.
pub(super) fn all(errors: &mut Errors, path: &Path, container: &Value, grace: i64) {
    for name in ["postStart", "preStop"] {
        let hook = &container["lifecycle"][name];
        if hook.is_object() {
            action(errors, &path.child("lifecycle").child(name), hook, (HOOKS, grace));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let (at, it) = (path.child(name), &container[name]);
        if !it.is_object() {
            continue;
        }
        probe(errors, &at, it, grace);
        if name == "readinessProbe" {
            let own = "terminationGracePeriodSeconds";
            if let Some(seconds) = it[own].as_i64() {
                let why = "must not be set for readinessProbes";
                errors.push(FieldError::invalid(&at.child(own), seconds, why));
            }
        } else if let Some(threshold) = it["successThreshold"].as_i64().filter(|it| *it != 1) {
            errors.push(FieldError::invalid(&at.child("successThreshold"), threshold, "must be 1"));
        }
    }
}

fn probe(errors: &mut Errors, path: &Path, probe: &Value, grace: i64) {
    action(errors, path, probe, (PROBES, grace));
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    non_negative(errors, path, probe, &numbers);
    let name = "terminationGracePeriodSeconds";
    if let Some(seconds) = probe[name].as_i64().filter(|it| *it <= 0) {
        errors.push(FieldError::invalid(&path.child(name), seconds, "must be greater than 0"));
    }
}

/// What a probe or a hook does: exactly one thing.
fn action(errors: &mut Errors, path: &Path, handler: &Value, (kinds, grace): (&[&str], i64)) {
    let mut given = kinds.iter().filter(|kind| handler[**kind].is_object());
    let Some(kind) = given.next() else {
        errors.push(FieldError::required(path, "must specify a handler type"));
        return;
    };
    let (at, it) = (path.child(kind), &handler[*kind]);
    match *kind {
        "exec" if items(&it["command"]).is_empty() => {
            errors.push(FieldError::required(&at.child("command"), ""));
        }
        "httpGet" => {
            require(errors, &at, it, "path");
            port_or_name(errors, &at.child("port"), &it["port"]);
            required_one_of(errors, &at, it, "scheme", &["HTTP", "HTTPS"]);
            for header in items(&it["httpHeaders"]) {
                let name = text(header, "name");
                named(errors, &at.child("httpHeaders"), name, names::header_name_errors);
            }
        }
        "tcpSocket" | "grpc" => port_or_name(errors, &at.child("port"), &it["port"]),
        "sleep" => {
            let seconds = it["seconds"].as_i64().unwrap_or(0);
            if !(0..=grace).contains(&seconds) {
                let why = format!(
                    "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                );
                errors.push(FieldError::invalid(&at, seconds, &why));
            }
        }
        _ => {}
    }
    for kind in given {
        let why = "may not specify more than 1 handler type";
        errors.push(FieldError::forbidden(&path.child(kind), why));
    }
}
