//! Webhooks: services that are asked about writes, first those that may change an object, then those that judge it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use serin_api::expression::Scope;
use serin_objects::status::Details;
use serin_objects::{Resource, Status, convert, decode};

use super::call::Endpoint;
use super::matching::{Conditions, Matcher};
use super::{Operation, Review, authorizer, denied, facts};
use crate::server::ApiServer;
use crate::store::Store;
use crate::store::indexed::Indexed;

const MUTATING: &str = "admissionregistration.k8s.io/mutatingwebhookconfigurations";
const VALIDATING: &str = "admissionregistration.k8s.io/validatingwebhookconfigurations";
/// How long a webhook may take where its configuration does not say, in seconds.
const TIMEOUT: u64 = 10;

/// The webhooks that are configured.
pub(crate) struct Webhooks {
    mutating: Indexed<Vec<Webhook>, 1>,
    validating: Indexed<Vec<Webhook>, 1>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { mutating: Indexed::new([MUTATING]), validating: Indexed::new([VALIDATING]) }
    }
}

struct Webhook {
    name: String,
    matcher: Matcher,
    conditions: Conditions,
    endpoint: Endpoint,
    timeout: Duration,
    /// Whether a webhook that does not answer stands in the way.
    fails: bool,
    /// Whether it is asked again when others changed the object after it.
    again: bool,
    /// The version of reviews that it reads.
    version: String,
}

/// What a webhook answered.
#[derive(Default)]
struct Answer {
    patch: Option<Vec<u8>>,
    warnings: Vec<String>,
}

fn read(store: &Store, resource: &str) -> Vec<Webhook> {
    let (configurations, _) = store.list(resource, "", None);
    let of = |configuration: Value| {
        let all = configuration["webhooks"].as_array().cloned().unwrap_or_default();
        all.into_iter().map(|webhook| Webhook::read(&webhook))
    };
    configurations.into_iter().flat_map(|(_, object)| of(object.value())).collect()
}

impl Webhook {
    fn read(value: &Value) -> Self {
        let versions = value["admissionReviewVersions"].as_array().into_iter().flatten();
        let version = versions.filter_map(Value::as_str).find(|it| matches!(*it, "v1" | "v1beta1"));
        Self {
            name: value["name"].as_str().unwrap_or_default().to_owned(),
            matcher: Matcher::of_webhook(value),
            conditions: Conditions::read(&value["matchConditions"]),
            endpoint: Endpoint::read(&value["clientConfig"]),
            timeout: Duration::from_secs(value["timeoutSeconds"].as_u64().unwrap_or(TIMEOUT)),
            fails: value["failurePolicy"] != "Ignore",
            again: value["reinvocationPolicy"] == "IfNeeded",
            version: version.unwrap_or("v1").to_owned(),
        }
    }

    /// The resource as which the webhook wants to see a write; `None` where it does not want to.
    fn wants(
        &self,
        server: &ApiServer,
        review: &Review<'_>,
    ) -> Result<Option<Arc<Resource>>, Status> {
        let catalog = server.inner.catalog.load();
        let Some(resource) = self.matcher.fit(review, &catalog, &server.inner.store) else {
            return Ok(None);
        };
        if self.conditions.is_empty() {
            return Ok(Some(resource));
        }
        let mut scope = Scope::default();
        scope.set("object", review.object);
        scope.set("oldObject", review.old);
        scope.set("request", &facts(review, &resource));
        authorizer::set(&mut scope, server, review);
        match self.conditions.hold(&scope) {
            Ok(true) => Ok(Some(resource)),
            Ok(false) => Ok(None),
            Err(why) if self.fails => Err(Status::forbidden(review.resource, review.name, &why)),
            Err(_) => Ok(None),
        }
    }

    /// Asks the webhook about a write, which it sees as one of `resource`.
    async fn ask(
        &self,
        server: &ApiServer,
        review: &Review<'_>,
        resource: &Resource,
    ) -> Result<Answer, Status> {
        let api_version = format!("admission.k8s.io/{}", self.version);
        let mut request = facts(review, resource);
        let uid = crate::random::uuid().to_string();
        request["uid"] = uid.as_str().into();
        request["object"] = seen(review, resource, review.object);
        request["oldObject"] = seen(review, resource, review.old);
        let body =
            json!({"kind": "AdmissionReview", "apiVersion": api_version, "request": request});
        let called = tokio::time::timeout(
            self.timeout,
            self.endpoint.call(server, self.timeout, body.to_string().into_bytes()),
        );
        let answer = match called.await {
            Ok(answer) => answer.map_err(|why| format!("failed to call webhook: {why}")),
            Err(_) => Err(format!(
                "failed to call webhook: Post {:?}: context deadline exceeded",
                self.endpoint.url(self.timeout)
            )),
        };
        let response = answer.and_then(|bytes| judge(&bytes, &api_version, &uid));
        match response {
            Ok(response) => self.answer(&response),
            Err(why) if self.fails => {
                Err(Status::internal(format!("failed calling webhook {:?}: {why}", self.name)))
            }
            Err(why) => {
                tracing::warn!(webhook = self.name, %why, "a webhook failed and is ignored");
                Ok(Answer::default())
            }
        }
    }

