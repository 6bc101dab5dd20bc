//! The way of a request: read, identify, permit, carry out, answer, record.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use serde_json::Value;
use serin_objects::{Resource, Status};

use super::{ApiServer, aggregate};
use crate::access::User;
use crate::access::attributes::Attributes;
use crate::access::audit::{self, Audit, Entry};
use crate::access::user::ANONYMOUS;
use crate::http::Body;
use crate::http::accept::{Accept, Answer, Encoding, Shape};
use crate::http::query::Query;
use crate::http::target::{ResourcePath, Target};
use crate::verbs;

/// How long a body may be.
pub(crate) const BODY_LIMIT: usize = 3 << 20;

/// A request on a resource, read and permitted.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) user: User,
    pub(crate) method: Method,
    pub(crate) verb: &'static str,
    pub(crate) resource: Arc<Resource>,
    /// Empty outside of namespaces and for all of them.
    pub(crate) namespace: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// Path and query below `proxy`; empty elsewhere.
    pub(crate) rest: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) accept: Accept,
    pub(crate) body: Bytes,
    /// What the connection adds: how it is turned into a stream of another protocol.
    pub(crate) extensions: Extensions,
}

impl Call {
    /// The name of the object; empty where the call is about many.
    pub(crate) fn object_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Where the object is kept.
    pub(crate) fn storage(&self) -> String {
        storage_of(&self.resource)
    }

    /// Under which name the object is kept.
    pub(crate) fn key(&self) -> String {
        key_of(&self.namespace, self.object_name())
    }
}

/// Where the objects of a resource are kept: `apps/deployments`.
pub(crate) fn storage_of(resource: &Resource) -> String {
    format!("{}/{}", resource.storage.group, resource.storage.plural)
}

/// Under which name an object is kept: `namespace/name`, or the name alone.
pub(crate) fn key_of(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// What every answer is made with.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) raw_query: Option<String>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
}

impl Head {
    pub(super) fn header(&self, name: &http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether a person reads the answer.
    pub(super) fn is_pretty(&self) -> bool {
        if self.query.has("pretty") {
            return self.query.flag("pretty");
        }
        let agent = self.header(&USER_AGENT);
        ["curl", "Wget", "Mozilla/5.0"].iter().any(|name| agent.starts_with(name))
    }
}

impl ApiServer {
    /// Answers one request. `user` is who the connection says it is, `peer` where it comes from.
    pub(crate) async fn handle<B>(
        &self,
        user: Option<User>,
        peer: Option<IpAddr>,
        request: Request<B>,
    ) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Timestamp::now();
        let (parts, body) = request.into_parts();
        let head = Head {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().map(str::to_owned),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
        };
        let found = self.identify(user, &head.headers);
        let stranger = matches!(&found, Ok((user, None)) if user.name == ANONYMOUS);
        let recorded = match (&found, &self.inner.audit) {
            (Ok((user, acting)), Some(_)) => Some((user.clone(), acting.clone())),
            _ => None,
        };
        let work = async {
            let (user, acting) = found?;
            self.route(acting.unwrap_or(user), &head, parts.extensions, body).await
        };
        let (result, told) = match &self.inner.audit {
            Some(_) => audit::listening(work).await,
            None => (work.await, Default::default()),
        };
        // Who is unknown is asked to say who they are.
        let result = result.map_err(|status| {
            if stranger && status.code == 403 { Status::unauthorized() } else { status }
        });
        let failed = result.as_ref().err().cloned();
        let response = result.unwrap_or_else(|status| failure(&status, &head));
        if let Some(audit) = &self.inner.audit {
            let user = recorded.as_ref().map(|(user, _)| user);
            let acting = recorded.as_ref().and_then(|(_, acting)| acting.as_ref());
            let answer = (&response, failed.as_ref(), told);
            record(audit, (begun, peer, &head), (user, acting), answer);
        }
        response
    }

