//! What went wrong with a request: Kubernetes' `Status` object and the texts that clients match on.

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::fields::FieldError;
use crate::go::quote;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// The reason that programs look at: `NotFound`.
    pub reason: String,
    /// The text for people.
    pub message: String,
    /// More about it.
    pub details: Option<Box<Details>>,
}

/// What a failure is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The group of the resource.
    pub group: String,
    /// The kind, or the plural of the resource.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Single things that are wrong.
    pub causes: Vec<Cause>,
    /// When to try again.
    pub retry_after_seconds: u32,
}

/// A single thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The reason that programs look at: `FieldValueRequired`.
    pub reason: String,
    /// The text for people.
    pub message: String,
    /// The field.
    pub field: String,
}

/// `plural.group`, or the plural alone in the core group.
pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl Status {
    /// A failure of any kind.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None }
    }

    /// This status with details.
    #[must_use]
    pub fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    fn about(resource: &Resource, name: &str) -> Details {
        Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            ..Details::default()
        }
    }

    /// There is no such object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {} not found", resource.group_resource(), quote(name));
        Self::new(404, "NotFound", message).with(Self::about(resource, name))
    }

    /// There is no such path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .with(Details::default())
    }

    /// There is such an object already.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {} already exists", resource.group_resource(), quote(name));
        Self::new(409, "AlreadyExists", message).with(Self::about(resource, name))
    }

    /// The object is not as the request expects it.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {}: {why}",
            resource.group_resource(),
            quote(name)
        );
        Self::new(409, "Conflict", message).with(Self::about(resource, name))
    }

    /// The object is not the one that the request means, which Kubernetes tells by its kind.
    pub fn conflict_kind(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = qualified(&resource.kind, &resource.group);
        let message = format!("Operation cannot be fulfilled on {kind} {}: {why}", quote(name));
        let details = Details { kind: resource.kind.clone(), ..Self::about(resource, name) };
        Self::new(409, "Conflict", message).with(details)
    }

    /// The object was changed since the client read it.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, WHY)
    }

    /// The object has errors.
    pub fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_kind(&resource.group, &resource.kind, name, errors)
    }

    /// An object of a kind has errors.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let all = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {} is invalid: {all}", qualified(kind, group), quote(name));
        let details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: errors.iter().map(FieldError::cause).collect(),
            ..Details::default()
        };
        Self::new(422, "Invalid", message).with(details)
    }

    /// The request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The request is not allowed for this object.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.group_resource();
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} {} is forbidden: {why}", quote(name))
        };
        Self::new(403, "Forbidden", message).with(Self::about(resource, name))
    }

    /// The server cannot carry out a well-formed patch.
    pub fn unprocessable() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .with(Details::default())
    }

    /// The resource has no such verb.
    pub fn method_not_allowed(resource: &Resource, verb: &str) -> Self {
        let message = format!(
            "{verb} is not supported on resources of kind {}",
            quote(&resource.group_resource())
        );
        Self::new(405, "MethodNotAllowed", message).with(Self::about(resource, ""))
    }

    /// Too old a resource version.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The type of the body is not one the server reads.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// None of the types that the client takes can be written.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// Who asks is unknown.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The server failed.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let details = Details {
            causes: vec![Cause { message: message.to_string(), ..Cause::default() }],
            ..Details::default()
        };
        Self::new(500, "InternalError", format!("Internal error occurred: {message}")).with(details)
    }

    /// The status as an object.
    pub fn to_value(&self) -> Value {
        let mut out = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        });
        if let Some(details) = &self.details {
            out["details"] = details.to_value();
        }
        out["code"] = json!(self.code);
        out
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (name, text) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            if !text.is_empty() {
                out.insert(name.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_value).collect();
            out.insert("causes".to_owned(), Value::Array(causes));
        }
        if self.retry_after_seconds > 0 {
            out.insert("retryAfterSeconds".to_owned(), json!(self.retry_after_seconds));
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (name, text) in
            [("reason", &self.reason), ("message", &self.message), ("field", &self.field)]
        {
            if !text.is_empty() {
                out.insert(name.to_owned(), json!(text));
            }
        }
        Value::Object(out)
    }
}

/// The status of a delete that removed an object at once.
pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let details = Details {
        name: name.to_owned(),
        group: resource.group.clone(),
        kind: resource.plural.clone(),
        uid: uid.to_owned(),
        ..Details::default()
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details.to_value(),
    })
}
