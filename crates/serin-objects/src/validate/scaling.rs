//! Autoscalers, disruption budgets, priorities, storage classes and leases.

use serde_json::{Value, json};

use super::tools::{
    Errors, at_least, count_or_percent, immutable, items, non_negative, one_of, require, selector,
    text,
};
use super::{Change, names};
use crate::Resource;
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

pub(super) fn check(resource: &Resource, change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    match resource.kind.as_str() {
        "HorizontalPodAutoscaler" => autoscaler(errors, &path, spec),
        "PodDisruptionBudget" => budget(errors, &path, spec),
        "PriorityClass" => priority_class(errors, change),
        "StorageClass" => storage_class(errors, change),
        "Lease" => {
            if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|it| *it <= 0) {
                let at = path.child("leaseDurationSeconds");
                errors.push(FieldError::invalid(&at, seconds, "must be greater than 0"));
            }
            non_negative(errors, &path, spec, &["leaseTransitions"]);
        }
        _ => {}
    }
}

fn autoscaler(errors: &mut Errors, path: &Path, spec: &Value) {
    at_least(errors, path, spec, "minReplicas", 1);
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    if most < 1 {
        errors.push(FieldError::invalid(
            &path.child("maxReplicas"),
            most,
            "must be greater than 0",
        ));
    }
    if spec["minReplicas"].as_i64().is_some_and(|least| most < least) {
        let why = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(&path.child("maxReplicas"), most, why));
    }
    let at = path.child("scaleTargetRef");
    require(errors, &at, &spec["scaleTargetRef"], "kind");
    require(errors, &at, &spec["scaleTargetRef"], "name");
    if let Some(percentage) = spec["targetCPUUtilizationPercentage"].as_i64().filter(|it| *it < 1) {
        // The older version's one number is a metric of the newer one.
        let at = path.child("metrics").index(0).child("resource.target.averageUtilization");
        errors.push(FieldError::invalid(&at, percentage, "must be greater than 0"));
    }
    for (index, metric) in items(&spec["metrics"]).iter().enumerate() {
        self::metric(errors, &path.child("metrics").index(index), metric);
    }
    for name in ["scaleUp", "scaleDown"] {
        let at = path.child("behavior").child(name);
        behavior(errors, &at, &spec["behavior"][name]);
    }
}

/// How fast the number of pods may change.
fn behavior(errors: &mut Errors, path: &Path, rules: &Value) {
    if !rules.is_object() {
        return;
    }
    let at = path.child("stabilizationWindowSeconds");
    match rules["stabilizationWindowSeconds"].as_i64() {
        Some(seconds) if seconds < 0 => {
            let why = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(&at, seconds, why));
        }
        Some(seconds) if seconds > 3600 => {
            errors.push(FieldError::invalid(&at, seconds, "must be less than or equal to 3600"));
        }
        _ => {}
    }
    one_of(errors, path, rules, "selectPolicy", &["Disabled", "Max", "Min"]);
    if rules["policies"].as_array().is_some_and(Vec::is_empty) {
        let why = "must specify at least one Policy";
        errors.push(FieldError::required(&path.child("policies"), why));
    }
    for (index, it) in items(&rules["policies"]).iter().enumerate() {
        let at = path.child("policies").index(index);
        if !matches!(text(it, "type"), "Percent" | "Pods") {
            let allowed = ["Percent", "Pods"];
            errors.push(FieldError::not_supported(&at.child("type"), text(it, "type"), &allowed));
        }
        for name in ["value", "periodSeconds"] {
            let number = it[name].as_i64().unwrap_or(0);
            if number <= 0 {
                let why = "must be greater than zero";
                errors.push(FieldError::invalid(&at.child(name), number, why));
            } else if name == "periodSeconds" && number > 1800 {
                let why = "must be less than or equal to 1800";
                errors.push(FieldError::invalid(&at.child(name), number, why));
            }
        }
    }
}

fn metric(errors: &mut Errors, path: &Path, metric: &Value) {
    let kinds = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric source type"));
        return;
    }
    let Some((_, field)) = kinds.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        errors.push(FieldError::not_supported(&path.child("type"), kind, &names));
        return;
    };
    if !metric[*field].is_object() {
        let why = "must populate information for the given metric source";
        errors.push(FieldError::required(&path.child(field), why));
        return;
    }
    source(errors, &path.child(field), &metric[*field], kind);
    for (_, other) in kinds.iter().filter(|(name, it)| *name != kind && metric[*it].is_object()) {
        let why = "must populate the given metric source only";
        errors.push(FieldError::forbidden(&path.child(other), why));
    }
}

