//! The row of a pod.

use serde_json::{Value, json};

use super::{View, since};

/// What the containers of a pod add up to.
struct Summary<'v> {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<&'v str>,
}

/// When a container ended the last time.
fn ended(status: &Value) -> Option<&str> {
    status.pointer("/lastState/terminated/finishedAt")?.as_str()
}

fn has_condition(view: &View<'_>, name: &str) -> bool {
    view.items("status/conditions").iter().any(|it| it["type"] == name && it["status"] == "True")
}

fn is_restartable(view: &View<'_>, name: &Value) -> bool {
    view.items("spec/initContainers")
        .iter()
        .any(|it| it["name"] == *name && it["restartPolicy"] == "Always")
}

/// How a container ended, in a word.
fn end_of(terminated: &Value) -> String {
    match (terminated["reason"].as_str().unwrap_or_default(), terminated["signal"].as_i64()) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        (reason, _) => reason.to_owned(),
    }
}

/// Goes through the init containers. True if one is not done yet.
fn initialise<'v>(
    view: &'v View<'_>,
    summary: &mut Summary<'v>,
    sidecars: &mut Summary<'v>,
) -> bool {
    for (index, status) in view.items("status/initContainerStatuses").iter().enumerate() {
        let restarts = status["restartCount"].as_i64().unwrap_or(0);
        let restartable = is_restartable(view, &status["name"]);
        summary.restarts += restarts;
        summary.last_restart = summary.last_restart.max(ended(status));
        if restartable {
            sidecars.restarts += restarts;
            sidecars.last_restart = sidecars.last_restart.max(ended(status));
        }
        let terminated = &status["state"]["terminated"];
        let waiting = status["state"]["waiting"]["reason"].as_str().unwrap_or_default();
        if terminated.is_object() && terminated["exitCode"].as_i64().unwrap_or(0) == 0 {
            continue;
        }
        if restartable && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", end_of(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", view.items("spec/initContainers").len())
        };
        return true;
    }
    false
}

/// Goes through the containers, the last first.
fn run<'v>(view: &'v View<'_>, summary: &mut Summary<'v>) {
    let mut running = false;
    for status in view.items("status/containerStatuses").iter().rev() {
        summary.restarts += status["restartCount"].as_i64().unwrap_or(0);
        summary.last_restart = summary.last_restart.max(ended(status));
        let terminated = &status["state"]["terminated"];
        let waiting = status["state"]["waiting"]["reason"].as_str().unwrap_or_default();
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if terminated.is_object() {
            summary.reason = end_of(terminated);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let is_ready = has_condition(view, "Ready");
        summary.reason = if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn summarise<'v>(view: &'v View<'_>) -> Summary<'v> {
    let phase = view.text("status/phase");
    let given = view.text("status/reason");
    let reason = if given.is_empty() { phase } else { given };
    let empty = |reason: &str| Summary {
        reason: reason.to_owned(),
        ready: 0,
        restarts: 0,
        last_restart: None,
    };
    let mut summary = empty(reason);
    let gated = view
        .items("status/conditions")
        .iter()
        .any(|it| it["type"] == "PodScheduled" && it["reason"] == "SchedulingGated");
    if gated {
        summary.reason = "SchedulingGated".to_owned();
    }
    let mut sidecars = empty("");
    let initialising = initialise(view, &mut summary, &mut sidecars);
    if !initialising || has_condition(view, "Initialized") {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        run(view, &mut summary);
    }
    if view.at("metadata/deletionTimestamp").is_string() {
        if given == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".to_owned();
        }
    }
    summary
}

pub(super) fn row(view: &View<'_>) -> Vec<Value> {
    let summary = summarise(view);
    let sidecars = view.items("spec/initContainers").iter();
    let total = view.items("spec/containers").len()
        + sidecars.filter(|it| it["restartPolicy"] == "Always").count();
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, since(&json!(last), view.now))
        }
        _ => summary.restarts.to_string(),
    };
    let gates = view.items("spec/readinessGates");
    let passed = gates
        .iter()
        .filter(|gate| has_condition(view, gate["conditionType"].as_str().unwrap_or_default()))
        .count();
    let gates =
        if gates.is_empty() { "<none>".to_owned() } else { format!("{passed}/{}", gates.len()) };
    let ips = view.items("status/podIPs");
    let ip = ips.first().map_or_else(
        || view.or_none("status/podIP"),
        |it| it["ip"].as_str().unwrap_or("<none>").to_owned(),
    );
    vec![
        view.name(),
        json!(format!("{}/{total}", summary.ready)),
        json!(summary.reason),
        json!(restarts),
        view.age(),
        json!(ip),
        json!(view.or_none("spec/nodeName")),
        json!(view.or_none("status/nominatedNodeName")),
        json!(gates),
    ]
}
