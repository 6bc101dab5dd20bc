//! How our part of a status joins what stands in an object.
//!
//! Conditions of other types, and entries of other controllers, stay. A condition keeps the time of its last transition as long as its
//! status is the same. Writing what is there already can be told by comparing.

use serde_json::{Map, Value};

/// Lists whose entries have a controller each.
const BY_CONTROLLER: [(&str, &str); 2] = [("parents", "parentRef"), ("ancestors", "ancestorRef")];
/// What our controllers are called in statuses.
const OURS: [&str; 2] = ["istio.io/gateway-controller", "istio.io/mesh-controller"];

/// The status after our part of it is written at `now`.
pub(crate) fn merged(present: &Value, ours: &Value, now: &str) -> Value {
    let mut status = present.as_object().cloned().unwrap_or_default();
    for (name, value) in ours.as_object().into_iter().flatten() {
        let before = status.get(name).unwrap_or(&Value::Null);
        let value = field(name, before, value, now);
        status.insert(name.clone(), value);
    }
    Value::Object(status)
}

fn field(name: &str, before: &Value, value: &Value, now: &str) -> Value {
    if name == "conditions" {
        return conditions(before, value, now);
    }
    if let Some((_, reference)) = BY_CONTROLLER.iter().find(|(list, _)| *list == name) {
        return by_controller(reference, before, value, now);
    }
    match value {
        Value::Array(items) if name == "listeners" => {
            let entry = |item: &Value| merged_entry(same("name", before, item), item, now);
            Value::Array(items.iter().map(entry).collect())
        }
        other => other.clone(),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The entry of a list that has the same value in a field.
fn same<'l>(field: &str, list: &'l Value, item: &Value) -> &'l Value {
    items(list).find(|it| it[field] == item[field]).unwrap_or(&Value::Null)
}

/// An entry with conditions of its own; nothing but their times is taken from the one before.
fn merged_entry(before: &Value, item: &Value, now: &str) -> Value {
    let mut entry = item.as_object().cloned().unwrap_or_default();
    if let Some(list) = entry.get("conditions") {
        let timed = items(list).map(|it| timed(&before["conditions"], it, now)).collect();
        entry.insert("conditions".to_owned(), Value::Array(timed));
    }
    Value::Object(entry)
}

fn conditions(before: &Value, ours: &Value, now: &str) -> Value {
    let is_ours = |it: &Value| items(ours).any(|our| our["type"] == it["type"]);
    // Ours stay in the places that they have, new ones come last.
    let mut merged: Vec<Value> = items(before)
        .map(|it| match is_ours(it) {
            true => timed(before, same("type", ours, it), now),
            false => it.clone(),
        })
        .collect();
    let new = items(ours).filter(|it| same("type", before, it).is_null());
    merged.extend(new.map(|it| timed(before, it, now)));
    Value::Array(merged)
}

/// A condition with the time of its last transition.
fn timed(before: &Value, condition: &Value, now: &str) -> Value {
    let mut condition: Map<String, Value> = condition.as_object().cloned().unwrap_or_default();
    let last = items(before).find(|it| Some(&it["type"]) == condition.get("type"));
    let is_same = |last: &&Value| Some(&last["status"]) == condition.get("status");
    let since = last.filter(is_same).and_then(|last| last["lastTransitionTime"].as_str());
    condition.insert("lastTransitionTime".to_owned(), since.unwrap_or(now).into());
    Value::Object(condition)
}

/// Entries of other controllers first.
fn by_controller(reference: &str, before: &Value, ours: &Value, now: &str) -> Value {
    let is_ours = |it: &&Value| OURS.iter().any(|our| it["controllerName"] == **our);
    let foreign = items(before).filter(|it| !is_ours(it)).cloned();
    let known = |item: &Value| {
        let is_same = |it: &&Value| {
            is_ours(it)
                && it[reference] == item[reference]
                && it["controllerName"] == item["controllerName"]
        };
        items(before).find(is_same).unwrap_or(&Value::Null)
    };
    Value::Array(foreign.chain(items(ours).map(|it| merged_entry(known(it), it, now))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn condition(kind: &str, status: &str, time: &str) -> Value {
        json!({"type": kind, "status": status, "lastTransitionTime": time})
    }

    fn check(present: &Value, ours: &Value, expect: &Value) {
        let merged = merged(present, ours, "now");
        assert_eq!(merged, *expect);
        assert_eq!(super::merged(&merged, ours, "later"), merged, "what is written stays");
    }

    #[test]
    fn a_condition_keeps_its_time_and_others_conditions_stay() {
        check(
            &json!({"conditions": [condition("Theirs", "True", "then"), condition("Live", "True", "then"), condition("Accepted", "False", "then")]}),
            &json!({"conditions": [condition("Accepted", "True", ""), condition("Live", "True", ""), condition("New", "True", "")]}),
            &json!({"conditions": [condition("Theirs", "True", "then"), condition("Live", "True", "then"),
                condition("Accepted", "True", "now"), condition("New", "True", "now")]}),
        );
    }

    #[test]
    fn entries_of_other_controllers_stay_and_ours_are_replaced() {
        let entry = |controller: &str, parent: &str, time: &str| json!({"parentRef": {"name": parent}, "controllerName": controller, "conditions": [condition("Accepted", "True", time)]});
        let ours = OURS[0];
        check(
            &json!({"parents": [entry("other", "a", "then"), entry(ours, "a", "then"), entry(ours, "gone", "then")]}),
            &json!({"parents": [entry(ours, "a", ""), entry(ours, "b", "")]}),
            &json!({"parents": [entry("other", "a", "then"), entry(ours, "a", "then"), entry(ours, "b", "now")]}),
        );
    }

    #[test]
    fn listeners_are_known_by_name() {
        let listener = |name: &str, time: &str| json!({"name": name, "attachedRoutes": 1, "conditions": [condition("Programmed", "True", time)]});
        check(
            &json!({"addresses": [], "listeners": [listener("http", "then"), listener("gone", "then")]}),
            &json!({"addresses": [{"value": "127.0.0.1"}], "listeners": [listener("https", ""), listener("http", "")]}),
            &json!({"addresses": [{"value": "127.0.0.1"}], "listeners": [listener("https", "now"), listener("http", "then")]}),
        );
    }
}
