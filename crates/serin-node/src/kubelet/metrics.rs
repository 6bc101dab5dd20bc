//! The group `metrics.k8s.io/v1beta1`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::{Answer, Query};
use crate::node::Shared;
use crate::pod::identity;

const VERSION: &str = "metrics.k8s.io/v1beta1";

/// Answers a request; what is served is told before there is a node, too.
pub(super) async fn answer(shared: Option<&Arc<Shared>>, request: &Request<()>) -> Answer {
    let path = request.uri().path().trim_matches('/').to_owned();
    let rest = path.strip_prefix("apis/").and_then(|rest| rest.strip_prefix(VERSION));
    let parts: Vec<&str> = rest.unwrap_or("?").split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return object(StatusCode::OK, &resources());
    }
    let Some(shared) = shared else { return super::not_started() };
    let query = Query::of(request);
    let mut params = ListParams::default();
    if let Some(labels) = query.text("labelSelector") {
        params = params.labels(labels);
    }
    if let Some(fields) = query.text("fieldSelector") {
        params = params.fields(fields);
    }
    let found = match parts.as_slice() {
        ["nodes"] => nodes(shared, &params).await,
        ["nodes", name] => one(nodes(shared, &ListParams::default()).await, name, "nodes"),
        ["pods"] => pods(shared, None, &params).await,
        ["namespaces", namespace, "pods"] => pods(shared, Some(namespace), &params).await,
        ["namespaces", namespace, "pods", name] => {
            one(pods(shared, Some(namespace), &ListParams::default()).await, name, "pods")
        }
        _ => Err(status(404, "NotFound", "the server could not find the requested resource")),
    };
    match found {
        Ok(value) => object(StatusCode::OK, &value),
        Err(status) => {
            let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            let code = code.and_then(|code| StatusCode::from_u16(code).ok());
            object(code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &status)
        }
    }
}

fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        json!({
            "name": name, "singularName": "", "namespaced": namespaced, "kind": kind,
            "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn object(code: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    *answer.status_mut() = code;
    let kind = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// One of a list.
fn one(list: Result<Value, Value>, name: &str, resource: &str) -> Result<Value, Value> {
    let items = list?["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().find(|item| item["metadata"]["name"] == name).ok_or_else(|| {
        let message = format!("{resource}.metrics.k8s.io \"{name}\" not found");
        status(404, "NotFound", &message)
    })
}

fn list(kind: &str, items: Vec<Value>) -> Value {
    json!({"kind": kind, "apiVersion": VERSION, "metadata": {}, "items": items})
}

fn failed(error: &kube::Error) -> Value {
    match error {
        kube::Error::Api(told) => status(told.code, &told.reason, &told.message),
        other => status(500, "InternalError", &other.to_string()),
    }
}

/// Quantities as metrics-server writes them.
fn usage(cpu: u64, memory: u64) -> Value {
    json!({"cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory / 1024)})
}

async fn pods(
    shared: &Shared,
    namespace: Option<&str>,
    params: &ListParams,
) -> Result<Value, Value> {
    let client = shared.settings.client.clone();
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let all = api.list(params).await.map_err(|error| failed(&error))?;
    Ok(list("PodMetricsList", all.items.iter().filter_map(|pod| of_pod(shared, pod)).collect()))
}

/// What a pod uses; nothing where one of its containers was not looked at twice yet.
fn of_pod(shared: &Shared, pod: &Pod) -> Option<Value> {
    let (namespace, name, uid) = identity(pod);
    let mut window = Duration::ZERO;
    let mut containers = Vec::new();
    for container in shared.running.containers(uid) {
        let rate = shared.usage.rate(uid, &container)?;
        window = window.max(rate.window);
        containers.push(json!({"name": container, "usage": usage(rate.cpu, rate.memory)}));
    }
    if containers.is_empty() {
        return None;
    }
    Some(json!({
        "kind": "PodMetrics",
        "apiVersion": VERSION,
        "metadata": {
            "name": name, "namespace": namespace, "labels": pod.metadata.labels,
            "creationTimestamp": now(),
        },
        "timestamp": now(),
        "window": format!("{}s", window.as_secs()),
        "containers": containers,
    }))
}

async fn nodes(shared: &Shared, params: &ListParams) -> Result<Value, Value> {
    let api: Api<Node> = Api::all(shared.settings.client.clone());
    let all = api.list(params).await.map_err(|error| failed(&error))?;
    let (mut cpu, mut memory) = (0, 0);
    for (pod, containers) in shared.running.all() {
        let uid = pod.pod.metadata.uid.clone().unwrap_or_default();
        for rate in containers.keys().filter_map(|name| shared.usage.rate(&uid, name)) {
            cpu += rate.cpu;
            memory += rate.memory;
        }
    }
    let own = all
        .items
        .iter()
        .filter(|node| node.metadata.name.as_deref() == Some(shared.settings.name.as_str()));
    let items = own.map(|node| {
        json!({
            "kind": "NodeMetrics",
            "apiVersion": VERSION,
            "metadata": {
                "name": node.metadata.name, "labels": node.metadata.labels,
                "creationTimestamp": now(),
            },
            "timestamp": now(),
            "window": "15s",
            "usage": usage(cpu, memory),
        })
    });
    Ok(list("NodeMetricsList", items.collect()))
}

fn now() -> String {
    format!("{:.0}", Timestamp::now())
}
