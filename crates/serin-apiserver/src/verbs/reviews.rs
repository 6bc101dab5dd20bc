//! Questions about users and their rights, which are answered and not stored.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use serin_objects::{FieldError, Path, Prepared, Status, decode};

use super::{answer as answers, input, tokens};
use crate::access::User;
use crate::access::attributes::Attributes;
use crate::access::rbac::{Decision, Rule};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::Call;

pub(super) fn answer(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let resource = &call.resource;
    let Prepared { mut object, warnings } =
        decode::object(resource, input::body(call)?, input::validation(call)?)?;
    object["status"] = match resource.kind.as_str() {
        "SelfSubjectAccessReview" => review(server, call, &object, &call.user)?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let user = subject(call, &object)?;
            review(server, call, &object, &user)?
        }
        "SelfSubjectRulesReview" => {
            let namespace = object["spec"]["namespace"].as_str().unwrap_or_default();
            if namespace.is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            rules(&server.inner.rbac.rules(&call.user, namespace))
        }
        "TokenReview" => tokens::review(server, &object)?,
        "SelfSubjectReview" => json!({"userInfo": call.user.to_value()}),
        kind => {
            return Err(Status::new(501, "NotImplemented", format!("{kind} is not served")));
        }
    };
    Ok(answers::with_warnings(answers::one(call, StatusCode::CREATED, &object), &warnings))
}

/// The user of whom is asked.
fn subject(call: &Call, object: &Value) -> Result<User, Status> {
    let spec = &object["spec"];
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |name: &str| spec[name].as_str().unwrap_or_default().to_owned();
    let extra = spec["extra"].as_object().into_iter().flatten();
    let user = User {
        name: text("user"),
        uid: text("uid"),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    };
    let mut errors = Vec::new();
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&Path::new("spec.user"), "", why));
    }
    if call.resource.namespaced
        && spec["resourceAttributes"]["namespace"].as_str().unwrap_or_default() != call.namespace
    {
        let why = "must match metadata.namespace";
        let path = Path::new("spec.resourceAttributes.namespace");
        let found = spec["resourceAttributes"]["namespace"].clone();
        errors.push(FieldError::invalid(&path, found, why));
    }
    if errors.is_empty() { Ok(user) } else { Err(Status::invalid(&call.resource, "", &errors)) }
}

/// Whether a user may do what is asked.
fn review(server: &ApiServer, call: &Call, object: &Value, user: &User) -> Result<Value, Status> {
    let (resource, path) =
        (&object["spec"]["resourceAttributes"], &object["spec"]["nonResourceAttributes"]);
    let of = |value: &'_ Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let problem = match (resource.is_object(), path.is_object()) {
        (true, true) => "cannot be specified in combination with resourceAttributes",
        (false, false) => {
            "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        }
        _ => "",
    };
    if !problem.is_empty() {
        let (field, value) = if resource.is_object() {
            ("spec.nonResourceAttributes", path.clone())
        } else {
            ("spec.resourceAttributes", Value::Null)
        };
        let error = FieldError::invalid(&Path::new(field), value, problem);
        return Err(Status::invalid(&call.resource, "", &[error]));
    }
    let decision = if path.is_object() {
        let (verb, path) = (of(path, "verb"), of(path, "path"));
        server.inner.rbac.decide(user, &Attributes::of_path(&verb, &path))
    } else {
        let [verb, namespace, group, plural, subresource, name] =
            ["verb", "namespace", "group", "resource", "subresource", "name"]
                .map(|field| of(resource, field));
        let what = Attributes {
            verb: &verb,
            namespace: &namespace,
            group: &group,
            resource: &plural,
            subresource: &subresource,
            name: &name,
            path: None,
        };
        server.inner.rbac.decide(user, &what)
    };
    let (allowed, reason) = match decision {
        Decision::Allowed(reason) => (true, reason),
        Decision::Refused(reason) => (false, reason),
    };
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    Ok(status)
}

/// The rules of a user, those of resources and those of paths apart.
fn rules(all: &[Rule]) -> Value {
    let of = |is_path: bool| -> Vec<Value> {
        let some = all.iter().filter(|rule| rule.non_resource_urls.is_empty() != is_path);
        some.map(|rule| json!(rule)).collect()
    };
    json!({"resourceRules": of(false), "nonResourceRules": of(true), "incomplete": false})
}
