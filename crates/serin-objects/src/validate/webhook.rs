//! Webhooks of admission, and policies of admission.

use serde_json::Value;
use serin_api::expression::Names;

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
    conditions(errors, &path.child("matchConditions"), &webhook["matchConditions"]);
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
    let kind = &spec["paramKind"];
    if kind.is_object() {
        let at = path.child("paramKind");
        if require(errors, &at, kind, "apiVersion") {
            let version = text(kind, "apiVersion");
            let plain = version.split_once('/').is_none_or(|(_, rest)| !rest.contains('/'));
            if !plain {
                let why = format!("unexpected GroupVersion string: {version}");
                errors.push(FieldError::invalid(&at.child("apiVersion"), version, &why));
            }
        }
        require(errors, &at, kind, "kind");
    }
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
        for name in ["namespaceSelector", "objectSelector"] {
            selector(errors, &at.child(name), &spec["matchConstraints"][name]);
        }
    }
    conditions(errors, &path.child("matchConditions"), &spec["matchConditions"]);
    let variables = variables(errors, &path.child("variables"), &spec["variables"]);
    let names = |path: &[String]| named_type(&variables, path);
    if items(&spec["validations"]).is_empty() && items(&spec["auditAnnotations"]).is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        for name in ["validations", "auditAnnotations"] {
            errors.push(FieldError::required(&path.child(name), why));
        }
    }
    for (index, it) in items(&spec["validations"]).iter().enumerate() {
        validation(errors, &path.child("validations").index(index), it, &names);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(&spec["auditAnnotations"]).iter().enumerate() {
        let at = path.child("auditAnnotations").index(index);
        let key = text(it, "key");
        if seen.contains(&key) {
            errors.push(FieldError::duplicate(&at.child("key"), key));
        }
        seen.push(key);
        for why in names::label_key_errors(key) {
            errors.push(FieldError::invalid(&at.child("key"), key, &why));
        }
        let at = at.child("valueExpression");
        if text(it, "valueExpression").trim().is_empty() {
            errors.push(FieldError::required(&at, "valueExpression is not specified"));
        } else {
            expression(
                errors,
                &at,
                text(it, "valueExpression"),
                (&names, &["string", "null_type"]),
            );
        }
    }
}

/// An expression can be compiled, and comes to a value of one of some types; of none, to any.
fn expression(
    errors: &mut Errors,
    path: &Path,
    expression: &str,
    (names, wanted): (&Names<'_>, &[&str]),
) -> Option<String> {
    let why = match crate::expressions::result(expression, names) {
        Err(why) => why,
        Ok(Some(found)) if !wanted.is_empty() && !wanted.contains(&found.as_str()) => {
            match wanted {
                [one] => format!("must evaluate to {one} but got {found}"),
                many => format!("must evaluate to one of [{}] but got {found}", many.join(" ")),
            }
        }
        Ok(found) => return found,
    };
    errors.push(FieldError::invalid(path, expression, &why));
    None
}

/// The types of the names that expressions of policies know. What an object holds is known when they run.
fn named_type(variables: &[(String, Option<String>)], path: &[String]) -> Option<String> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let found = match path.as_slice() {
        ["object" | "oldObject" | "params", ..] => "dyn",
        ["variables", name] => {
            return variables.iter().find(|it| it.0 == *name).and_then(|it| it.1.clone());
        }
        ["request", "operation" | "name" | "namespace" | "subResource"] => "string",
        ["request", "dryRun"] => "bool",
        ["request", "userInfo", "username" | "uid"] => "string",
        ["request", "userInfo", "groups"] => "list(string)",
        _ => return None,
    };
    Some(found.to_owned())
}

fn conditions(errors: &mut Errors, path: &Path, conditions: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(conditions).iter().enumerate() {
        let (at, name) = (path.index(index), text(it, "name"));
        let condition = text(it, "expression");
        if condition.trim().is_empty() {
            errors.push(FieldError::required(&at.child("expression"), ""));
        } else {
            let names = |path: &[String]| named_type(&[], path);
            expression(errors, &at.child("expression"), condition, (&names, &["bool"]));
        }
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
            continue;
        }
        for why in names::label_key_errors(name) {
            errors.push(FieldError::invalid(&at.child("name"), name, &why));
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        seen.push(name);
    }
}

/// The variables of a policy, each of which may use those before it: their names and types.
fn variables(errors: &mut Errors, path: &Path, list: &Value) -> Vec<(String, Option<String>)> {
    let mut known: Vec<(String, Option<String>)> = Vec::new();
    for (index, it) in items(list).iter().enumerate() {
        let (at, name) = (path.index(index), text(it, "name"));
        let word = |it: &str| it.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if name.trim().is_empty() {
            errors.push(FieldError::required(&at.child("name"), "name is not specified"));
        } else if !word(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let why = "name is not a valid CEL identifier";
            errors.push(FieldError::invalid(&at.child("name"), name, why));
        }
        let at = at.child("expression");
        let found = if text(it, "expression").trim().is_empty() {
            errors.push(FieldError::required(&at, "expression is not specified"));
            None
        } else {
            let names = |path: &[String]| named_type(&known, path);
            expression(errors, &at, text(it, "expression"), (&names, &[]))
        };
        known.push((name.to_owned(), found));
    }
    known
}

fn validation(errors: &mut Errors, path: &Path, it: &Value, names: &Names<'_>) {
    let at = path.child("expression");
    if text(it, "expression").trim().is_empty() {
        errors.push(FieldError::required(&at, "expression is not specified"));
    } else {
        expression(errors, &at, text(it, "expression"), (names, &["bool"]));
    }
    let (at, made) = (path.child("messageExpression"), text(it, "messageExpression"));
    if !made.trim().is_empty() {
        expression(errors, &at, made, (names, &["string"]));
    } else if !made.is_empty() {
        errors.push(FieldError::invalid(&at, made, "must be non-empty if specified"));
    }
    let (at, message) = (path.child("message"), text(it, "message"));
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(&at, message, "message must be non-empty if specified"));
    } else if message.trim().contains('\n') {
        errors.push(FieldError::invalid(&at, message, "message must not contain line breaks"));
    } else if text(it, "expression").trim().contains('\n') && message.is_empty() {
        let why = "message must be specified if expression contains line breaks";
        errors.push(FieldError::required(&at, why));
    }
    let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
    one_of(errors, path, it, "reason", &reasons);
}