/// Where a metric comes from and what it should be.
fn source(errors: &mut Errors, path: &Path, source: &Value, kind: &str) {
    let of_resource = matches!(kind, "Resource" | "ContainerResource");
    let missing = |errors: &mut Errors, at: &Path, it: &Value, name: &str, what: &str| {
        if text(it, name).is_empty() {
            errors.push(FieldError::required(&at.child(name), &format!("must specify a {what}")));
        }
    };
    if kind == "Object" {
        let at = path.child("describedObject");
        require(errors, &at, &source["describedObject"], "kind");
        require(errors, &at, &source["describedObject"], "name");
    }
    if kind == "ContainerResource" {
        missing(errors, path, source, "container", "container");
    }
    if of_resource {
        missing(errors, path, source, "name", "resource name");
    } else {
        missing(errors, &path.child("metric"), &source["metric"], "name", "metric name");
    }
    let (at, target) = (path.child("target"), &source["target"]);
    self::target(errors, &at, target);
    let has = |name: &str| !target[name].is_null();
    let average = at.child("averageValue");
    match kind {
        "Pods" if !has("averageValue") => {
            let why = "must specify a positive target averageValue";
            errors.push(FieldError::required(&average, why));
        }
        "Object" if !has("value") && !has("averageValue") => {
            let why = "must set either a target value or averageValue";
            errors.push(FieldError::required(&average, why));
        }
        "External" if !has("value") && !has("averageValue") => {
            let why = "must set either a target value for metric or a per-pod target";
            errors.push(FieldError::required(&average, why));
        }
        "External" if has("value") && has("averageValue") => {
            let why = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(&at.child("value"), why));
        }
        _ if of_resource && !has("averageUtilization") && !has("averageValue") => {
            let why = "must set either a target raw value or a target utilization";
            errors.push(FieldError::required(&at.child("averageUtilization"), why));
        }
        _ if of_resource && has("averageUtilization") && has("averageValue") => {
            let why = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(&average, why));
        }
        _ => {}
    }
}

fn target(errors: &mut Errors, path: &Path, target: &Value) {
    match text(target, "type") {
        "" => {
            let why = "must specify a metric target type";
            errors.push(FieldError::required(&path.child("type"), why));
        }
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            let why = "must be either Utilization, Value, or AverageValue";
            errors.push(FieldError::invalid(&path.child("type"), other, why));
        }
    }
    for name in ["value", "averageValue"] {
        let amount = target[name].as_str().and_then(Quantity::parse);
        if amount.is_some_and(|it| it.is_negative() || it.is_zero()) {
            let shown = target[name].clone();
            errors.push(FieldError::invalid(&path.child(name), shown, "must be positive"));
        }
    }
    if let Some(share) = target["averageUtilization"].as_i64().filter(|it| *it < 1) {
        let at = path.child("averageUtilization");
        errors.push(FieldError::invalid(&at, share, "must be greater than 0"));
    }
}

fn budget(errors: &mut Errors, path: &Path, spec: &Value) {
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        // As Kubernetes holds it.
        let shown = json!({"MinAvailable": spec["minAvailable"], "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"]});
        errors.push(FieldError::invalid(path, shown, why));
    }
    for name in ["minAvailable", "maxUnavailable"] {
        count_or_percent(errors, &path.child(name), &spec[name]);
    }
    selector(errors, &path.child("selector"), &spec["selector"]);
    let allowed = ["AlwaysAllow", "IfHealthyBudget"];
    one_of(errors, path, spec, "unhealthyPodEvictionPolicy", &allowed);
}

fn priority_class(errors: &mut Errors, change: &Change<'_>) {
    let name = text(&change.new["metadata"], "name");
    let value = change.new["value"].as_i64().unwrap_or(0);
    let is_system = matches!(name, "system-node-critical" | "system-cluster-critical");
    if name.starts_with("system-") && !is_system {
        let why =
            "priority class names with 'system-' prefix are reserved for system use only. error: ";
        errors.push(FieldError::forbidden(&Path::new("metadata.name"), why));
    } else if value > 1_000_000_000 && !is_system {
        let why = "maximum allowed value of a user defined priority is 1000000000";
        errors.push(FieldError::forbidden(&Path::new("value"), why));
    }
    if let Some(old) = change.old {
        for name in ["value", "preemptionPolicy"] {
            if old[name] != change.new[name] {
                let why = "may not be changed in an update.";
                errors.push(FieldError::forbidden(&Path::new(name), why));
            }
        }
    }
}

fn storage_class(errors: &mut Errors, change: &Change<'_>) {
    let (root, new) = (Path::root(), change.new);
    if require(errors, &root, new, "provisioner") {
        let name = text(new, "provisioner");
        for why in names::label_key_errors(&name.to_lowercase()) {
            errors.push(FieldError::invalid(&root.child("provisioner"), name, &why));
        }
    }
    one_of(errors, &root, new, "reclaimPolicy", &["Delete", "Retain"]);
    one_of(errors, &root, new, "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]);
    let Some(old) = change.old else { return };
    for name in ["parameters", "provisioner", "reclaimPolicy"] {
        if old[name] != change.new[name] {
            let why = format!("updates to {name} are forbidden.");
            errors.push(FieldError::forbidden(&Path::new(name), &why));
        }
    }
    let name = "volumeBindingMode";
    immutable(errors, &Path::new(name), &old[name], &change.new[name]);
}
