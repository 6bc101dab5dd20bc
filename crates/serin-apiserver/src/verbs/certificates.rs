//! Requests for certificates: who makes them, who may approve them, and the certificates of those that were approved.
//!
//! Certificates of clients of the API and of kubelets are signed here, by the authority of the server, as soon as they are
//! approved. Requests to other signers wait for those.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::{Resource, Status};
use time::{Duration, OffsetDateTime};

use crate::access::attributes::Attributes;
use crate::access::issue::{Content, Request};
use crate::access::pki::EARLY;
use crate::access::rbac::Decision;
use crate::access::user::MASTERS;
use crate::server::ApiServer;
use crate::server::request::Call;

const GROUP: &str = "certificates.k8s.io";
/// Who signs certificates of clients.
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";
/// The signers of this server, with the usages that each needs, and those that it allows besides.
const SIGNERS: &[(&str, &str)] = &[
    (CLIENTS, "client auth"),
    ("kubernetes.io/kube-apiserver-client-kubelet", "client auth"),
    ("kubernetes.io/kubelet-serving", "server auth"),
];
const ALLOWED: &[&str] = &["digital signature", "key encipherment"];
/// How long a certificate lives where the request does not say.
const LIFETIME: Duration = Duration::days(365);

/// Whether a resource is the one of requests.
pub(super) fn are(resource: &Resource) -> bool {
    resource.group == GROUP && !resource.is_custom()
}

/// Notes who makes a request, and refuses to make administrators.
pub(super) fn ask(call: &Call, object: &mut Value) -> Result<(), Status> {
    let user = &call.user;
    let spec = &mut object["spec"];
    spec["username"] = json!(user.name);
    for (name, value, is_none) in [
        ("uid", json!(user.uid), user.uid.is_empty()),
        ("groups", json!(user.groups), user.groups.is_empty()),
        ("extra", json!(user.extra), user.extra.is_empty()),
    ] {
        match spec.as_object_mut() {
            Some(map) if is_none => drop(map.remove(name)),
            Some(map) => drop(map.insert(name.to_owned(), value)),
            None => {}
        }
    }
    let is_master = |it: Request| it.organisations.iter().any(|group| group == MASTERS);
    if spec["signerName"] == CLIENTS && request(object).is_ok_and(is_master) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let why = format!("use of {CLIENTS} signer with {MASTERS} group is not allowed");
        return Err(Status::forbidden(&call.resource, name, &why));
    }
    Ok(())
}

/// Looks at a change of a request that is about to be stored: who approves or signs must be allowed to do so for the signer, and
/// what was approved gets its certificate.
pub(super) fn settle(
    server: &ApiServer,
    call: &Call,
    object: &mut Value,
    old: &Value,
) -> Result<(), Status> {
    match call.subresource.as_deref() {
        Some("approval") => {
            if object["status"]["conditions"] == old["status"]["conditions"] {
                return Ok(());
            }
            permit(server, call, old, "approve")?;
            date(object, old);
            sign(server, object);
        }
        Some("status") if object["status"] != old["status"] => {
            permit(server, call, old, "sign")?;
            date(object, old);
        }
        _ => {}
    }
    Ok(())
}

/// Whether the user may do something for the signer of a request.
fn permit(server: &ApiServer, call: &Call, object: &Value, verb: &str) -> Result<(), Status> {
    let signer = object["spec"]["signerName"].as_str().unwrap_or_default();
    let all = format!("{}/*", signer.split('/').next().unwrap_or_default());
    let may = [signer, all.as_str()].iter().any(|name| {
        let what =
            Attributes { verb, group: GROUP, resource: "signers", name, ..Attributes::default() };
        matches!(server.inner.rbac.decide(&call.user, &what), Decision::Allowed(_))
    });
    if may {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(Status::forbidden(&call.resource, call.object_name(), &why))
}

/// Dates the conditions that are new or have no times.
fn date(object: &mut Value, old: &Value) {
    let now = json!(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let before = old["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let conditions = object["status"].get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.clone();
        }
        if condition["lastTransitionTime"].is_null() {
            let same = before
                .iter()
                .find(|it| it["type"] == condition["type"] && it["status"] == condition["status"]);
            let since = same.map_or(&now, |it| &it["lastTransitionTime"]).clone();
            condition["lastTransitionTime"] = since;
        }
    }
}

/// Signs what was approved, or says why it cannot be.
fn sign(server: &ApiServer, object: &mut Value) {
    let has = |kind: &str| {
        let mut all = object["status"]["conditions"].as_array().into_iter().flatten();
        all.any(|it| it["type"] == kind)
    };
    let signer = object["spec"]["signerName"].as_str().unwrap_or_default();
    let Some((_, needed)) = SIGNERS.iter().find(|(name, _)| *name == signer) else { return };
    if !has("Approved")
        || has("Denied")
        || has("Failed")
        || object["status"]["certificate"].is_string()
    {
        return;
    }
    match certificate(server, object, needed) {
        Ok(pem) => object["status"]["certificate"] = json!(STANDARD.encode(pem)),
        Err(why) => {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            if let Some(all) = object["status"]["conditions"].as_array_mut() {
                all.push(json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure",
                    "message": why, "lastUpdateTime": now, "lastTransitionTime": now,
                }));
            }
        }
    }
}

fn certificate(server: &ApiServer, object: &Value, needed: &str) -> Result<String, String> {
    let request = request(object)?;
    let usages = object["spec"]["usages"].as_array().into_iter().flatten();
    let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
    let fits = |it: &&str| *it == needed || ALLOWED.contains(it);
    if !usages.contains(&needed) || !usages.iter().all(fits) {
        return Err(format!(
            "the signer needs the usage {needed:?} and allows {ALLOWED:?} besides; the request asks for {usages:?}"
        ));
    }
    if request.common_name.is_empty() {
        return Err("the request names nobody: its subject has no common name".to_owned());
    }
    let now = OffsetDateTime::now_utc();
    let wanted = object["spec"]["expirationSeconds"].as_i64().map(Duration::seconds);
    let content = Content {
        subject: &request.subject,
        key: &request.key,
        names: request.names.as_deref(),
        usages: &usages,
        begin: now - EARLY,
        end: now + wanted.unwrap_or(LIFETIME).min(LIFETIME),
    };
    server.inner.authority.issue(&content).map_err(|error| error.to_string())
}

fn request(object: &Value) -> Result<Request, String> {
    let encoded = object["spec"]["request"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    Request::read(&pem)
}
