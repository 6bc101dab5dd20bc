//! Pods and templates of pods.

use serde_json::{Map, Value};

/// The class of service that a pod's resources earn it.
pub(crate) fn quality(pod: &Map<String, Value>) -> &'static str {
    let containers = |name: &str| {
        let list = pod.get("spec").and_then(|spec| spec[name].as_array());
        list.into_iter().flatten()
    };
    let (mut any, mut all) = (false, true);
    for container in containers("containers").chain(containers("initContainers")) {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (request, limit) = (&resources["requests"][name], &resources["limits"][name]);
            any |= request.is_string() || limit.is_string();
            all &= limit.is_string() && (request.is_null() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
