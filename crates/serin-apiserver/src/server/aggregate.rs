//! Groups that other services serve: their requests are passed on, and discovery names them beside the server's own. Each
//! group and version, wherever it is served, has an APIService that says so.

use std::sync::atomic::Ordering;

use http::{Extensions, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::catalog::{api_version, split_api_version};

use super::ApiServer;
use super::request::Head;
use crate::access::User;
use crate::http::Body;
use crate::local::{self, LocalService};
use crate::store::{Draft, Expect};

/// Where APIServices are kept.
const STORAGE: &str = "apiregistration.k8s.io/apiservices";

/// The order of Kubernetes' own groups for clients that ask no more than a short name: the higher, the earlier.
const PRIORITIES: &[(&str, u32)] = &[
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("discovery.k8s.io", 16200),
];
/// That of groups which CustomResourceDefinitions define.
const CUSTOM: u32 = 1000;
/// That of groups which other services serve.
const ELSEWHERE: u32 = 100;

/// A group and version that another service serves, and what it says of its resources.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Its `APIResourceList`.
    pub(crate) list: Value,
}

impl ApiServer {
    /// The service of a group and version that are served elsewhere.
    pub(super) fn elsewhere(&self, group: &str, version: &str) -> Option<&LocalService> {
        self.inner.aggregated.get(&api_version(group, version))
    }

    /// What the other services serve. One that does not answer discovery is left out.
    pub(super) async fn served_elsewhere(&self) -> Vec<Served> {
        let mut all = Vec::new();
        for (name, service) in &self.inner.aggregated {
            let (group, version) = split_api_version(name);
            let mut request = Request::new(());
            let Ok(uri) = format!("/apis/{name}").parse() else { continue };
            *request.uri_mut() = uri;
            let response = local::ask(service, request).await;
            if !response.status().is_success() {
                continue;
            }
            let bytes = match response.into_body().collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let Ok(list) = serde_json::from_slice::<Value>(&bytes) else { continue };
            all.push(Served { group: group.to_owned(), version: version.to_owned(), list });
        }
        all
    }
}

/// Passes a request on. Who makes it is said in headers, as an aggregated server is told; what proves it is not passed on.
pub(super) async fn pass_on(
    service: &LocalService,
    user: &User,
    head: &Head,
    extensions: Extensions,
) -> Response<Body> {
    let mut uri = head.path.clone();
    if let Some(query) = &head.raw_query {
        uri.push('?');
        uri.push_str(query);
    }
    let request = request_to(uri, head.method.clone(), user, &head.headers, extensions);
    local::ask(service, request).await.map(Body::of)
}

/// A request for a service of this process.
pub(crate) fn request_to(
    uri: String,
    method: Method,
    user: &User,
    headers: &http::HeaderMap,
    extensions: Extensions,
) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    // The path comes from a URI or from names that are checked.
    *request.uri_mut() = uri.parse().unwrap_or_default();
    *request.extensions_mut() = extensions;
    let out = request.headers_mut();
    for (name, value) in headers {
        let text = name.as_str();
        let private = text == "authorization"
            || text.starts_with("impersonate-")
            || text.starts_with("x-remote-");
        if !private {
            out.append(name.clone(), value.clone());
        }
    }
    if let Ok(name) = HeaderValue::from_str(&user.name) {
        out.insert(HeaderName::from_static("x-remote-user"), name);
    }
    for group in &user.groups {
        if let Ok(group) = HeaderValue::from_str(group) {
            out.append(HeaderName::from_static("x-remote-group"), group);
        }
    }
    request
}

/// Makes the APIServices agree with what is served.
pub(super) async fn register(server: &ApiServer) {
    server.inner.registering.store(false, Ordering::Release);
    let catalog = server.inner.catalog.load_full();
    let store = &server.inner.store;
    let mut wanted: Vec<(String, Value)> = Vec::new();
    for group in catalog.groups() {
        let own = PRIORITIES.iter().find(|(name, _)| *name == group.name).map(|(_, it)| *it);
        for (place, version) in group.versions.iter().enumerate() {
            let manner = if own.is_some() { "onstart" } else { "true" };
            let spec = json!({
                "group": group.name,
                "groupPriorityMinimum": own.unwrap_or(CUSTOM),
                "version": version.name,
                "versionPriority": if own.is_some() { 15 } else { 100_usize.saturating_sub(place) },
            });
            let why = ("Local", "Local APIServices are always available");
            wanted.push(object(&group.name, &version.name, Some(manner), spec, why));
        }
    }
    for name in server.inner.aggregated.keys() {
        let (group, version) = split_api_version(name);
        let spec = json!({
            "group": group,
            "groupPriorityMinimum": ELSEWHERE,
            "insecureSkipTLSVerify": true,
            "service": {"name": group.split('.').next(), "namespace": "kube-system", "port": 443},
            "version": version,
            "versionPriority": 100,
        });
        wanted.push(object(group, version, None, spec, ("Passed", "all checks passed")));
    }
    let (present, _) = store.list(STORAGE, "", None);
    let gone = present.iter().filter(|(name, object)| {
        let kept = wanted.iter().any(|(wanted, _)| **wanted == **name);
        !kept && object.value()["metadata"]["labels"][MANAGED].is_string()
    });
    let deletions = gone.map(|(name, object)| store.delete(STORAGE, name, object.revision()));
    // Someone else may have made or deleted one meanwhile, which is as good.
    let _ = futures_util::future::join_all(deletions).await;
    let missing = wanted.iter().filter(|(name, _)| !present.iter().any(|(it, _)| **it == **name));
    let writes =
        missing.map(|(name, object)| store.put(STORAGE, name, Expect::Absent, Draft::new(object)));
    let _ = futures_util::future::join_all(writes).await;
}

/// The label of APIServices that the server keeps.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

fn object(
    group: &str,
    version: &str,
    manner: Option<&str>,
    spec: Value,
    (reason, message): (&str, &str),
) -> (String, Value) {
    let name = format!("{version}.{group}");
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut out = json!({
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {
            "name": name,
            "uid": crate::random::uuid().to_string(),
            "creationTimestamp": now,
        },
        "spec": spec,
        "status": {"conditions": [{
            "lastTransitionTime": now,
            "message": message,
            "reason": reason,
            "status": "True",
            "type": "Available",
        }]},
    });
    if let Some(manner) = manner {
        out["metadata"]["labels"] = json!({MANAGED: manner});
    }
    if out["spec"]["group"] == "" {
        // The core group has no name, and its field is left out.
        if let Some(spec) = out["spec"].as_object_mut() {
            spec.remove("group");
        }
    }
    (name, out)
}

/// Brings the APIServices up to date beside what is going on; what changes until then is done at once.
pub(crate) fn register_soon(server: &ApiServer) {
    if server.inner.registering.swap(true, Ordering::AcqRel) {
        return;
    }
    let server = server.clone();
    tokio::spawn(async move { register(&server).await });
}