    async fn route<B>(
        &self,
        user: User,
        head: &Head,
        extensions: Extensions,
        body: B,
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match Target::parse(&head.path) {
            Target::Resource(path) => {
                if let Some(service) = self.elsewhere(&path.group, &path.version) {
                    self.permit(&user, &attributes(head, &path, wanted_verb(head, &path)?))?;
                    return Ok(aggregate::pass_on(service, &user, head, extensions).await);
                }
                let mut call = self.call(&user, head, path)?;
                call.extensions = extensions;
                if matches!(
                    head.method,
                    Method::POST | Method::PUT | Method::PATCH | Method::DELETE
                ) {
                    call.body = read(body, &head.headers).await?;
                }
                let response = verbs::carry_out(self, &call).await?;
                let warnings: Vec<String> = call.resource.deprecation().into_iter().collect();
                let response = verbs::with_warnings(response, &warnings);
                Ok(if head.is_pretty() { prettier(response).await } else { response })
            }
            target => {
                let verb = head.method.as_str().to_ascii_lowercase();
                self.permit(&user, &Attributes::of_path(&verb, &head.path))?;
                if head.method != Method::GET && head.method != Method::HEAD {
                    return Err(not_allowed());
                }
                if let Target::Resources { group, version } = &target
                    && let Some(service) = self.elsewhere(group, version)
                {
                    return Ok(aggregate::pass_on(service, &user, head, extensions).await);
                }
                self.other(&target, head).await
            }
        }
    }

    /// Reads a request on a resource and checks that its maker may make it.
    fn call(&self, user: &User, head: &Head, path: ResourcePath) -> Result<Call, Status> {
        let found = self.resource(&path.group, &path.version, &path.resource);
        let verb = wanted_verb(head, &path)?;
        self.permit(user, &attributes(head, &path, verb))?;
        let resource = found.ok_or_else(Status::no_such_path)?;
        let fits = match &path.namespace {
            Some(_) => resource.namespaced,
            // All namespaces can be listed and watched; one object always has its namespace.
            None => {
                !resource.namespaced
                    || (path.name.is_none() && matches!(verb, "list" | "watch"))
                    || !resource.is_stored()
            }
        };
        if !fits {
            // The place is there, for lists of all namespaces.
            let is_place = resource.namespaced && path.namespace.is_none() && path.name.is_none();
            return Err(if is_place { not_allowed() } else { Status::no_such_path() });
        }
        let answer = if verb == "watch" { Answer::Watch } else { Answer::Objects };
        let accept = Accept::parse(head.header(&ACCEPT), answer);
        // Logs and upgrades are not written in a form of objects.
        let plain = path.subresource.is_some();
        let accept = match accept {
            Err(_) if plain => Accept { encoding: Encoding::Json, shape: Shape::Whole },
            other => other?,
        };
        let rest = if path.subresource.as_deref() == Some("proxy") {
            rest_of(head, path.namespace.is_some())
        } else {
            String::new()
        };
        Ok(Call {
            user: user.clone(),
            rest,
            method: head.method.clone(),
            verb,
            resource,
            namespace: path.namespace.unwrap_or_default(),
            name: path.name,
            subresource: path.subresource,
            query: head.query.clone(),
            headers: head.headers.clone(),
            accept,
            body: Bytes::new(),
            extensions: Extensions::new(),
        })
    }
}

fn not_allowed() -> Status {
    let why = "the server does not allow this method on the requested resource";
    Status::new(405, "MethodNotAllowed", why).with(Default::default())
}

/// What stands below `proxy` in the path, as the client wrote it, with the query.
fn rest_of(head: &Head, namespaced: bool) -> String {
    // `/api/v1/nodes/NAME/proxy/…` or `/api/v1/namespaces/NAMESPACE/pods/NAME/proxy/…`.
    let before = if namespaced { 7 } else { 5 };
    let below = head.path.trim_start_matches('/').splitn(before + 1, '/').nth(before);
    let query = head.raw_query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", below.unwrap_or_default())
}

