//! Answers of the proxy's own.

use serin_routing::decide::{Decision, allow_origin};
use serin_routing::response::{Failure, grpc_status_of};

use super::{Ended, Exchange, RequestFacts, is_grpc};
use crate::body::Piece;
use crate::message::Headers;
use crate::request::Request;
use crate::response::{Length, Responder, Response, http_date};
use crate::upstream::Target;

/// Says that a request failed, if there is still a way to say it: an answer once begun can only be broken off.
pub(super) async fn fail(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
    failure: Failure,
    responder: &mut Responder<'_>,
) -> Ended {
    let has_begun = responder.record.status != 0;
    responder.record.failed(failure);
    if has_begun {
        return Ended::Broken;
    }
    if failure.ends_connection() {
        responder.reply.close();
    }
    let reply = failure.reply();
    let mut response = Response::new(reply.status);
    if matches!(failure, Failure::Unauthenticated(_)) {
        response.headers.append(b"www-authenticate", &challenge(request));
    }
    let answer =
        Answer { response, body: reply.body.as_bytes(), grpc_status: Some(reply.grpc_status) };
    own(exchange, request, decision, answer, responder).await
}

/// Says that a token is no good, and for what: the address that was asked for, of which 256 bytes are shown (Envoy's filter).
fn challenge(request: &Request) -> Vec<u8> {
    const SHOWN: usize = 256;
    let scheme = if request.secure { "https" } else { "http" };
    let mut text = format!("Bearer realm=\"{scheme}://").into_bytes();
    text.extend_from_slice(request.authority_text());
    text.extend(request.target_text().iter().filter(|byte| **byte != b'"').take(SHOWN));
    text.extend_from_slice(b"\", error=\"invalid_token\"");
    text
}

/// An answer of the proxy's own.
pub(super) struct Answer<'a> {
    pub(super) response: Response,
    pub(super) body: &'a [u8],
    /// What gRPC clients are told; `None` if it follows from the status.
    pub(super) grpc_status: Option<u8>,
}

/// Sends an answer with its body: to clients that speak gRPC as a gRPC status, with the body as its message.
pub(super) async fn own(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
    answer: Answer<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    let Answer { mut response, mut body, grpc_status } = answer;
    if is_grpc(request) {
        let status = grpc_status.unwrap_or_else(|| grpc_status_of(response.status));
        say_in_grpc(&mut response, status, body);
        responder.record.grpc_status = Some(u32::from(status));
        body = b"";
    } else if !body.is_empty() {
        response.headers.append(b"content-type", b"text/plain");
    }
    finish_head(exchange, request, decision, None, &mut response);
    responder.record.status = response.status;
    if !body.is_empty() {
        response.headers.set_number(b"content-length", body.len() as u64);
    }
    let body = if responder.is_head { b"" } else { body };
    let length = match body.len() {
        0 => Length::None,
        length => Length::Exact(length as u64),
    };
    let Ok(mut sink) = responder.start(&response, length) else { return Ended::Broken };
    if !body.is_empty() && sink.write(Piece::Borrowed(body)).await.is_err() {
        return Ended::Broken;
    }
    responder.record.response_bytes = body.len() as u64;
    if sink.finish(&Headers::default()).await.is_err() { Ended::Broken } else { Ended::Complete }
}

/// Turns an answer into a gRPC status without messages.
fn say_in_grpc(response: &mut Response, status: u8, message: &[u8]) {
    response.status = 200;
    response.headers.set(b"content-type", b"application/grpc");
    response.headers.set(b"grpc-status", status.to_string().as_bytes());
    if !message.is_empty() {
        response.headers.set(b"grpc-message", &percent_encoded(message));
    }
}

/// The form of `grpc-message`: printable ASCII but `%` as it is (gRPC over HTTP/2, "Responses").
fn percent_encoded(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len());
    for &byte in message {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(byte),
            _ => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    text
}

/// The last changes to a response's head, whoever made it: cross-origin headers, the rule's changes, `server` and `date`. `target` is the
/// endpoint that it comes from.
pub(super) fn finish_head(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
    target: Option<&Target>,
    response: &mut Response,
) {
    if let Some(decision) = decision {
        if let Some(cors) = decision.cors {
            let origin = request.headers.find(b"origin").unwrap_or_default();
            let is_preflight =
                matches!(decision.verdict, serin_routing::decide::Verdict::Preflight);
            allow_origin(cors, origin, is_preflight, &mut response.headers);
        }
        if !decision.leaves_response_headers() {
            let (version, status) = (exchange.version, Some(response.status));
            let facts = RequestFacts { request, version, decision, status, target };
            decision.change_response(&mut response.headers, &facts);
        }
    }
    response.headers.set(b"server", exchange.http.server_name.as_bytes());
    if response.headers.known(serin_http1::FieldName::Date).is_none() {
        let now = exchange.worker.clock.now();
        response.headers.append_with(b"date", |out| http_date(out, now));
    }
}