    fn answer(&self, response: &Value) -> Result<Answer, Status> {
        let warnings = response["warnings"].as_array().into_iter().flatten();
        let warnings = warnings.filter_map(Value::as_str).map(str::to_owned).collect();
        if response["allowed"] == true {
            let patch = response["patch"].as_str();
            let patch =
                patch.and_then(|it| base64::engine::general_purpose::STANDARD.decode(it).ok());
            return Ok(Answer { patch, warnings });
        }
        let status = &response["status"];
        let text = |name: &str| status[name].as_str().unwrap_or_default();
        let why = if text("message").is_empty() { text("reason") } else { text("message") };
        let mut refusal = denied(&self.name, why);
        text("reason").clone_into(&mut refusal.reason);
        let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        refusal.code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
        if status["details"].is_object() {
            let details = &status["details"];
            let text = |name: &str| details[name].as_str().unwrap_or_default().to_owned();
            refusal = refusal.with(Details {
                name: text("name"),
                group: text("group"),
                kind: text("kind"),
                uid: text("uid"),
                ..Details::default()
            });
        }
        Err(refusal)
    }
}

/// The response in an answer that is one.
fn judge(bytes: &[u8], api_version: &str, uid: &str) -> Result<Value, String> {
    let answer: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("failed to call webhook: the answer is no JSON: {error}"))?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    if (text("kind"), text("apiVersion")) != ("AdmissionReview", api_version) {
        return Err(format!(
            "received invalid webhook response: expected webhook response of {api_version}, Kind=AdmissionReview, got \
             {}, Kind={}",
            text("apiVersion"),
            text("kind")
        ));
    }
    let response = &answer["response"];
    if !response.is_object() {
        return Err("received invalid webhook response: webhook response was absent".to_owned());
    }
    let found = response["uid"].as_str().unwrap_or_default();
    if found != uid && api_version.ends_with("/v1") {
        return Err(format!(
            "received invalid webhook response: expected response.uid={uid:?}, got {found:?}"
        ));
    }
    if response["patch"].is_string()
        && response["patchType"] != "JSONPatch"
        && api_version.ends_with("/v1")
    {
        return Err(
            "received invalid webhook response: webhook returned response.patch but not response.patchType=JSONPatch"
                .to_owned(),
        );
    }
    Ok(response.clone())
}

/// An object in the version that a webhook reads.
fn seen(review: &Review<'_>, resource: &Resource, object: &Value) -> Value {
    if object.is_null()
        || resource.version == review.resource.version && resource.group == review.resource.group
    {
        return object.clone();
    }
    convert::to_version(resource, convert::to_storage(review.resource, object.clone()))
}

/// Configurations of admission are not subject to it, so that they can be mended.
pub(super) fn is_exempt(review: &Review<'_>) -> bool {
    review.resource.group == "admissionregistration.k8s.io"
        || !(review.resource.is_stored() || review.operation == Operation::Connect)
}

/// Lets webhooks change an object.
pub(super) async fn mutate(
    server: &ApiServer,
    review: &Review<'_>,
    object: &mut Value,
) -> Result<Vec<String>, Status> {
    let all =
        server.inner.webhooks.mutating.get(&server.inner.store, |store| read(store, MUTATING));
    let mut warnings = Vec::new();
    // Those that were asked and want to be asked again, and those for whom there is something new to see.
    let (mut asked, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..2 {
        for (place, webhook) in all.iter().enumerate() {
            if round == 1 && !wanted.contains(&place) {
                continue;
            }
            let review = Review { object, ..*review };
            let Some(resource) = webhook.wants(server, &review)? else { continue };
            let answer = webhook.ask(server, &review, &resource).await?;
            warnings.extend(answer.warnings);
            if let Some(patch) = answer.patch.filter(|_| !object.is_null()) {
                let changed = patched(&review, &resource, &patch).map_err(|why| {
                    Status::internal(format!("failed calling webhook {:?}: {why}", webhook.name))
                })?;
                let changed = decode::again(review.resource, changed)?;
                if changed != *object {
                    *object = changed;
                    wanted.extend(asked.iter().copied());
                }
            }
            if webhook.again && round == 0 {
                asked.insert(place);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(warnings)
}

/// The object with a webhook's patch, which was made for the version that it saw.
fn patched(review: &Review<'_>, resource: &Resource, patch: &[u8]) -> Result<Value, String> {
    let operations: json_patch::Patch =
        serde_json::from_slice(patch).map_err(|error| format!("its patch is none: {error}"))?;
    let mut object = seen(review, resource, review.object);
    json_patch::patch(&mut object, &operations)
        .map_err(|error| format!("its patch cannot be applied: {error}"))?;
    if resource.version == review.resource.version && resource.group == review.resource.group {
        return Ok(object);
    }
    Ok(convert::to_version(review.resource, convert::to_storage(resource, object)))
}

/// Lets webhooks judge a write. All are asked at once.
pub(super) async fn validate(
    server: &ApiServer,
    review: &Review<'_>,
) -> Result<Vec<String>, Status> {
    let all =
        server.inner.webhooks.validating.get(&server.inner.store, |store| read(store, VALIDATING));
    let mut chosen = Vec::new();
    for webhook in all.iter() {
        if let Some(resource) = webhook.wants(server, review)? {
            chosen.push((webhook, resource));
        }
    }
    let asked = chosen.iter().map(|(webhook, resource)| webhook.ask(server, review, resource));
    let mut warnings = Vec::new();
    for answer in futures_util::future::join_all(asked).await {
        warnings.extend(answer?.warnings);
    }
    Ok(warnings)
}