/// What a request on objects wants to do.
fn attributes<'a>(head: &'a Head, path: &'a ResourcePath, verb: &'a str) -> Attributes<'a> {
    let named = path.name.as_deref().unwrap_or_default();
    let fields = head.query.text("fieldSelector").unwrap_or_default();
    // A selection of one name may be permitted by a role for that name.
    let selected = fields
        .strip_prefix("metadata.name=")
        .filter(|name| !name.contains(','))
        .unwrap_or_default();
    Attributes {
        verb,
        // A namespace is inside itself, for roles.
        namespace: match (&path.namespace, path.resource.as_str()) {
            (Some(namespace), _) => namespace,
            (None, "namespaces") if path.group.is_empty() => named,
            (None, _) => "",
        },
        group: &path.group,
        resource: &path.resource,
        subresource: path.subresource.as_deref().unwrap_or_default(),
        name: if named.is_empty() { selected } else { named },
        path: None,
    }
}

/// Writes a request that was answered into the audit log.
fn record(
    audit: &Audit,
    (begun, peer, head): (Timestamp, Option<IpAddr>, &Head),
    (user, acting): (Option<&User>, Option<&User>),
    (response, failure, told): (&Response<Body>, Option<&Status>, audit::Told),
) {
    let method = head.method.as_str().to_ascii_lowercase();
    let target = Target::parse(&head.path);
    let (what, version) = match &target {
        Target::Resource(path) => {
            let verb = wanted_verb(head, path).unwrap_or_default();
            (attributes(head, path, verb), path.version.as_str())
        }
        _ => (Attributes::of_path(&method, &head.path), ""),
    };
    let query = head.raw_query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    audit.record(&Entry {
        begun,
        uri: &format!("{}{query}", head.path),
        agent: head.header(&USER_AGENT),
        peer,
        user,
        acting,
        what,
        version,
        code: response.status(),
        failure,
        goes_on: response.body().is_endless(),
        told,
    });
}

fn wanted_verb(head: &Head, path: &ResourcePath) -> Result<&'static str, Status> {
    // A part of an object has no list to be watched.
    let watches = path.subresource.is_none() && (path.watch || head.query.flag("watch"));
    verb_of(&head.method, path.name.is_some(), watches)
}

/// The verb of a request, as roles name it.
fn verb_of(method: &Method, named: bool, watches: bool) -> Result<&'static str, Status> {
    Ok(match (method.as_str(), named) {
        ("GET" | "HEAD", _) if watches => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return Err(not_allowed()),
    })
}

/// Reads a body within the limit.
async fn read<B>(body: B, headers: &HeaderMap) -> Result<Bytes, Status>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let message = format!("Request entity too large: limit is {BODY_LIMIT}");
        Status::new(413, "RequestEntityTooLarge", message).with(Default::default())
    };
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large());
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Status::bad_request(format!("the body could not be read: {error}"))),
    }
}

/// A response of one kind.
pub(crate) fn answer(code: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A failure, as an object.
fn failure(status: &Status, head: &Head) -> Response<Body> {
    // Where nothing is, clients of Kubernetes expect no object but a page, and name what they asked for themselves.
    if *status == Status::no_such_path() {
        let page = Body::from("404 page not found\n");
        return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", page);
    }
    let value = status.to_value();
    let text = if head.is_pretty() { format!("{value:#}") } else { value.to_string() };
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(code, "application/json", text.into());
    let after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if after > 0 {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(after));
    }
    response
}

/// The same answer with line breaks, for people.
async fn prettier(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !json || body.is_endless() {
        return Response::from_parts(parts, body);
    }
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    parts.headers.remove(CONTENT_LENGTH);
    let body = match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => Body::from(format!("{value:#}")),
        Err(_) => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}
