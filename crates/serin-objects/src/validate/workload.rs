//! What runs pods.

use serde_json::{Value, json};

use super::tools::{
    Errors, count_or_percent, immutable, is_none_of_all, non_negative, selector, text,
};
use super::{Change, job, pod};
use crate::fields::{FieldError, Path};
use crate::selector::Labels;

pub(super) fn check(kind: &str, change: &Change<'_>, errors: &mut Errors) {
    let path = Path::new("spec");
    let spec = &change.new["spec"];
    let old = change.old.map(|old| &old["spec"]);
    match kind {
        "Deployment" => deployment(errors, &path, spec),
        "ReplicaSet" => replica_set(errors, &path, spec),
        "ReplicationController" => replication_controller(errors, &path, spec),
        "StatefulSet" => stateful_set(errors, &path, spec, old),
        "DaemonSet" => daemon_set(errors, &path, spec),
        "Job" => return job::check(errors, &path, spec, old),
        "CronJob" => return job::on_schedule(errors, &path, spec),
        "ControllerRevision" => return revision(change, errors),
        _ => return,
    }
    if let Some(old) = old.filter(|_| matches!(kind, "Deployment" | "ReplicaSet" | "DaemonSet")) {
        immutable(errors, &path.child("selector"), &old["selector"], &spec["selector"]);
    }
}

/// A selector that must be there and select the template's pods.
fn selected(errors: &mut Errors, path: &Path, spec: &Value, kind: &str) {
    let at = path.child("selector");
    let wanted = &spec["selector"];
    if wanted.is_null() {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    selector(errors, &at, wanted);
    let is_empty = |name: &str| match &wanted[name] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if is_empty("matchLabels") && is_empty("matchExpressions") {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid(&at, wanted.clone(), &why));
    }
}

/// The template of a selector's pods, which are always restarted.
fn templated(errors: &mut Errors, path: &Path, spec: &Value, kind: &str) {
    let at = path.child("template");
    let (wanted, labels) = (&spec["selector"], &spec["template"]["metadata"]["labels"]);
    // A selector that is missing selects nothing, an empty one all.
    let fits = |it: Labels| !wanted.is_null() && (it.is_empty() || it.matches(labels));
    if Labels::from_object(wanted).is_ok_and(|it| !fits(it)) {
        mismatch(errors, &at, labels);
    }
    pod::template(errors, &at, &spec["template"]);
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if !matches!(policy, "" | "Always") {
        let at = at.child("spec.restartPolicy");
        errors.push(FieldError::not_supported(&at, policy, &["Always"]));
    }
    if spec["template"]["spec"]["activeDeadlineSeconds"].is_number() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(&at.child("spec.activeDeadlineSeconds"), &why));
    }
}

/// A template whose pods its owner would not find.
pub(super) fn mismatch(errors: &mut Errors, template: &Path, labels: &Value) {
    let why = "`selector` does not match template `labels`";
    errors.push(FieldError::invalid(&template.child("metadata.labels"), labels.clone(), why));
}

fn deployment(errors: &mut Errors, path: &Path, spec: &Value) {
    non_negative(errors, path, spec, &["replicas"]);
    selected(errors, path, spec, "deployment");
    templated(errors, path, spec, "ReplicaSet");
    let at = path.child("strategy");
    let strategy = &spec["strategy"];
    match text(strategy, "type") {
        "Recreate" if strategy["rollingUpdate"].is_object() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&at.child("rollingUpdate"), why));
        }
        "RollingUpdate" => rolling(errors, &at.child("rollingUpdate"), &strategy["rollingUpdate"]),
        "Recreate" => {}
        other => {
            let allowed = ["Recreate", "RollingUpdate"];
            errors.push(FieldError::not_supported(&at.child("type"), other, &allowed));
        }
    }
    non_negative(
        errors,
        path,
        spec,
        &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
    );
    if let Some(deadline) = spec["progressDeadlineSeconds"].as_i64()
        && deadline <= spec["minReadySeconds"].as_i64().unwrap_or(0)
    {
        let at = path.child("progressDeadlineSeconds");
        errors.push(FieldError::invalid(&at, deadline, "must be greater than minReadySeconds"));
    }
}

fn rolling(errors: &mut Errors, path: &Path, rolling: &Value) {
    count_or_percent(errors, &path.child("maxUnavailable"), &rolling["maxUnavailable"]);
    let surge = &rolling["maxSurge"];
    // More than twice as many pods may run for a while.
    let is_percentage =
        |text: &str| text.strip_suffix('%').is_some_and(|it| it.parse::<u32>().is_ok());
    if surge.as_str().is_none_or(|text| !is_percentage(text)) {
        count_or_percent(errors, &path.child("maxSurge"), surge);
    }
    if is_none_of_all(&rolling["maxUnavailable"]) && is_none_of_all(surge) {
        let why = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(
            &path.child("maxUnavailable"),
            rolling["maxUnavailable"].clone(),
            why,
        ));
    }
}

