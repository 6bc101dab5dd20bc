//! On which nodes pods run: affinity, tolerations, spreading, gates.

use serde_json::{Value, json};

use super::names;
use super::tools::{Errors, entries, items, named, one_of, required_one_of, selector, text};
use crate::fields::{FieldError, Path};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Which nodes and which other pods a pod likes.
pub(super) fn affinity(errors: &mut Errors, path: &Path, affinity: &Value) {
    let (at, nodes) = (path.child("nodeAffinity"), &affinity["nodeAffinity"]);
    if nodes[REQUIRED].is_object() {
        node_selector(errors, &at.child(REQUIRED), &nodes[REQUIRED]);
    }
    for (index, it) in items(&nodes[PREFERRED]).iter().enumerate() {
        let at = at.child(PREFERRED).index(index);
        weight(errors, &at, it);
        term(errors, &at.child("preference"), &it["preference"], false);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let (at, pods) = (path.child(name), &affinity[name]);
        for (index, it) in items(&pods[REQUIRED]).iter().enumerate() {
            pod_term(errors, &at.child(REQUIRED).index(index), it);
        }
        for (index, it) in items(&pods[PREFERRED]).iter().enumerate() {
            let at = at.child(PREFERRED).index(index);
            weight(errors, &at, it);
            pod_term(errors, &at.child("podAffinityTerm"), &it["podAffinityTerm"]);
        }
    }
}

fn weight(errors: &mut Errors, path: &Path, term: &Value) {
    let weight = term["weight"].as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(
            &path.child("weight"),
            weight,
            "must be in the range 1-100",
        ));
    }
}

/// Nodes, by terms of which one holds.
pub(super) fn node_selector(errors: &mut Errors, path: &Path, selector: &Value) {
    let at = path.child("nodeSelectorTerms");
    let terms = items(&selector["nodeSelectorTerms"]);
    if terms.is_empty() {
        errors.push(FieldError::required(&at, "must have at least one node selector term"));
    }
    for (index, it) in terms.iter().enumerate() {
        term(errors, &at.index(index), it, true);
    }
}

fn term(errors: &mut Errors, path: &Path, term: &Value, strict: bool) {
    for (index, it) in items(&term["matchExpressions"]).iter().enumerate() {
        expression(errors, &path.child("matchExpressions").index(index), it, strict);
    }
    for (index, it) in items(&term["matchFields"]).iter().enumerate() {
        let at = path.child("matchFields").index(index);
        match text(it, "operator") {
            "In" | "NotIn" if items(&it["values"]).len() != 1 => {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(&at.child("values"), why));
            }
            "In" | "NotIn" => {}
            other => {
                let why = "not a valid selector operator";
                errors.push(FieldError::invalid(&at.child("operator"), other, why));
            }
        }
        if text(it, "key") != "metadata.name" {
            let why = "not a valid field selector key";
            errors.push(FieldError::invalid(&at.child("key"), text(it, "key"), why));
            continue;
        }
        for (index, value) in items(&it["values"]).iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            named(errors, &at.child("values").index(index), value, names::dns1123_subdomain);
        }
    }
}

/// A condition on a label of nodes.
fn expression(errors: &mut Errors, path: &Path, it: &Value, strict: bool) {
    let (at, values) = (path.child("values"), items(&it["values"]));
    match text(it, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(&at, why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&at, why));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(&at, why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            let why = "not a valid selector operator";
            errors.push(FieldError::invalid(&path.child("operator"), other, why));
        }
    }
    named(errors, &path.child("key"), text(it, "key"), names::label_key_errors);
    for (index, value) in values.iter().enumerate().filter(|_| strict) {
        let value = value.as_str().unwrap_or_default();
        named(errors, &at.index(index), value, names::label_value_errors);
    }
}

fn pod_term(errors: &mut Errors, path: &Path, term: &Value) {
    for name in ["labelSelector", "namespaceSelector"] {
        selector(errors, &path.child(name), &term[name]);
    }
    for name in items(&term["namespaces"]).iter().filter_map(Value::as_str) {
        named(errors, &path.child("namespace"), name, names::dns1123_label);
    }
    let (with, without) = (items(&term["matchLabelKeys"]), items(&term["mismatchLabelKeys"]));
    for (index, key) in with.iter().enumerate().filter(|(_, it)| without.contains(it)) {
        let why = "exists in both matchLabelKeys and mismatchLabelKeys";
        let at = path.child("matchLabelKeys").index(index);
        errors.push(FieldError::invalid(&at, key.clone(), why));
    }
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    named(errors, &path.child("topologyKey"), key, names::label_key_errors);
}

