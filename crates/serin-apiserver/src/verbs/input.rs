//! What a request brings: its body in one of the forms the server reads, and the parameters of writes.

use http::header::{CONTENT_TYPE, USER_AGENT};
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::Status;
use serin_objects::decode::{self, Body, FieldValidation};
use serin_objects::prepare::{Context, Ownership};

use super::options;
use crate::access::User;
use crate::server::request::Call;

/// The forms of a body.
const FORMS: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The type of the body without its parameters.
pub(super) fn media_type(call: &Call) -> &str {
    let header = call.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    header.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The body.
pub(super) fn body(call: &Call) -> Result<Body, Status> {
    let read = match media_type(call) {
        "" | "application/json" => decode::json(&call.body),
        "application/yaml" => decode::yaml(&call.body),
        "application/vnd.kubernetes.protobuf" => decode::protobuf(&call.body),
        _ => return Err(Status::unsupported_media_type(FORMS)),
    };
    read.map_err(Status::bad_request)
}

/// What happens to fields that the kind does not have.
pub(super) fn validation(call: &Call) -> Result<FieldValidation, Status> {
    FieldValidation::parse(call.query.text("fieldValidation"))
}

/// Whether nothing is to be stored. What else the parameter says was refused before.
pub(super) fn is_dry_run(call: &Call) -> bool {
    !call.query.all("dryRun").is_empty()
}

/// The circumstances of a write.
pub(super) fn context(call: &Call, ownership: Ownership) -> Context<'_> {
    let agent = call.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or("unknown").split('/').next().unwrap_or_default();
    Context {
        now: Timestamp::now(),
        manager: call.query.text("fieldManager").unwrap_or(agent),
        ownership,
        subresource: call.subresource.as_deref(),
    }
}

/// How an object is to be deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletion {
    /// `Foreground`, `Background` or `Orphan`.
    pub(super) propagation: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) revision: Option<String>,
    /// How long what runs may take to end, in seconds.
    pub(super) grace: Option<i64>,
    pub(super) dry_run: bool,
    pub(super) user: User,
}

/// The options of a deletion, from the body or the parameters.
pub(super) fn deletion(call: &Call) -> Result<Deletion, Status> {
    let value = if call.body.is_empty() { json!({}) } else { body(call)?.value };
    deletion_of(&value, call)
}

/// The options of a deletion that stand in another object.
pub(super) fn deletion_of(value: &Value, call: &Call) -> Result<Deletion, Status> {
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let asked = text("/propagationPolicy")
        .or_else(|| call.query.text("propagationPolicy").map(str::to_owned));
    let texts = |list: &Value| -> Vec<String> {
        let all = list.as_array().into_iter().flatten();
        all.map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
    };
    let dry = texts(&value["dryRun"]);
    options::of_deletion(asked.as_deref(), !value["orphanDependents"].is_null(), &dry)?;
    let propagation =
        asked.or_else(|| (value["orphanDependents"] == json!(true)).then(|| "Orphan".to_owned()));
    let grace = match value["gracePeriodSeconds"].as_i64() {
        Some(seconds) => Some(seconds),
        None => call.query.number("gracePeriodSeconds")?,
    };
    Ok(Deletion {
        propagation,
        grace,
        user: call.user.clone(),
        uid: text("/preconditions/uid"),
        revision: text("/preconditions/resourceVersion"),
        dry_run: !dry.is_empty() || is_dry_run(call),
    })
}
