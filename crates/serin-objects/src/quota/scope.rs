//! Which pods a quota is for.

use serde_json::Value;

/// A condition on pods.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    scope: String,
    operator: String,
    values: Vec<String>,
}

/// The conditions of a quota's spec; all of them have to hold.
pub(super) fn read(spec: &Value) -> Vec<Selector> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let plain = list(&spec["scopes"]).into_iter().map(|it| Selector {
        scope: text(&it),
        operator: "Exists".to_owned(),
        values: Vec::new(),
    });
    let selected =
        list(&spec["scopeSelector"]["matchExpressions"]).into_iter().map(|it| Selector {
            scope: text(&it["scopeName"]),
            operator: text(&it["operator"]),
            values: list(&it["values"]).iter().map(text).collect(),
        });
    plain.chain(selected).collect()
}

impl Selector {
    /// Whether it holds of a pod.
    pub(super) fn matches(&self, pod: &Value) -> bool {
        let spec = &pod["spec"];
        let best_effort = || {
            pod.as_object().is_some_and(|pod| crate::validate::pod::quality(pod) == "BestEffort")
        };
        match self.scope.as_str() {
            "Terminating" => spec["activeDeadlineSeconds"].is_number(),
            "NotTerminating" => !spec["activeDeadlineSeconds"].is_number(),
            "BestEffort" => best_effort(),
            "NotBestEffort" => !best_effort(),
            "PriorityClass" => self.holds(spec["priorityClassName"].as_str().unwrap_or_default()),
            "CrossNamespacePodAffinity" => crosses(spec),
            _ => false,
        }
    }

    fn holds(&self, value: &str) -> bool {
        let among = self.values.iter().any(|it| it == value);
        match self.operator.as_str() {
            "In" => among,
            "NotIn" => !among,
            "Exists" => !value.is_empty(),
            "DoesNotExist" => value.is_empty(),
            _ => false,
        }
    }
}

/// Whether a pod wants to be near to, or far from, pods of other namespaces.
fn crosses(spec: &Value) -> bool {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let elsewhere = |term: &Value| {
        !list(&term["namespaces"]).is_empty() || term["namespaceSelector"].is_object()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &spec["affinity"][*kind];
        list(&affinity[REQUIRED]).iter().any(elsewhere)
            || list(&affinity[PREFERRED]).iter().any(|it| elsewhere(&it["podAffinityTerm"]))
    })
}