fn replica_set(errors: &mut Errors, path: &Path, spec: &Value) {
    non_negative(errors, path, spec, &["replicas", "minReadySeconds"]);
    selected(errors, path, spec, "replicaset");
    templated(errors, path, spec, "ReplicaSet");
}

fn replication_controller(errors: &mut Errors, path: &Path, spec: &Value) {
    non_negative(errors, path, spec, &["minReadySeconds"]);
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required(&path.child("selector"), ""));
    }
    non_negative(errors, path, spec, &["replicas"]);
    let at = path.child("template");
    if spec["template"].is_null() {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !Labels::from_map(&spec["selector"]).matches(labels) {
        mismatch(errors, &at, labels);
    }
    pod::template(errors, &at, &spec["template"]);
}

fn stateful_set(errors: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    match text(spec, "podManagementPolicy") {
        "" => errors.push(FieldError::required(&path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let why = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(&path.child("podManagementPolicy"), other, why));
        }
    }
    stateful_update(errors, &path.child("updateStrategy"), &spec["updateStrategy"]);
    non_negative(errors, path, spec, &["replicas", "minReadySeconds"]);
    non_negative(errors, &path.child("ordinals"), &spec["ordinals"], &["start"]);
    selected(errors, path, spec, "statefulset");
    templated(errors, path, &with_claims(spec), "StatefulSet");
    let Some(old) = old else { return };
    let mut masked = spec.clone();
    for name in [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "revisionHistoryLimit",
    ] {
        match (old.get(name), masked.as_object_mut()) {
            (Some(value), Some(map)) => map.insert(name.to_owned(), value.clone()),
            (None, Some(map)) => map.remove(name),
            (_, None) => None,
        };
    }
    if masked != *old {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn stateful_update(errors: &mut Errors, path: &Path, strategy: &Value) {
    let (at, rolling) = (path.child("rollingUpdate"), &strategy["rollingUpdate"]);
    match text(strategy, "type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" if rolling.is_object() => {
            let why = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(&at, rolling.clone(), why));
        }
        "OnDelete" => {}
        "RollingUpdate" => non_negative(errors, &at, rolling, &["partition"]),
        kind => {
            let shown = json!({"Type": kind, "RollingUpdate": rolling});
            let why = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid(path, shown, why));
        }
    }
}

/// A spec in which what is claimed for each pod is a volume, too: containers mount it by its name.
fn with_claims(spec: &Value) -> Value {
    let mut whole = spec.clone();
    let own = spec["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let claims = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
    let names = claims.map(|claim| &claim["metadata"]["name"]);
    // A claim stands before a volume of the same name.
    let new = names.filter(|name| !own.iter().any(|it| it["name"] == **name));
    let new: Vec<Value> = new.map(|name| json!({"name": name, "emptyDir": {}})).collect();
    if !new.is_empty() {
        whole["template"]["spec"]["volumes"] = own.into_iter().chain(new).collect();
    }
    whole
}

fn daemon_set(errors: &mut Errors, path: &Path, spec: &Value) {
    // One that is missing is told by the template alone, which it does not select.
    if !spec["selector"].is_null() {
        selected(errors, path, spec, "daemonset");
    }
    templated(errors, path, spec, "DaemonSet");
    non_negative(errors, path, spec, &["minReadySeconds", "revisionHistoryLimit"]);
    let at = path.child("updateStrategy");
    let strategy = &spec["updateStrategy"];
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = &strategy["rollingUpdate"];
            let at = at.child("rollingUpdate");
            count_or_percent(errors, &at.child("maxUnavailable"), &rolling["maxUnavailable"]);
            count_or_percent(errors, &at.child("maxSurge"), &rolling["maxSurge"]);
            if is_none_of_all(&rolling["maxUnavailable"]) && is_none_of_all(&rolling["maxSurge"]) {
                let why = "cannot be 0 when maxSurge is 0";
                let value = rolling["maxUnavailable"].clone();
                errors.push(FieldError::invalid(&at.child("maxUnavailable"), value, why));
            }
        }
        other => {
            let allowed = ["RollingUpdate", "OnDelete"];
            errors.push(FieldError::not_supported(&at.child("type"), other, &allowed));
        }
    }
}

fn revision(change: &Change<'_>, errors: &mut Errors) {
    non_negative(errors, &Path::root(), change.new, &["revision"]);
    if let Some(old) = change.old {
        immutable(errors, &Path::new("data"), &old["data"], &change.new["data"]);
    }
}
