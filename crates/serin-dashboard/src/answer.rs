//! Answers over HTTP, with the headers that keep them safe.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Everything comes from here, nothing is written inline, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer has. Forms would say that they come from nowhere with a stricter policy for referrers.
const ALWAYS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

fn answer(
    status: StatusCode,
    kind: &'static str,
    cached: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A page.
pub(crate) fn html(status: StatusCode, text: String) -> Response<Body> {
    answer(status, "text/html; charset=utf-8", "no-store", full(text))
}

/// The facts of a page.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    answer(status, "application/json", "no-store", full(text))
}

/// A file of the dashboard's own.
pub(crate) fn file(
    kind: &'static str,
    tag: &str,
    content: &'static [u8],
    asked: &HeaderMap,
) -> Response<Body> {
    let is_known = asked.get(http::header::IF_NONE_MATCH).is_some_and(|it| it == tag);
    let mut response = if is_known {
        answer(StatusCode::NOT_MODIFIED, kind, "no-cache", full(Bytes::new()))
    } else {
        answer(StatusCode::OK, kind, "no-cache", full(content))
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Another place of the dashboard.
pub(crate) fn redirect(to: &str, cookie: Option<&str>) -> Response<Body> {
    let mut response = html(StatusCode::SEE_OTHER, String::new());
    for (name, value) in [(LOCATION, Some(to)), (SET_COOKIE, cookie)] {
        if let Some(value) = value.and_then(|it| HeaderValue::from_str(it).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Server-sent events.
pub(crate) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    use futures_util::StreamExt as _;
    let body = StreamBody::new(stream.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))));
    answer(StatusCode::OK, "text/event-stream", "no-store", body.boxed_unsync())
}
