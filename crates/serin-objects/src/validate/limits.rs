//! Ranges in which resources of a namespace's pods, containers and claims stay.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tools::{Errors, entries, items, named, text};
use super::{names, resources};
use crate::fields::{FieldError, Path};
use crate::quantity::Quantity;

const PARTS: &[&str] = &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// The ranges of an object, one for each type.
pub(super) fn check(errors: &mut Errors, ranges: &Value) {
    let path = Path::new("spec.limits");
    let mut seen: Vec<&str> = Vec::new();
    for (index, it) in items(ranges).iter().enumerate() {
        let at = path.index(index);
        let kind = text(it, "type");
        kind_of(errors, &at.child("type"), kind);
        if seen.contains(&kind) {
            errors.push(FieldError::duplicate(&at.child("type"), kind));
        }
        seen.push(kind);
        range(errors, &at, it, kind);
    }
}

fn kind_of(errors: &mut Errors, path: &Path, kind: &str) {
    let before = errors.len();
    named(errors, path, kind, names::label_key_errors);
    let standard = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind);
    if errors.len() == before && !kind.contains('/') && !standard {
        let why = "must be a standard limit type or fully qualified";
        errors.push(FieldError::invalid(path, kind, why));
    }
}

fn range(errors: &mut Errors, path: &Path, range: &Value, kind: &str) {
    let mut resources_seen: BTreeSet<&str> = BTreeSet::new();
    for part in PARTS {
        let is_default = matches!(*part, "default" | "defaultRequest");
        if kind == "Pod" && is_default {
            if entries(&range[*part]).next().is_some() {
                let why = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(&path.child(part), why));
            }
            continue;
        }
        for (name, _) in entries(&range[*part]) {
            let at = path.child(part).key(name);
            if matches!(kind, "Pod" | "Container") {
                resources::container_name(errors, &at, name);
            } else {
                resources::name(errors, &at, name);
            }
            resources_seen.insert(name);
        }
        let bounded = ["min", "max"].iter().any(|it| range[*it]["storage"].is_string());
        if *part == "defaultRequest" && kind == "PersistentVolumeClaim" && !bounded {
            let why =
                "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(&path.child("limits"), why));
        }
    }
    for name in resources_seen {
        order(errors, path, range, name);
    }
}

/// A smaller amount is not above a greater one.
fn order(errors: &mut Errors, path: &Path, range: &Value, name: &str) {
    // Which part is told of, the smaller part and the greater one with their names, and the amount that is shown.
    for (at, (small, small_name), (great, great_name), shown) in [
        ("min", ("min", "min value"), ("max", "max value"), "min"),
        (
            "defaultRequest",
            ("min", "min value"),
            ("defaultRequest", "default request value"),
            "defaultRequest",
        ),
        (
            "defaultRequest",
            ("defaultRequest", "default request value"),
            ("max", "max value"),
            "defaultRequest",
        ),
        (
            "defaultRequest",
            ("defaultRequest", "default request value"),
            ("default", "default limit value"),
            "defaultRequest",
        ),
        ("default", ("min", "min value"), ("default", "default value"), "min"),
        ("default", ("default", "default value"), ("max", "max value"), "max"),
    ] {
        let (low, high) = (text(&range[small], name), text(&range[great], name));
        let (Some(a), Some(b)) = (Quantity::parse(low), Quantity::parse(high)) else { continue };
        if a > b {
            let why = format!("{small_name} {low} is greater than {great_name} {high}");
            let shown = range[shown][name].clone();
            errors.push(FieldError::invalid(&path.child(at).key(name), shown, &why));
        }
    }
    let ratio = text(&range["maxLimitRequestRatio"], name);
    let one = Quantity::from_milli(1000);
    if Quantity::parse(ratio).is_some_and(|it| it < one) {
        let at = path.child("maxLimitRequestRatio").key(name);
        errors.push(FieldError::invalid(&at, ratio, &format!("ratio {ratio} is less than 1")));
    }
}
