//! Webhooks of admission, and policies of admission.

use serde_json::Value;

use super::Change;
use super::names;
use super::tools::{Errors, immutable, items, one_of, require, selector, text};
use crate::fields::{FieldError, Path};

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    match kind {
        "ValidatingAdmissionPolicy" => policy(errors, &change.new["spec"]),
        "ValidatingAdmissionPolicyBinding" => {
            let (path, spec) = (Path::new("spec"), &change.new["spec"]);
            require(errors, &path, spec, "policyName");
            if items(&spec["validationActions"]).is_empty() {
                errors.push(FieldError::required(&path.child("validationActions"), ""));
            }
            for (index, it) in items(&spec["validationActions"]).iter().enumerate() {
                let found = it.as_str().unwrap_or_default();
                let allowed = ["Audit", "Deny", "Warn"];
                if !allowed.contains(&found) {
                    let at = path.child("validationActions").index(index);
                    errors.push(FieldError::not_supported(&at, found, &allowed));
                }
            }
            if let Some(old) = change.old {
                let at = path.child("policyName");
                immutable(errors, &at, &old["spec"]["policyName"], &spec["policyName"]);
            }
        }
        _ => {
            let mut seen: Vec<&str> = Vec::new();
            for (index, it) in items(&change.new["webhooks"]).iter().enumerate() {
                let path = Path::new("webhooks").index(index);
                webhook(errors, &path, it);
                let name = text(it, "name");
                if seen.contains(&name) {
                    errors.push(FieldError::duplicate(&path.child("name"), name));
                }
                seen.push(name);
            }
        }
    }
}

/// A name of at least three parts.
fn qualified(errors: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for why in names::dns1123_subdomain(name) {
        errors.push(FieldError::invalid(path, name, &why));
    }
    if name.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(path, name, why));
    }
}

fn webhook(errors: &mut Errors, path: &Path, webhook: &Value) {
    qualified(errors, &path.child("name"), text(webhook, "name"));
    if items(&webhook["admissionReviewVersions"]).is_empty() {
        let why = "must specify one of v1, v1beta1";
        errors.push(FieldError::required(&path.child("admissionReviewVersions"), why));
    } else if !items(&webhook["admissionReviewVersions"])
        .iter()
        .any(|it| it == "v1" || it == "v1beta1")
    {
        let why = "must include at least one of v1, v1beta1";
        let at = path.child("admissionReviewVersions");
        errors.push(FieldError::invalid(&at, webhook["admissionReviewVersions"].clone(), why));
    }
    for (index, it) in items(&webhook["rules"]).iter().enumerate() {
        rule(errors, &path.child("rules").index(index), it);
    }
    one_of(errors, path, webhook, "failurePolicy", &["Fail", "Ignore"]);
    one_of(errors, path, webhook, "matchPolicy", &["Equivalent", "Exact"]);
    one_of(errors, path, webhook, "reinvocationPolicy", &["IfNeeded", "Never"]);
    match text(webhook, "sideEffects") {
        "None" | "NoneOnDryRun" => {}
        "" => {
            let why = "must specify one of None, NoneOnDryRun";
            errors.push(FieldError::required(&path.child("sideEffects"), why));
        }
        other => {
            let allowed = ["None", "NoneOnDryRun"];
            errors.push(FieldError::not_supported(&path.child("sideEffects"), other, &allowed));
        }
    }
    if let Some(seconds) = webhook["timeoutSeconds"].as_i64()
        && !(1..=30).contains(&seconds)
    {
        let why = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(&path.child("timeoutSeconds"), seconds, why));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        selector(errors, &path.child(name), &webhook[name]);
    }
    let (at, config) = (path.child("clientConfig"), &webhook["clientConfig"]);
    match (!text(config, "url").is_empty(), config["service"].is_object()) {
        (true, false) => {
            if !text(config, "url").starts_with("https://") {
                let why =
                    "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                errors.push(FieldError::invalid(&at.child("url"), text(config, "url"), why));
            }
        }
        (false, true) => {
            require(errors, &at.child("service"), &config["service"], "name");
            require(errors, &at.child("service"), &config["service"], "namespace");
        }
        _ => errors.push(FieldError::required(&at, "exactly one of url or service is required")),
    }
}

fn rule(errors: &mut Errors, path: &Path, rule: &Value) {
    for name in ["apiGroups", "apiVersions", "resources", "operations"] {
        if items(&rule[name]).is_empty() {
            errors.push(FieldError::required(&path.child(name), ""));
        }
    }
    let allowed = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (index, it) in items(&rule["operations"]).iter().enumerate() {
        let found = it.as_str().unwrap_or_default();
        if !allowed.contains(&found) {
            let at = path.child("operations").index(index);
            errors.push(FieldError::not_supported(&at, found, &allowed));
        }
    }
    one_of(errors, path, rule, "scope", &["*", "Cluster", "Namespaced"]);
}

fn policy(errors: &mut Errors, spec: &Value) {
    let path = Path::new("spec");
    one_of(errors, &path, spec, "failurePolicy", &["Fail", "Ignore"]);
    let at = path.child("matchConstraints");
    if !spec["matchConstraints"].is_object() {
        errors.push(FieldError::required(&at, ""));
    } else {
        let rules = items(&spec["matchConstraints"]["resourceRules"]);
        if rules.is_empty() {
            errors.push(FieldError::required(&at.child("resourceRules"), ""));
        }
        for (index, it) in rules.iter().enumerate() {
            rule(errors, &at.child("resourceRules").index(index), it);
        }
    }
    if items(&spec["validations"]).is_empty() && items(&spec["auditAnnotations"]).is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(&path.child("validations"), why));
    }
    for (index, it) in items(&spec["validations"]).iter().enumerate() {
        let at = path.child("validations").index(index);
        if text(it, "expression").trim().is_empty() {
            errors
                .push(FieldError::required(&at.child("expression"), "expression is not specified"));
        }
    }
    for (list, field) in [
        ("variables", "expression"),
        ("validations", "expression"),
        ("validations", "messageExpression"),
        ("auditAnnotations", "valueExpression"),
        ("matchConditions", "expression"),
    ] {
        for (index, it) in items(&spec[list]).iter().enumerate() {
            let expression = text(it, field);
            if let Some(why) = Some(expression)
                .filter(|it| !it.trim().is_empty())
                .and_then(crate::expressions::malformed)
            {
                let at = path.child(list).index(index).child(field);
                errors.push(FieldError::invalid(&at, expression, &why));
            }
        }
    }
}
