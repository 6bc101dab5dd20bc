//! Tokens of ServiceAccounts: those that are requested, those that stand in Secrets, and questions about tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use serin_objects::{FieldError, Path, Resource, Status, decode};

use super::{answer, input};
use crate::access::jwt::{ISSUER, SECRET_ISSUER};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::{Call, key_of};

/// How long a token lives at least and at most, in seconds.
const LIFETIME: std::ops::RangeInclusive<i64> = 600..=1 << 32;
/// How long it lives where nothing is asked for.
const DEFAULT: i64 = 3600;
const FORM: &str = "%Y-%m-%dT%H:%M:%SZ";
/// The type of Secrets that hold a token.
const SECRET: &str = "kubernetes.io/service-account-token";
/// The annotation that names a Secret's account.
pub(super) const ACCOUNT: &str = "kubernetes.io/service-account.name";

/// `POST /serviceaccounts/NAME/token`.
pub(super) fn request(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let kind = ("authentication.k8s.io", "v1", "TokenRequest");
    let mut request = decode::of_kind(kind, input::body(call)?)?;
    let account = server.inner.store.object("/serviceaccounts", &call.key());
    let account =
        account.ok_or_else(|| Status::not_found(&call.resource, call.object_name()))?.value();
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT);
    check_lifetime(seconds)?;
    let mut audiences = request["spec"]["audiences"].as_array().cloned().unwrap_or_default();
    if audiences.is_empty() {
        audiences.push(ISSUER.into());
    }
    let bound = bound_to(server, call, &request["spec"]["boundObjectRef"])?;
    let now = Timestamp::now();
    let (name, namespace) = (call.object_name(), &call.namespace);
    let mut own = json!({
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
    });
    if let Some((kind, object)) = bound {
        own[kind] = json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]});
    }
    let claims = json!({
        "aud": audiences,
        "exp": now.as_second() + seconds,
        "iat": now.as_second(),
        "iss": ISSUER,
        "jti": crate::random::uuid().to_string(),
        "kubernetes.io": own,
        "nbf": now.as_second(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    let token = server.inner.authn.keys.sign(&claims).map_err(Status::internal)?;
    let end = now.checked_add(seconds.seconds()).map_err(Status::internal)?;
    request["metadata"] = json!({
        "name": name,
        "namespace": namespace,
        "creationTimestamp": now.strftime(FORM).to_string(),
    });
    request["spec"]["audiences"] = audiences.into();
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] =
        json!({"expirationTimestamp": end.strftime(FORM).to_string(), "token": token});
    Ok(answer::one(call, StatusCode::CREATED, &request))
}

fn check_lifetime(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        seconds if seconds < *LIFETIME.start() => "may not specify a duration less than 10 minutes",
        seconds if seconds > *LIFETIME.end() => {
            "may not specify a duration larger than 2^32 seconds"
        }
        _ => return Ok(()),
    };
    let error = FieldError::invalid(&Path::new("spec.expirationSeconds"), seconds, why);
    let (group, kind) = ("authentication.k8s.io", "TokenRequest");
    Err(Status::invalid_kind(group, kind, "", &[error]))
}

/// The object with which the token ends.
fn bound_to(
    server: &ApiServer,
    call: &Call,
    reference: &Value,
) -> Result<Option<(&'static str, Value)>, Status> {
    if !reference.is_object() {
        return Ok(None);
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let account = call.object_name();
    let (kind, plural) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => ("pod", "pods"),
        ("v1", "Secret") => ("secret", "secrets"),
        (version, kind) => {
            let (group, version) = serin_objects::catalog::split_api_version(version);
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let resource = server.resource("", "v1", plural).ok_or_else(Status::no_such_path)?;
    let name = text("name");
    let object = server.inner.store.object(&format!("/{plural}"), &key_of(&call.namespace, name));
    let object = object.ok_or_else(|| Status::not_found(&resource, name))?.value();
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    if !text("uid").is_empty() && text("uid") != uid {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted \
             and then recreated",
            text("uid")
        );
        return Err(Status::conflict(&resource, name, &why));
    }
    if kind == "pod" && object["spec"]["serviceAccountName"] != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    Ok(Some((kind, object)))
}

/// `POST /tokenreviews`: whose token it is.
pub(super) fn review(server: &ApiServer, object: &Value) -> Result<Value, Status> {
    let token = object["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = object["spec"]["audiences"].as_array().into_iter().flatten();
    let audiences: Vec<String> = audiences.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(match server.inner.authn.token(token, &audiences) {
        Some(proven) => json!({
            "authenticated": true,
            "user": proven.user.to_value(),
            "audiences": proven.audiences,
        }),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}

/// Fills a Secret that is to hold a token of its account.
pub(super) fn fill(
    server: &ApiServer,
    resource: &Resource,
    secret: &mut Value,
) -> Result<(), Status> {
    let is_token =
        resource.group.is_empty() && resource.kind == "Secret" && secret["type"] == SECRET;
    if !is_token || secret["data"]["token"].is_string() {
        return Ok(());
    }
    let text = |field: &str| secret["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text("name"), text("namespace"));
    let account =
        secret["metadata"]["annotations"][ACCOUNT].as_str().unwrap_or_default().to_owned();
    let found = server.inner.store.object("/serviceaccounts", &key_of(&namespace, &account));
    let Some(found) = found else { return Ok(()) };
    let uid = found.value()["metadata"]["uid"].clone();
    let claim = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
    let claims = json!({
        "iss": SECRET_ISSUER,
        claim("namespace"): namespace,
        claim("secret.name"): name,
        claim("service-account.name"): account,
        claim("service-account.uid"): uid,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    });
    let token = server.inner.authn.keys.sign(&claims).map_err(Status::internal)?;
    secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"] = uid;
    for (key, text) in [
        ("ca.crt", server.inner.authority.pem()),
        ("namespace", namespace.as_str()),
        ("token", token.as_str()),
    ] {
        secret["data"][key] = STANDARD.encode(text).into();
    }
    Ok(())
}