/// Taints that a pod puts up with.
pub(super) fn tolerations(errors: &mut Errors, path: &Path, tolerations: &Value) {
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
        let value = text(it, "value");
        match operator {
            "" | "Equal" => joined(errors, &at.child("operator"), value),
            "Exists" if !value.is_empty() => {
                let why = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(&at.child("operator"), value, why));
            }
            "Exists" => {}
            other => {
                let allowed = ["Equal", "Exists"];
                errors.push(FieldError::not_supported(&at.child("operator"), other, &allowed));
            }
        }
        one_of(errors, &at, it, "effect", EFFECTS);
    }
}

/// The value of a taint; all that is wrong with it is told at once.
fn joined(errors: &mut Errors, path: &Path, value: &str) {
    let wrong = names::label_value_errors(value);
    if !wrong.is_empty() {
        errors.push(FieldError::invalid(path, value, &wrong.join(";")));
    }
}

/// What keeps pods off a node.
pub(super) fn taints(errors: &mut Errors, path: &Path, taints: &Value) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, it) in items(taints).iter().enumerate() {
        let (at, key, effect) = (path.index(index), text(it, "key"), text(it, "effect"));
        named(errors, &at.child("key"), key, names::label_key_errors);
        joined(errors, &at.child("value"), text(it, "value"));
        required_one_of(errors, &at, it, "effect", EFFECTS);
        if seen.contains(&(key, effect)) {
            let shown = json!({"Key": key, "Value": text(it, "value"), "Effect": effect, "TimeAdded": null});
            let mut error = FieldError::duplicate(&at, shown);
            error.message.push_str(": taints must be unique by key and effect pair");
            errors.push(error);
        }
        seen.push((key, effect));
    }
}

/// How evenly pods are spread.
pub(super) fn spread(errors: &mut Errors, path: &Path, constraints: &Value) {
    let all = items(constraints);
    for (index, it) in all.iter().enumerate() {
        let at = path.index(index);
        let (key, action) = (text(it, "topologyKey"), text(it, "whenUnsatisfiable"));
        let skew = it["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(
                &at.child("maxSkew"),
                skew,
                "must be greater than zero",
            ));
        }
        if key.is_empty() {
            errors.push(FieldError::required(&at.child("topologyKey"), "can not be empty"));
        }
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            let allowed = ["DoNotSchedule", "ScheduleAnyway"];
            errors.push(FieldError::not_supported(
                &at.child("whenUnsatisfiable"),
                action,
                &allowed,
            ));
        }
        let pair =
            |it: &Value| (text(it, "topologyKey"), text(it, "whenUnsatisfiable")) == (key, action);
        if all[index + 1..].iter().any(pair) {
            let at = at.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&at, format!("{{{key}, {action}}}")));
        }
        domains(errors, &at.child("minDomains"), &it["minDomains"], action);
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            one_of(errors, &at, it, name, &["Honor", "Ignore"]);
        }
        label_keys(errors, &at.child("matchLabelKeys"), it);
        selector(errors, &at.child("labelSelector"), &it["labelSelector"]);
    }
}

fn domains(errors: &mut Errors, path: &Path, count: &Value, action: &str) {
    let Some(count) = count.as_i64() else { return };
    if count <= 0 {
        errors.push(FieldError::invalid(path, count, "must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        let why =
            format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(FieldError::invalid(path, count, &why));
    }
}

fn label_keys(errors: &mut Errors, path: &Path, constraint: &Value) {
    let keys = items(&constraint["matchLabelKeys"]);
    let selector = &constraint["labelSelector"];
    if !keys.is_empty() && selector.is_null() {
        let why = "must not be specified when labelSelector is not set";
        errors.push(FieldError::forbidden(path, why));
    }
    for (index, key) in keys.iter().enumerate() {
        let key = key.as_str().unwrap_or_default();
        named(errors, &path.index(index), key, names::label_key_errors);
        let selected = entries(&selector["matchLabels"]).any(|(name, _)| name == key)
            || items(&selector["matchExpressions"]).iter().any(|it| text(it, "key") == key);
        if selected {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(&path.index(index), key, why));
        }
    }
}

/// What must happen before a pod is placed.
pub(super) fn gates(errors: &mut Errors, path: &Path, gates: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(gates).iter().enumerate() {
        let (at, name) = (path.index(index), text(it, "name"));
        named(errors, &at, name, names::label_key_errors);
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&at, name));
        }
        seen.push(name);
    }
}
