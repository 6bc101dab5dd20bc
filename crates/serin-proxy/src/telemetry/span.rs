//! A request as a span of a trace.

use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use serin_telemetry::trace::{Context, Span};

use super::Detail;
use crate::message::Headers;
use crate::record::Record;
use crate::request::Request;

/// The form in which a context came.
enum Form {
    W3c,
    B3,
    B3Headers,
}

/// Begins a span: reads the client's context, and puts this one's in its place, in the same form. `traceparent` is always
/// written. Gives the new context, and the span it belongs to.
pub(super) fn begin(
    headers: &mut Headers,
    share: f64,
    random: &mut impl Rng,
) -> (Context, Option<u64>) {
    let client = read(headers);
    let parent = client.as_ref().map(|(context, _)| *context);
    let decided = parent.and_then(|parent| parent.sampled);
    let sampled = decided.unwrap_or_else(|| {
        // 53 bits make a number from 0 to 1.
        (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 <= share && share > 0.0
    });
    let new_trace = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
    let context = Context {
        trace: parent.map_or(new_trace.max(1), |parent| parent.trace),
        span: random.next_u64().max(1),
        sampled: Some(sampled),
    };
    headers.set(b"traceparent", context.to_w3c().as_bytes());
    match client.map(|(_, form)| form) {
        Some(Form::B3) => headers.set(b"b3", context.to_b3().as_bytes()),
        Some(Form::B3Headers) => write_b3(headers, context, parent),
        Some(Form::W3c) | None => {}
    }
    (context, parent.map(|parent| parent.span))
}

fn read(headers: &Headers) -> Option<(Context, Form)> {
    let header = |name: &str| std::str::from_utf8(headers.find(name.as_bytes())?).ok();
    let w3c = || Some((Context::from_w3c(header("traceparent")?)?, Form::W3c));
    let b3 = || Some((Context::from_b3(header("b3")?)?, Form::B3));
    let several = || Some((Context::from_b3_headers(header)?, Form::B3Headers));
    w3c().or_else(b3).or_else(several)
}

fn write_b3(headers: &mut Headers, context: Context, parent: Option<Context>) {
    headers.set(b"x-b3-traceid", format!("{:032x}", context.trace).as_bytes());
    headers.set(b"x-b3-spanid", format!("{:016x}", context.span).as_bytes());
    if let Some(parent) = parent {
        headers.set(b"x-b3-parentspanid", format!("{:016x}", parent.span).as_bytes());
    }
    let sampled: &[u8] = if context.sampled == Some(true) { b"1" } else { b"0" };
    headers.set(b"x-b3-sampled", sampled);
}

/// The span of a request that is over.
pub(super) fn of(
    request: &Request,
    record: &Record,
    detail: &Detail,
    ((context, parent), duration): ((Context, Option<u64>), Duration),
) -> Span {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = request.target_text().split(|&byte| byte == b'?').next().unwrap_or_default();
    let method = text(request.method_text());
    let mut attributes = vec![
        ("http.request.method", method.clone()),
        ("url.path", text(path)),
        ("server.address", text(request.authority_text())),
        ("http.response.status_code", record.status.to_string()),
        ("response_flags", record.flags.to_string()),
    ];
    let mut known = |name, value: Option<&Arc<str>>| {
        attributes.extend(value.map(|value| (name, value.to_string())));
    };
    known("upstream_cluster", detail.cluster.as_ref());
    known("http.route", detail.route.as_ref());
    if let Some(id) = request.headers.find(b"x-request-id") {
        attributes.push(("guid:x-request-id", text(id)));
    }
    let name = match &detail.virtual_host {
        Some(host) => format!("{method} {host}"),
        None => method,
    };
    let is_error = record.status == 0 || record.status >= 500;
    Span { context, parent, name, start: record.started_at, duration, is_error, attributes }
}
