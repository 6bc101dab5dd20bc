//! Answers of the proxy's own.

use serin_routing::decide::{Decision, allow_origin};
use serin_routing::response::Failure;

use super::{Ended, Exchange, RequestFacts};
use crate::request::Request;
use crate::response::{Length, Responder, Response, http_date};

/// Answers that a request failed: for gRPC as a gRPC status, otherwise by an HTTP status with the reason as text.
pub(super) async fn failure(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
    failure: Failure,
    responder: &mut Responder<'_>,
) -> Ended {
    let reply = failure.reply();
    let content_type = request.headers.find(b"content-type").unwrap_or_default();
    if content_type.starts_with(b"application/grpc") {
        let mut response = Response::new(200);
        response.headers.append(b"content-type", b"application/grpc");
        response.headers.append(b"grpc-status", reply.grpc_status.to_string().as_bytes());
        if !reply.body.is_empty() {
            response.headers.append(b"grpc-message", reply.body.as_bytes());
        }
        return own(exchange, request, decision, response, b"", responder).await;
    }
    let mut response = Response::new(reply.status);
    if !reply.body.is_empty() {
        response.headers.append(b"content-type", b"text/plain");
    }
    own(exchange, request, decision, response, reply.body.as_bytes(), responder).await
}

/// Sends an answer with its body.
pub(super) async fn own(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
    mut response: Response,
    body: &[u8],
    responder: &mut Responder<'_>,
) -> Ended {
    finish_head(exchange, request, decision, &mut response);
    responder.record.status = response.status;
    let body = if responder.is_head { b"" } else { body };
    let length = if body.is_empty() { Length::None } else { Length::Known(body.len() as u64) };
    let mut sink = responder.start(&response, length);
    if !body.is_empty() && sink.write(body).await.is_err() {
        return Ended::Broken;
    }
    responder.record.response_bytes = body.len() as u64;
    if sink.finish(b"").await.is_err() { Ended::Broken } else { Ended::Complete }
}

/// The last changes to a response's head, whoever made it: cross-origin headers, the rule's changes, `server` and `date`.
pub(super) fn finish_head(
    exchange: &Exchange<'_>,
    request: &Request,
    decision: Option<&Decision<'_>>,
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
            decision.change_response(&mut response.headers, &RequestFacts { request });
        }
    }
    response.headers.set(b"server", exchange.http.server_name.as_bytes());
    if response.headers.known(serin_http1::FieldName::Date).is_none() {
        let mut date = Vec::with_capacity(32);
        http_date(&mut date);
        response.headers.append(b"date", &date);
    }
}
