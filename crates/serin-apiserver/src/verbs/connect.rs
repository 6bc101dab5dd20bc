//! Streams to containers: logs, exec, attach and port forwarding, which the node's kubelet answers.

use form_urlencoded::Serializer;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use serin_objects::{FieldError, Path, Resource, Status};

use crate::admission::{Operation, Review};
use crate::http::Body;
use crate::local;
use crate::server::ApiServer;
use crate::server::aggregate::request_to;
use crate::server::request::Call;

/// How much of a kubelet's complaint is passed on.
const COMPLAINT: usize = 64 << 10;

/// Passes a request on to the kubelet. `what` is the subresource.
pub(super) async fn connect(
    server: &ApiServer,
    call: &Call,
    what: &str,
) -> Result<Response<Body>, Status> {
    let pod = server
        .inner
        .store
        .object("/pods", &call.key())
        .ok_or_else(|| Status::not_found(&call.resource, call.object_name()))?
        .value();
    let uri = uri(call, what, &pod)?;
    let warnings = if what == "log" { Vec::new() } else { admit(server, call, what).await? };
    if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        return unplaced(call, what);
    }
    let Some(kubelet) = &server.inner.kubelet else {
        let message = format!(
            "{what} of pods is not served: this server has no node, it stores pods and does not run them"
        );
        return Err(Status::new(501, "NotImplemented", message));
    };
    let request =
        request_to(uri, call.method.clone(), &call.user, &call.headers, call.extensions.clone());
    let response = local::ask(kubelet, request).await.map(Body::of);
    let response = if what == "log" { checked(call, response).await? } else { response };
    Ok(super::answer::with_warnings(response, &warnings))
}

/// A pod without a node has written nothing yet, and takes no streams.
fn unplaced(call: &Call, what: &str) -> Result<Response<Body>, Status> {
    if what == "log" {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let name = call.object_name();
    Err(Status::bad_request(format!("pod {name} does not have a host assigned")))
}

/// Streams are subject to admission as well.
async fn admit(server: &ApiServer, call: &Call, what: &str) -> Result<Vec<String>, Status> {
    let subresource = call.resource.subresource(what);
    let kind = subresource.map(|it| it.kind.as_str()).unwrap_or_default();
    let all = |name: &str| call.query.all(name).to_vec();
    let mut options = json!({"apiVersion": "v1", "kind": kind});
    if what == "portforward" {
        options["ports"] = json!(all("ports"));
    } else {
        for name in ["stdin", "stdout", "stderr", "tty"] {
            if call.query.flag(name) {
                options[name] = json!(true);
            }
        }
        if let Some(container) = call.query.text("container") {
            options["container"] = json!(container);
        }
        if what == "exec" {
            options["command"] = json!(all("command"));
        }
    }
    let review = Review {
        operation: Operation::Connect,
        resource: &call.resource,
        subresource: what,
        namespace: &call.namespace,
        name: call.object_name(),
        object: &options,
        old: &Value::Null,
        user: &call.user,
        dry_run: false,
    };
    server.validate(&review).await
}

/// The path at the kubelet.
fn uri(call: &Call, what: &str, pod: &Value) -> Result<String, Status> {
    let (namespace, name) = (&call.namespace, call.object_name());
    let mut query = Serializer::new(String::new());
    let mut copy = |from: &str, to: &str| {
        for value in call.query.all(from) {
            query.append_pair(to, value);
        }
    };
    let path = match what {
        "portforward" => {
            copy("ports", "port");
            copy("port", "port");
            format!("/portForward/{namespace}/{name}")
        }
        "log" => {
            check_log(call)?;
            for name in [
                "follow",
                "previous",
                "timestamps",
                "sinceSeconds",
                "sinceTime",
                "tailLines",
                "limitBytes",
                "stream",
            ] {
                copy(name, name);
            }
            format!("/containerLogs/{namespace}/{name}/{}", container(call, pod)?)
        }
        what => {
            copy("command", "command");
            for (from, to) in
                [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")]
            {
                if call.query.flag(from) {
                    query.append_pair(to, "1");
                }
            }
            format!("/{what}/{namespace}/{name}/{}", container(call, pod)?)
        }
    };
    let query = query.finish();
    Ok(if query.is_empty() { path } else { format!("{path}?{query}") })
}

/// The container that is meant: the one that is named, or the only one.
fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let all = pod["spec"][list].as_array().into_iter().flatten();
        all.filter_map(|it| it["name"].as_str()).map(str::to_owned).collect()
    };
    let name = call.object_name();
    let containers = names("containers");
    let all = [names("initContainers"), containers.clone(), names("ephemeralContainers")].concat();
    match call.query.text("container") {
        Some(wanted) if all.iter().any(|it| it == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")))
        }
        None => match containers.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(Status::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                all.join(" ")
            ))),
        },
    }
}

/// Limits of a log that make no sense.
fn check_log(call: &Call) -> Result<(), Status> {
    let mut errors = Vec::new();
    for (name, least, bound) in [
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
        ("limitBytes", 1, "must be greater than 0"),
    ] {
        if let Some(value) = call.query.number(name)?.filter(|value| *value < least) {
            errors.push(FieldError::invalid(&Path::new(name), value, bound));
        }
    }
    if call.query.text("sinceSeconds").is_some() && call.query.text("sinceTime").is_some() {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError::forbidden(&Path::new(""), why));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_kind("", "PodLogOptions", call.object_name(), &errors))
}

/// A log as text, or what the kubelet says against it.
async fn checked(call: &Call, response: Response<Body>) -> Result<Response<Body>, Status> {
    let code = response.status();
    if code.is_success() {
        return Ok(response);
    }
    let text = match Limited::new(response.into_body(), COMPLAINT).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(match code.as_u16() {
        400 => Status::bad_request(text),
        500 => Status::internal(text),
        404 => missing(&call.resource, call.object_name()),
        code => Status::new(code, "", text),
    })
}

fn missing(resource: &Resource, name: &str) -> Status {
    let what = format!("{}/log", resource.group_resource());
    Status::new(
        404,
        "NotFound",
        format!("the server could not find the requested resource ( {what} {name})"),
    )
}
