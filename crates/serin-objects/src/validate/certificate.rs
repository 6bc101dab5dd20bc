//! Requests for certificates, and classes of runtimes.

use serde_json::Value;

use super::Change;
use super::names;
use super::tools::{Errors, immutable, items, named, text};
use crate::fields::{FieldError, Path};

/// What a certificate may be used for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// How long a certificate may be asked for at least, in seconds.
const SHORTEST: i64 = 600;

pub(super) fn check(change: &Change<'_>, errors: &mut Errors) {
    let (path, spec) = (Path::new("spec"), &change.new["spec"]);
    if change.old.is_none() {
        request(errors, &path.child("request"), text(spec, "request"));
        usages(errors, &path.child("usages"), items(&spec["usages"]));
        signer(errors, &path.child("signerName"), text(spec, "signerName"));
        if let Some(seconds) = spec["expirationSeconds"].as_i64().filter(|it| *it < SHORTEST) {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            let at = path.child("expirationSeconds");
            errors.push(FieldError::invalid(&at, seconds, why));
        }
    }
    conditions(errors, change);
}

/// A request in PEM. Whether it is signed is looked at by who signs.
fn request(errors: &mut Errors, path: &Path, encoded: &str) {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    let pem = String::from_utf8_lossy(&decoded);
    let is_request = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].iter().any(|name| {
        pem.contains(&format!("-----BEGIN {name}-----"))
            && pem.contains(&format!("-----END {name}-----"))
    });
    if !is_request {
        let why = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid(path, encoded, why));
    }
}

fn usages(errors: &mut Errors, path: &Path, usages: &[Value]) {
    if usages.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        let name = usage.as_str().unwrap_or_default();
        if !USAGES.contains(&name) {
            errors.push(FieldError::not_supported(&path.index(index), name, USAGES));
        }
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages.iter().take(index).any(|it| it == usage) {
            errors.push(FieldError::duplicate(&path.index(index), usage.clone()));
        }
    }
}

/// A name such as `example.com/signer`.
fn signer(errors: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name == "kubernetes.io/legacy-unknown" {
        let why = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(path, name, why));
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, why));
        return;
    };
    let before = errors.len();
    named(errors, path, domain, names::dns1123_subdomain);
    if errors.len() == before && !domain.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, domain, why));
    }
    named(errors, path, rest, names::dns1123_subdomain);
}

/// Verdicts stay, and there is one.
fn conditions(errors: &mut Errors, change: &Change<'_>) {
    let path = Path::new("status.conditions");
    let conditions = items(&change.new["status"]["conditions"]);
    let has = |of: &[Value], kind: &str| of.iter().any(|it| it["type"] == kind);
    for (index, it) in conditions.iter().enumerate() {
        let (at, kind, status) = (path.index(index), text(it, "type"), text(it, "status"));
        let verdict = matches!(kind, "Approved" | "Denied" | "Failed");
        if kind.is_empty() {
            errors.push(FieldError::required(&at.child("type"), ""));
        }
        match status {
            "" => errors.push(FieldError::required(&at.child("status"), "")),
            "True" => {}
            "False" | "Unknown" if !verdict => {}
            other if verdict => {
                errors.push(FieldError::not_supported(&at.child("status"), other, &["True"]));
            }
            other => {
                let allowed = &["False", "True", "Unknown"];
                errors.push(FieldError::not_supported(&at.child("status"), other, allowed));
            }
        }
        let other = if kind == "Approved" { "Denied" } else { "Approved" };
        if matches!(kind, "Approved" | "Denied") && has(&conditions[..index], other) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(&at.child("type"), kind, why));
        }
    }
    let before = change.old.map(|old| items(&old["status"]["conditions"])).unwrap_or_default();
    for kind in ["Approved", "Denied", "Failed"] {
        if has(before, kind) && !has(conditions, kind) {
            let why = format!("updates may not remove a condition of type {kind:?}");
            errors.push(FieldError::forbidden(&path, &why));
        }
    }
}

/// The handler of a class of runtimes is a name, and stays.
pub(super) fn runtime_class(change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("handler");
    named(errors, &path, text(change.new, "handler"), names::dns1123_label);
    if let Some(old) = change.old {
        immutable(errors, &path, &old["handler"], &change.new["handler"]);
    }
}
