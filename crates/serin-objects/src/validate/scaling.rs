//! Autoscalers, disruption budgets, priorities, storage classes and leases.

use serde_json::Value;

use super::Change;
use super::tools::{
    Errors, at_least, count_or_percent, immutable, items, non_negative, one_of, require, selector,
    text,
};
use crate::Resource;
use crate::fields::{FieldError, Path};

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
        let at = path.child("targetCPUUtilizationPercentage");
        errors.push(FieldError::invalid(&at, percentage, "must be greater than 0"));
    }
    for (index, metric) in items(&spec["metrics"]).iter().enumerate() {
        self::metric(errors, &path.child("metrics").index(index), metric);
    }
    for name in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][name];
        let at = path.child("behavior").child(name);
        if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64()
            && seconds > 3600
        {
            let why = "must be less than or equal to 3600";
            errors.push(FieldError::invalid(&at.child("stabilizationWindowSeconds"), seconds, why));
        }
        non_negative(errors, &at, rules, &["stabilizationWindowSeconds"]);
        one_of(errors, &at, rules, "selectPolicy", &["Disabled", "Max", "Min"]);
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
    let (at, target) = (path.child(field).child("target"), &metric[*field]["target"]);
    require(errors, &at, target, "type");
    if let Some(share) = target["averageUtilization"].as_i64().filter(|it| *it < 1) {
        errors.push(FieldError::invalid(
            &at.child("averageUtilization"),
            share,
            "must be greater than 0",
        ));
    }
    if matches!(kind, "Resource" | "ContainerResource") {
        require(errors, &path.child(field), &metric[*field], "name");
        if target["averageUtilization"].is_null() && target["averageValue"].is_null() {
            let why = "must set either a target raw value or a target utilization";
            errors.push(FieldError::required(&at.child("averageUtilization"), why));
        }
    }
}

fn budget(errors: &mut Errors, path: &Path, spec: &Value) {
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid(path, spec.clone(), why));
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
    require(errors, &Path::root(), change.new, "provisioner");
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
