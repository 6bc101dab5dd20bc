//! Events of the core group and of `events.k8s.io`, which are the same objects under other names of fields.

use serde_json::{Map, Value};

/// Names in the core group and in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub(super) fn to_events(event: &mut Value) {
    rename(event, |name| NAMES.iter().find(|(core, _)| *core == name).map(|(_, events)| *events));
}

pub(super) fn to_core(event: &mut Value) {
    rename(event, |name| NAMES.iter().find(|(_, events)| *events == name).map(|(core, _)| *core));
}

fn rename(event: &mut Value, other: impl Fn(&str) -> Option<&'static str>) {
    let Some(map) = event.as_object_mut() else { return };
    let renamed: Map<String, Value> = std::mem::take(map)
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (other(&name).map_or(name, str::to_owned), value))
        .collect();
    *map = renamed;
}
