//! A request as services see it, whole and bounded, and the ways to answer one.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use serde_json::{Value, json};

/// What a service answers.
pub(crate) type Reply = Response<Full<Bytes>>;

/// A request with its body and the connection that it came on.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Call {
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The decoded value of a parameter of the query, the first if there are several.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        field(self.uri.query().unwrap_or_default().as_bytes(), name)
    }

    /// The decoded value of a field of a form that was posted.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        field(&self.body, name)
    }

    /// The host that the client asked for.
    pub(crate) fn host(&self) -> Option<&str> {
        let header = self.headers.get(http::header::HOST).and_then(|it| it.to_str().ok());
        self.uri.authority().map(http::uri::Authority::as_str).or(header)
    }

    /// Copies of the headers with these names, in the order of the names.
    pub(crate) fn pick(&self, names: &[&'static str]) -> HeaderMap {
        let mut picked = HeaderMap::new();
        for name in names {
            for value in self.headers.get_all(*name) {
                picked.append(*name, value.clone());
            }
        }
        picked
    }
}

fn field(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    of_type(status, "text/plain; charset=utf-8", body)
}

/// A page, never kept by the browser: each look at it is a new request.
pub(crate) fn html(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = of_type(status, "text/html; charset=utf-8", body);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A JSON value.
pub(crate) fn json(status: StatusCode, body: &Value) -> Reply {
    of_type(status, "application/json", body.to_string())
}

/// `{"error": …}`.
pub(crate) fn error(status: StatusCode, message: &str) -> Reply {
    json(status, &json!({ "error": message }))
}

/// Sends a browser elsewhere, with GET.
pub(crate) fn redirect(to: &str) -> Reply {
    let mut reply = text(StatusCode::FOUND, "");
    let to = HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    reply.headers_mut().insert(LOCATION, to);
    reply
}

/// There is nothing at this path.
pub(crate) fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "there is nothing here")
}

/// There is something at this path, but not for this method.
pub(crate) fn wrong_method() -> Reply {
    error(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}

pub(crate) fn of_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
