//! Pods get their node (`binding`) and leave it when that does no harm (`eviction`).

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::selector::Labels;
use serin_objects::status::{Cause, Details};
use serin_objects::{Resource, Status, decode};

use super::input::Deletion;
use super::{input, remove};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::{Call, answer, key_of};
use crate::store::{Draft, Expect, WriteError};

/// How often a change is made again because the object changed meanwhile.
const ATTEMPTS: usize = 32;
/// How many evictions may wait for the pods to go, for one budget.
const WAITING: usize = 2000;

/// `POST /bindings` and `POST /pods/NAME/binding`: the pod's node.
pub(super) async fn bind(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let binding = decode::of_kind(("", "v1", "Binding"), input::body(call)?)?;
    let own = binding["metadata"]["name"].as_str().unwrap_or_default();
    let name = call.name.as_deref().unwrap_or(own);
    if own != name && !own.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        )));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        let error =
            serin_objects::FieldError::required(&serin_objects::Path::new("target.name"), "");
        return Err(Status::invalid_kind("", "Binding", name, &[error]));
    }
    let pods = server.resource("", "v1", "pods").ok_or_else(Status::no_such_path)?;
    let key = key_of(&call.namespace, name);
    for _ in 0..ATTEMPTS {
        let stored = server.inner.store.object("/pods", &key);
        let stored = stored.ok_or_else(|| Status::not_found(&pods, name))?;
        let mut pod = stored.value();
        may_be_bound(&pods, &binding, &pod, name)?;
        pod["spec"]["nodeName"] = node.into();
        for (key, value) in binding["metadata"]["annotations"].as_object().into_iter().flatten() {
            pod["metadata"]["annotations"][key] = value.clone();
        }
        scheduled(&mut pod);
        if input::is_dry_run(call) {
            return Ok(success(StatusCode::CREATED));
        }
        let expect = Expect::Revision(stored.revision());
        match server.inner.store.put("/pods", &key, expect, Draft::new(&pod)).await {
            Ok(_) => return Ok(success(StatusCode::CREATED)),
            Err(WriteError::Conflict(_)) => {}
            Err(WriteError::Store(error)) => return Err(Status::internal(error)),
        }
    }
    Err(Status::modified(&pods, name))
}

fn may_be_bound(pods: &Resource, binding: &Value, pod: &Value, name: &str) -> Result<(), Status> {
    let uid = binding["metadata"]["uid"].as_str().unwrap_or_default();
    let refused = |why: String| {
        let message =
            format!("Operation cannot be fulfilled on {}/binding {name:?}: {why}", pods.plural);
        let details = Details {
            name: name.to_owned(),
            kind: "pods/binding".to_owned(),
            ..Details::default()
        };
        Status::new(409, "Conflict", message).with(details)
    };
    if !uid.is_empty() && pod["metadata"]["uid"] != uid {
        let have = pod["metadata"]["uid"].as_str().unwrap_or_default();
        return Err(refused(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {have}"
        )));
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Err(refused(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    match pod["spec"]["nodeName"].as_str() {
        Some(node) if !node.is_empty() => {
            Err(refused(format!("pod {name} is already assigned to node {node:?}")))
        }
        _ => Ok(()),
    }
}

/// Notes that the pod has its node.
fn scheduled(pod: &mut Value) {
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|it| it["type"] != "PodScheduled");
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    }));
    pod["status"]["conditions"] = conditions.into();
}

/// `POST /pods/NAME/eviction`: a deletion that respects disruption budgets.
pub(super) async fn evict(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let eviction = decode::of_kind(("policy", "v1", "Eviction"), input::body(call)?)?;
    let name = call.object_name();
    let own = eviction["metadata"]["name"].as_str().unwrap_or_default();
    if own != name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let deletion = input::deletion_of(&eviction["deleteOptions"], call)?;
    let pod = server.inner.store.object("/pods", &call.key());
    let pod = pod.ok_or_else(|| Status::not_found(&call.resource, name))?.value();
    if !is_free(&pod) {
        take_from_budget(server, call, &pod, &deletion).await?;
    }
    remove::remove(server, &call.resource, &call.key(), &deletion).await?;
    Ok(success(StatusCode::CREATED))
}

