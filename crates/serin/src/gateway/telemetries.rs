//! Which Telemetries are for a proxy.

use serin_api::Object;
use serin_api::telemetry::{Telemetry, WorkloadMode};
use serin_api::values::PolicySelector;
use serin_translate::{Proxy, Snapshot};

/// How near to a proxy a Telemetry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Mesh,
    Namespace,
    Workload,
}

const LEVELS: [Level; 3] = [Level::Mesh, Level::Namespace, Level::Workload];

/// A part of the Telemetry that says something of it for a proxy: one for its workload before one for its namespace before one for
/// the mesh (Istio's order).
pub(super) fn nearest<'s, T>(
    snapshot: &'s Snapshot,
    proxy: &Proxy,
    part: impl Fn(&'s Telemetry) -> Option<&'s T>,
) -> Option<&'s T> {
    all(snapshot, proxy, part).into_iter().next_back()
}

/// The same part of all levels, the nearest last. Of several on the same level the oldest counts.
pub(super) fn all<'s, T>(
    snapshot: &'s Snapshot,
    proxy: &Proxy,
    part: impl Fn(&'s Telemetry) -> Option<&'s T>,
) -> Vec<&'s T> {
    let root = &snapshot.settings().mesh.root_namespace;
    let on = |wanted: Level| {
        let mut telemetries = snapshot.objects().telemetries.iter();
        telemetries.find_map(|object| {
            let is_there = level(object, proxy, root) == Some(wanted);
            is_there.then(|| part(&object.spec)).flatten()
        })
    };
    LEVELS.into_iter().filter_map(on).collect()
}

fn level(object: &Object<Telemetry>, proxy: &Proxy, root: &str) -> Option<Level> {
    let spec = &object.spec;
    if !spec.target_refs.is_empty() || spec.target_ref.is_some() {
        return None;
    }
    let is_near = object.meta.namespace == proxy.namespace;
    match &spec.selector {
        Some(PolicySelector { match_labels, .. }) if !match_labels.is_empty() => {
            (is_near && proxy.has_labels(match_labels)).then_some(Level::Workload)
        }
        _ if object.meta.namespace == root => Some(Level::Mesh),
        _ => is_near.then_some(Level::Namespace),
    }
}

/// The sides of requests that a mode is for: of those that a workload sends, and of those that come to it.
pub(super) fn sides(mode: &WorkloadMode) -> (bool, bool) {
    (*mode != WorkloadMode::Server, *mode != WorkloadMode::Client)
}
