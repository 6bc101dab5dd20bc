//! Autoscalers in `autoscaling/v1`, which knows the CPU alone, and in `autoscaling/v2`.
//!
//! What v1 has no fields for travels in annotations, as Kubernetes does it.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

fn take(object: &mut Value, part: &str, field: &str) -> Option<Value> {
    object.get_mut(part)?.as_object_mut()?.remove(field).filter(|it| !it.is_null())
}

fn annotation(object: &mut Value, name: &str, value: &Value) {
    object["metadata"]["annotations"][name] = json!(value.to_string());
}

fn take_annotation(object: &mut Value, name: &str) -> Option<Value> {
    let annotations = object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    let text = annotations.remove(name)?;
    if annotations.is_empty() {
        object.get_mut("metadata")?.as_object_mut()?.remove("annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && metric["resource"]["target"]["averageUtilization"].is_number()
}

pub(super) fn to_v1(object: &mut Value) {
    if let Some(Value::Array(mut metrics)) = take(object, "spec", "metrics") {
        if let Some(place) = metrics.iter().position(is_cpu_utilization) {
            let cpu = metrics.remove(place);
            object["spec"]["targetCPUUtilizationPercentage"] =
                cpu["resource"]["target"]["averageUtilization"].clone();
        }
        if !metrics.is_empty() {
            annotation(object, METRICS, &Value::Array(metrics));
        }
    }
    if let Some(behavior) = take(object, "spec", "behavior") {
        annotation(object, BEHAVIOR, &behavior);
    }
    if let Some(Value::Array(current)) = take(object, "status", "currentMetrics") {
        let cpu =
            current.iter().find(|it| it["type"] == "Resource" && it["resource"]["name"] == "cpu");
        let used = cpu.map(|it| it["resource"]["current"]["averageUtilization"].clone());
        if let Some(used) = used.filter(Value::is_number) {
            object["status"]["currentCPUUtilizationPercentage"] = used;
        }
        if !current.is_empty() {
            annotation(object, CURRENT, &Value::Array(current));
        }
    }
    if let Some(conditions) = take(object, "status", "conditions") {
        annotation(object, CONDITIONS, &conditions);
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.entry("currentReplicas").or_insert(json!(0));
    }
}

pub(super) fn to_v2(object: &mut Value) {
    let mut metrics = match take_annotation(object, METRICS) {
        Some(Value::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    if let Some(percentage) = take(object, "spec", "targetCPUUtilizationPercentage") {
        let cpu = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}}});
        metrics.insert(0, cpu);
    }
    if !metrics.is_empty() {
        object["spec"]["metrics"] = Value::Array(metrics);
    }
    if let Some(behavior) = take_annotation(object, BEHAVIOR) {
        object["spec"]["behavior"] = behavior;
    }
    let current = take_annotation(object, CURRENT);
    let used = take(object, "status", "currentCPUUtilizationPercentage");
    let conditions = take_annotation(object, CONDITIONS);
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    status_to_v2(status, current, used);
    if let Some(conditions) = conditions {
        status.insert("conditions".to_owned(), conditions);
    }
}

fn status_to_v2(status: &mut Map<String, Value>, current: Option<Value>, used: Option<Value>) {
    let current = current.or_else(|| {
        let used = used?;
        Some(json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}}]))
    });
    status.insert("currentMetrics".to_owned(), current.unwrap_or(Value::Null));
    // The older version always says how many there are, this one where there are some.
    if status.get("currentReplicas") == Some(&json!(0)) {
        status.remove("currentReplicas");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way_through_the_older_version() {
        let v2 = json!({
            "metadata": {"name": "web"},
            "spec": {"maxReplicas": 3, "behavior": {"scaleUp": {}}, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            ]},
            "status": {"currentReplicas": 1, "desiredReplicas": 0, "currentMetrics": null},
        });
        let mut object = v2.clone();
        to_v1(&mut object);
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 50);
        assert!(object["spec"].get("metrics").is_none());
        to_v2(&mut object);
        assert_eq!(object, v2);
        let mut new = json!({"spec": {}, "status": {"currentReplicas": 0, "desiredReplicas": 0}});
        to_v2(&mut new);
        assert_eq!(new["status"], json!({"currentMetrics": null, "desiredReplicas": 0}));
    }
}