/// Pods that do not run are in nobody's budget.
fn is_free(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"))
        || pod["metadata"]["deletionTimestamp"].is_string()
}

/// Takes one disruption from the pod's budget, if it has one and one is left.
async fn take_from_budget(
    server: &ApiServer,
    call: &Call,
    pod: &Value,
    deletion: &Deletion,
) -> Result<(), Status> {
    const STORAGE: &str = "policy/poddisruptionbudgets";
    let store = &server.inner.store;
    for _ in 0..ATTEMPTS {
        let (budgets, _) = store.list(STORAGE, &super::read::prefix(&call.namespace), None);
        let mine: Vec<_> = budgets
            .into_iter()
            .map(|(key, budget)| (key, budget.value(), budget.revision()))
            .filter(|(_, budget, _)| {
                Labels::from_object(&budget["spec"]["selector"])
                    .is_ok_and(|labels| labels.matches_object(pod))
            })
            .collect();
        let (key, mut budget, revision) = match mine.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            _ => {
                return Err(Status::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        if may_go_unready(pod, &budget) {
            return Ok(());
        }
        may_be_disrupted(&budget)?;
        let left = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or_default() - 1;
        budget["status"]["disruptionsAllowed"] = left.into();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        budget["status"]["disruptedPods"][call.object_name()] = now.into();
        if deletion.dry_run {
            return Ok(());
        }
        match store.put(STORAGE, &key, Expect::Revision(revision), Draft::new(&budget)).await {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict(_)) => {}
            Err(WriteError::Store(error)) => return Err(Status::internal(error)),
        }
    }
    Err(too_many("Too many concurrent requests for the same disruption budget", 10))
}

/// A pod that is not ready may go where the budget says so, or where the healthy ones are enough.
fn may_go_unready(pod: &Value, budget: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    if conditions.clone().any(|it| it["type"] == "Ready" && it["status"] == "True") {
        return false;
    }
    let status = |name: &str| budget["status"][name].as_i64().unwrap_or_default();
    match budget["spec"]["unhealthyPodEvictionPolicy"].as_str() {
        Some("AlwaysAllow") => true,
        _ => status("currentHealthy") >= status("desiredHealthy") && status("desiredHealthy") > 0,
    }
}

fn may_be_disrupted(budget: &Value) -> Result<(), Status> {
    const WHY: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let status = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    let cause = |message: String, after: u32| {
        let mut refusal = too_many(WHY, after);
        let cause = Cause { reason: "DisruptionBudget".into(), message, ..Cause::default() };
        if let Some(details) = &mut refusal.details {
            details.causes.push(cause);
        }
        refusal
    };
    if status("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or_default()
    {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(cause(why, 10));
    }
    let waiting = budget["status"]["disruptedPods"].as_object().map_or(0, serde_json::Map::len);
    let forbidden = |why: &str| {
        let message = format!("poddisruptionbudgets.policy {name:?} is forbidden: {why}");
        Status::new(403, "Forbidden", message)
    };
    if status("disruptionsAllowed") < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if waiting > WAITING {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if status("disruptionsAllowed") == 0 {
        return Err(cause(
            format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status("desiredHealthy"),
                status("currentHealthy")
            ),
            0,
        ));
    }
    Ok(())
}

fn too_many(message: &str, after: u32) -> Status {
    let details = Details { retry_after_seconds: after, ..Details::default() };
    Status::new(429, "TooManyRequests", message).with(details)
}

/// What a request without an answer of its own is answered with.
pub(super) fn success(code: StatusCode) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16(),
    });
    answer(code, "application/json", status.to_string().into())
}
