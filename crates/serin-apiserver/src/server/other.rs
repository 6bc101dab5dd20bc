//! Paths that are no objects: discovery, documents, health, and what tells others how to judge tokens.

use bytes::Bytes;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;
use serin_objects::Status;

use super::ApiServer;
use super::request::{Head, answer};
use crate::access::jwt;
use crate::discovery;
use crate::http::Body;
use crate::http::accept::{Accept, Answer, aggregated};
use crate::http::target::Target;

/// The form of OpenAPI v2 that kubectl asks for. Older clients write `@v1.0`, which is no media type, and read the other.
const OPENAPI_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

impl ApiServer {
    /// Whatever is no resource.
    pub(super) async fn other(
        &self,
        target: &Target,
        head: &Head,
    ) -> Result<Response<Body>, Status> {
        let catalog = self.inner.catalog.load_full();
        let served = match target {
            Target::Groups | Target::Group(_) | Target::Root => self.served_elsewhere().await,
            _ => Vec::new(),
        };
        let accept = head.header(&ACCEPT);
        let found = |value: Option<Value>| value.ok_or_else(Status::no_such_path);
        let document = |bytes: Option<(Bytes, String)>| {
            let (bytes, hash) = bytes.ok_or_else(Status::no_such_path)?;
            Ok(cached(bytes, &hash, "application/json", head))
        };
        let value = match target {
            Target::CoreVersions | Target::Groups => {
                let core = *target == Target::CoreVersions;
                if let Some(version) = aggregated(accept) {
                    let (bytes, hash) =
                        self.inner.documents.discovery(&catalog, &served, version, core);
                    let kind = format!(
                        "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                    );
                    return Ok(cached(bytes, &hash, &kind, head));
                }
                if core {
                    discovery::core_versions("127.0.0.1")
                } else {
                    discovery::groups(&catalog, &served)
                }
            }
            Target::Group(name) => found(discovery::group(&catalog, &served, name))?,
            Target::Resources { group, version } => {
                found(discovery::resources(&catalog, group, version))?
            }
            Target::Version => discovery::version(),
            Target::Root => discovery::paths(&catalog, &served),
            Target::OpenApiV2 if accept.replace('@', ".").contains(OPENAPI_PROTOBUF) => {
                let (bytes, hash) = self.inner.documents.v2_protobuf(&catalog);
                return Ok(cached(bytes, &hash, OPENAPI_PROTOBUF, head));
            }
            Target::OpenApiV2 => return document(Some(self.inner.documents.v2(&catalog))),
            Target::OpenApiV3Index => {
                return document(Some(self.inner.documents.v3_index(&catalog)));
            }
            Target::OpenApiV3(path) => return document(self.inner.documents.v3(&catalog, path)),
            Target::Backup => {
                let pieces = futures_util::stream::iter(self.inner.store.backup());
                return Ok(answer(StatusCode::OK, "application/x-ndjson", Body::stream(pieces)));
            }
            Target::OpenIdConfiguration => jwt::discovery(),
            Target::Jwks => {
                let keys = self.inner.authn.keys.jwks().to_string();
                return Ok(answer(StatusCode::OK, "application/jwk-set+json", keys.into()));
            }
            Target::Health { endpoint, check } => return health(endpoint, check.as_deref(), head),
            Target::Resource(_) | Target::Unknown => return Err(Status::no_such_path()),
        };
        Accept::parse(accept, Answer::Other)?;
        let text = if head.is_pretty() { format!("{value:#}") } else { value.to_string() };
        Ok(answer(StatusCode::OK, "application/json", text.into()))
    }
}

/// A document that clients may have already.
fn cached(bytes: Bytes, hash: &str, kind: &str, head: &Head) -> Response<Body> {
    let tag = format!("\"{hash}\"");
    let known = head.header(&IF_NONE_MATCH).split(',').any(|it| it.trim() == tag);
    let mut response = if known {
        answer(StatusCode::NOT_MODIFIED, kind, Body::empty())
    } else {
        answer(StatusCode::OK, kind, bytes.into())
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(http::header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn health(endpoint: &str, check: Option<&str>, head: &Head) -> Result<Response<Body>, Status> {
    let checks = ["ping", "log", "etcd"];
    let text = match check {
        Some(check) if checks.contains(&check) => "ok".to_owned(),
        Some(_) => return Err(Status::no_such_path()),
        None if head.query.has("verbose") => {
            let lines: String = checks.iter().map(|check| format!("[+]{check} ok\n")).collect();
            format!("{lines}{endpoint} check passed\n")
        }
        None => "ok".to_owned(),
    };
    Ok(answer(StatusCode::OK, "text/plain; charset=utf-8", text.into()))
}
