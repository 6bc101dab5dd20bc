//! Pod Security: the standards that the labels of a namespace set for its pods.

use serde_json::Value;
use serin_objects::Status;
use serin_objects::pod_security::{self, Policy};

use super::read::prefix;
use crate::access::audit;
use crate::server::ApiServer;
use crate::server::request::Call;

/// Judges an object that is about to be stored: the warnings for its author.
///
/// # Errors
/// The pod does what it may not do here.
pub(super) fn admit(
    server: &ApiServer,
    call: &Call,
    object: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let (resource, store) = (&call.resource, &server.inner.store);
    if !matches!(call.subresource.as_deref(), None | Some("ephemeralcontainers")) {
        return Ok(Vec::new());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if resource.kind == "Namespace" && resource.group.is_empty() {
        let Some(standard) = old.and_then(|old| pod_security::tightened(old, object)) else {
            return Ok(Vec::new());
        };
        let (pods, _) = store.list("/pods", &prefix(name), None);
        let pods: Vec<Value> = pods.iter().map(|(_, pod)| pod.value()).collect();
        return Ok(pod_security::existing(standard, name, pods.iter()));
    }
    if !pod_security::concerns(resource) {
        return Ok(Vec::new());
    }
    let Some(namespace) = store.object("/namespaces", &call.namespace) else {
        return Ok(Vec::new());
    };
    let judgement = Policy::of(&namespace.value()).judge(resource, object, old);
    for (name, text) in &judgement.notes {
        audit::annotate(name, text);
    }
    match judgement.refusal {
        Some(why) => Err(Status::forbidden(resource, name, &why)),
        None => Ok(judgement.warnings),
    }
}
