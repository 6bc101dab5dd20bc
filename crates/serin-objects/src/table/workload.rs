//! Rows of what runs pods, and of what scales them.

use serde_json::{Value, json};

use super::{View, since};
use crate::time;

const TEMPLATE: &str = "spec/template/spec";

pub(super) fn row(kind: &str, view: &View<'_>) -> Vec<Value> {
    let mut row = vec![view.name()];
    let number = |path: &str| json!(view.number(path));
    let ratio = |path: &str, of: &str| json!(format!("{}/{}", view.number(path), view.number(of)));
    match kind {
        "Deployment" => {
            row.extend([
                ratio("status/readyReplicas", "spec/replicas"),
                number("status/updatedReplicas"),
                number("status/availableReplicas"),
                view.age(),
            ]);
            row.extend(view.containers(TEMPLATE));
            row.push(view.selector("spec/selector"));
        }
        "ReplicaSet" | "ReplicationController" => {
            row.extend([
                number("spec/replicas"),
                number("status/replicas"),
                number("status/readyReplicas"),
                view.age(),
            ]);
            row.extend(view.containers(TEMPLATE));
            row.push(if kind == "ReplicaSet" {
                view.selector("spec/selector")
            } else {
                json!(view.pairs("spec/selector"))
            });
        }
        "StatefulSet" => {
            row.extend([ratio("status/readyReplicas", "spec/replicas"), view.age()]);
            row.extend(view.containers(TEMPLATE));
        }
        "DaemonSet" => {
            row.extend([
                number("status/desiredNumberScheduled"),
                number("status/currentNumberScheduled"),
                number("status/numberReady"),
                number("status/updatedNumberScheduled"),
                number("status/numberAvailable"),
                json!(view.pairs("spec/template/spec/nodeSelector")),
                view.age(),
            ]);
            row.extend(view.containers(TEMPLATE));
            row.push(view.selector("spec/selector"));
        }
        "Job" => row.extend(job(view)),
        "CronJob" => row.extend(cron_job(view)),
        "PodTemplate" => {
            row.extend(view.containers("template/spec"));
            row.push(json!(view.pairs("template/metadata/labels")));
        }
        "ControllerRevision" => row.extend(revision(view)),
        _ => row.extend(autoscaler(view)),
    }
    row
}

fn job(view: &View<'_>) -> Vec<Value> {
    let has = |name: &str| {
        view.items("status/conditions")
            .iter()
            .any(|it| it["type"] == name && it["status"] == "True")
    };
    let status = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if view.at("metadata/deletionTimestamp").is_string() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let succeeded = view.number("status/succeeded");
    let completions = match (view.at("spec/completions").as_i64(), view.number("spec/parallelism"))
    {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    };
    let at = |path: &str| view.at(path).as_str().and_then(time::parse);
    let duration = match (at("status/startTime"), at("status/completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => time::ago(start, end.unwrap_or(view.now)),
    };
    let mut row = vec![json!(status), json!(completions), json!(duration), view.age()];
    row.extend(view.containers(TEMPLATE));
    row.push(view.selector("spec/selector"));
    row
}

fn cron_job(view: &View<'_>) -> Vec<Value> {
    let last = match view.at("status/lastScheduleTime") {
        Value::Null => "<none>".to_owned(),
        time => since(time, view.now),
    };
    let suspended = match view.at("spec/suspend").as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let mut row = vec![
        json!(view.text("spec/schedule")),
        json!(view.or_none("spec/timeZone")),
        json!(suspended),
        json!(view.items("status/active").len()),
        json!(last),
        view.age(),
    ];
    row.extend(view.containers("spec/jobTemplate/spec/template/spec"));
    row.push(view.selector("spec/jobTemplate/spec/selector"));
    row
}

fn revision(view: &View<'_>) -> Vec<Value> {
    let owners = view.items("metadata/ownerReferences").iter();
    let controller = owners.clone().find(|it| it["controller"] == true).map_or_else(
        || "<none>".to_owned(),
        |it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            let api_version = text("apiVersion");
            let (group, _) = crate::catalog::split_api_version(&api_version);
            let kind = crate::status::qualified(&text("kind").to_lowercase(), group);
            format!("{kind}/{}", text("name"))
        },
    );
    vec![json!(controller), json!(view.number("revision")), view.age()]
}

fn autoscaler(view: &View<'_>) -> Vec<Value> {
    let reference = format!(
        "{}/{}",
        view.text("spec/scaleTargetRef/kind"),
        view.text("spec/scaleTargetRef/name")
    );
    let least = view.at("spec/minReplicas").as_i64();
    vec![
        json!(reference),
        json!(targets(view)),
        json!(least.map_or_else(|| "<unset>".to_owned(), |it| it.to_string())),
        json!(view.number("spec/maxReplicas")),
        json!(view.number("status/currentReplicas")),
        view.age(),
    ]
}

/// What an autoscaler aims at, and where it is.
fn targets(view: &View<'_>) -> String {
    let specs = view.items("spec/metrics");
    let current = view.items("status/currentMetrics");
    let list: Vec<String> = specs
        .iter()
        .enumerate()
        .filter_map(|(index, spec)| target(spec, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    if list.is_empty() {
        return "<none>".to_owned();
    }
    let shown = list.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
    if list.len() > 2 { format!("{shown} + {} more...", list.len() - 2) } else { shown }
}

fn target(spec: &Value, status: &Value) -> Option<String> {
    let (field, is_resource) = match spec["type"].as_str()? {
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "External" => ("external", false),
        _ => return None,
    };
    let (wanted, have) = (&spec[field]["target"], &status[field]["current"]);
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => format!("{number}%"),
        _ => "<unknown>".to_owned(),
    };
    if is_resource {
        let name = spec[field]["name"].as_str().unwrap_or_default();
        if wanted["averageValue"].is_string() {
            let (have, wanted) = (shown(&have["averageValue"]), shown(&wanted["averageValue"]));
            return Some(format!("{name}: {have}/{wanted}"));
        }
        let have = shown(&have["averageUtilization"]);
        let wanted = match &wanted["averageUtilization"] {
            Value::Null => "<auto>".to_owned(),
            other => shown(other),
        };
        return Some(format!("{name}: {have}/{wanted}"));
    }
    if wanted["averageValue"].is_string() {
        let (have, wanted) = (shown(&have["averageValue"]), shown(&wanted["averageValue"]));
        let average = if field == "pods" { "" } else { " (avg)" };
        return Some(format!("{have}/{wanted}{average}"));
    }
    Some(format!("{}/{}", shown(&have["value"]), shown(&wanted["value"])))
}
