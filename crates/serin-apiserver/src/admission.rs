//! Admission: who may change or refuse a write after it was permitted and before it is stored.
//!
//! Plug-ins of this process answer first, in the order in which they were given; then webhooks, and between changing and
//! judging, policies. Each may change the object before it is checked, and refuse it after.

mod authorizer;
pub(crate) mod call;
mod matching;
pub(crate) mod policies;
pub(crate) mod webhooks;

use serde_json::{Value, json};
use serin_objects::{Resource, Status, decode};

use crate::access::User;
use crate::server::ApiServer;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
    /// Someone opens a stream to it: `exec`, `attach`, `portforward`, `proxy`.
    Connect,
}

impl Operation {
    /// The name, as configurations of webhooks spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A write that asks for admission.
#[derive(Clone, Copy, Debug)]
pub struct Review<'r> {
    /// What is done.
    pub operation: Operation,
    /// The resource that is written.
    pub resource: &'r Resource,
    /// The part of the object that is written: `status`, `scale`; empty for the object itself.
    pub subresource: &'r str,
    /// The namespace; empty outside of namespaces.
    pub namespace: &'r str,
    /// The object's name.
    pub name: &'r str,
    /// The object as it would be; null for a deletion.
    pub object: &'r Value,
    /// The object as it is; null for a new one.
    pub old: &'r Value,
    /// Who writes.
    pub user: &'r User,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

/// What a plug-in did to an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admitted {
    /// The object, where it was changed.
    pub object: Option<Value>,
    /// What its author should hear.
    pub warnings: Vec<String>,
}

/// An admission plug-in of this process. A refusal reads as that of a webhook of its name.
pub trait Admission: Send + Sync {
    /// The name: `validation.istio.io`.
    fn name(&self) -> &str;

    /// Changes an object before it is checked.
    ///
    /// # Errors
    /// Why the write is refused.
    fn mutate(&self, _review: &Review<'_>) -> Result<Admitted, String> {
        Ok(Admitted::default())
    }

    /// Judges an object that is complete; the answer is what its author should hear.
    ///
    /// # Errors
    /// Why the write is refused.
    fn validate(&self, _review: &Review<'_>) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// The refusal of a plug-in or webhook.
pub(crate) fn denied(name: &str, why: &str) -> Status {
    let message = if why.is_empty() {
        format!("admission webhook {name:?} denied the request without explanation")
    } else {
        format!("admission webhook {name:?} denied the request: {why}")
    };
    Status::new(400, "", message)
}

/// What webhooks and expressions are told of a write besides its objects. `resource` is the one as which they see it.
fn facts(review: &Review<'_>, resource: &Resource) -> Value {
    let kind = |resource: &Resource| match resource.subresource(review.subresource) {
        Some(part) if !part.version.is_empty() => {
            json!({"group": part.group, "version": part.version, "kind": part.kind})
        }
        _ => json!({"group": resource.group, "version": resource.version, "kind": resource.kind}),
    };
    let names = |resource: &Resource| json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
    let mut out = json!({
        "uid": "",
        "kind": kind(resource),
        "resource": names(resource),
        "requestKind": kind(review.resource),
        "requestResource": names(review.resource),
        "operation": review.operation.name(),
        "userInfo": review.user.to_value(),
        "dryRun": review.dry_run,
        "object": null,
        "oldObject": null,
    });
    for (field, text) in [
        ("subResource", review.subresource),
        ("requestSubResource", review.subresource),
        ("name", review.name),
        ("namespace", review.namespace),
    ] {
        if !text.is_empty() {
            out[field] = text.into();
        }
    }
    let options = match review.operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return out,
    };
    out["options"] = json!({"kind": options, "apiVersion": "meta.k8s.io/v1"});
    if review.dry_run {
        out["options"]["dryRun"] = json!(["All"]);
    }
    out
}

impl ApiServer {
    /// Lets plug-ins and webhooks change an object; the warnings are for its author.
    pub(crate) async fn mutate(
        &self,
        review: &Review<'_>,
        object: &mut Value,
    ) -> Result<Vec<String>, Status> {
        let mut warnings = Vec::new();
        if review.user.is_the_server() {
            return Ok(warnings);
        }
        for plugin in &self.inner.admission {
            let review = Review { object, ..*review };
            let admitted = plugin.mutate(&review).map_err(|why| denied(plugin.name(), &why))?;
            warnings.extend(admitted.warnings);
            if let Some(changed) = admitted.object.filter(|_| !object.is_null()) {
                // What was added has default values and an order of its own, too.
                *object = decode::again(review.resource, changed)?;
            }
        }
        if !webhooks::is_exempt(review) {
            warnings.extend(webhooks::mutate(self, review, object).await?);
        }
        Ok(warnings)
    }

    /// Lets plug-ins, policies and webhooks refuse a write; the warnings are for its author.
    pub(crate) async fn validate(&self, review: &Review<'_>) -> Result<Vec<String>, Status> {
        let mut warnings = Vec::new();
        if review.user.is_the_server() {
            return Ok(warnings);
        }
        for plugin in &self.inner.admission {
            warnings.extend(plugin.validate(review).map_err(|why| denied(plugin.name(), &why))?);
        }
        if !webhooks::is_exempt(review) {
            warnings.extend(policies::validate(self, review)?);
            warnings.extend(webhooks::validate(self, review).await?);
        }
        Ok(warnings)
    }
}
