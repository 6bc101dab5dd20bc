//! The way of a request, phase by phase.
//!
//! [`handle`] reads from top to bottom: identify the client, decide, wait for an injected delay, then do what was decided.
//! Every decision is one call into `serin-routing`; every phase has at most one thing it waits for.

mod attempt;
mod explain;
mod facts;
mod forward;
mod mirror;
mod outgoing;
mod progress;
mod reply;
mod respond;

use std::rc::Rc;
use std::sync::Arc;

use serin_http1::FieldName;
use serin_routing::decide::{Decision, Verdict, decide};
use serin_routing::model::HttpConnection;
use serin_routing::response::Failure;

use crate::body::Source;
use crate::forwarded::identify;
use crate::inbound;
use crate::request::{Request, Upgrade};
use crate::response::{Reply, Responder, Response};
use crate::snapshot::Snapshot;
use crate::upstream::Version;
use crate::websocket;
use crate::worker::Worker;

use facts::RequestFacts;
use outgoing::Outgoing;
use progress::Progress;
use reply::Answer;

pub(crate) use explain::HEADER as EXPLAIN;
pub(crate) use mirror::CopySource;

/// What a request is handled with.
pub(crate) struct Exchange<'e> {
    pub(crate) worker: &'e Rc<Worker>,
    pub(crate) snapshot: &'e Arc<Snapshot>,
    pub(crate) http: &'e HttpConnection,
    /// The version that the request came in.
    pub(crate) version: Version,
}

/// How a request ended, as far as its connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The response is complete.
    Complete,
    /// The response broke off, or the request's body was left unread: nothing more can follow on the connection.
    Broken,
}

/// Handles one request.
pub(crate) async fn handle(
    exchange: &Exchange<'_>,
    request: &mut Request,
    body: Source<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    let worker = exchange.worker;
    let limit = exchange.http.stream_idle_timeout.filter(|limit| !limit.is_zero());
    let progress = Progress::new(worker.clock, limit.is_some());
    let mut outgoing = Outgoing::new(body, worker.settings.retry_buffer, &progress);
    let ended = {
        // In one place whichever way it is waited for: it is large.
        let mut phases = std::pin::pin!(phases(exchange, request, &mut outgoing, responder));
        match limit {
            Some(limit) => tokio::select! {
                biased;
                ended = &mut phases => Some(ended),
                () = progress.idle(limit) => None,
            },
            None => Some(phases.await),
        }
    };
    responder.record.request_bytes = progress.bytes.get();
    responder.record.request_messages = progress.messages.get();
    if let Some(detail) = &mut responder.record.detail {
        detail.received = progress.whole();
    }
    let Some(ended) = ended else {
        // It is the upstream that is waited for, or the client.
        let status = if progress.whole().is_some() { 504 } else { 408 };
        let failure = Failure::StreamIdleTimeout(status);
        let ended = reply::fail(exchange, request, None, failure, responder).await;
        let is_next = matches!(responder.reply, Reply::Http1(_));
        return if is_next { Ended::Broken } else { ended };
    };
    // On HTTP/1, what is left of the request's body stands before the next request.
    let is_next = matches!(&responder.reply, Reply::Http1(reply) if reply.keep_alive);
    if ended == Ended::Complete && is_next && !outgoing.drain().await {
        return Ended::Broken;
    }
    ended
}

/// The way of a request.
async fn phases(
    exchange: &Exchange<'_>,
    request: &mut Request,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    let worker = exchange.worker;
    let (peer, is_tls) = (request.downstream.direct_remote, request.secure);
    identify(request, exchange.http, peer, is_tls, &mut *worker.random.borrow_mut());
    if exchange.http.strict_server_name && !request.is_for_server_name() {
        responder.record.details = "misdirected_request";
        let (response, body) = (Response::new(421), &b""[..]);
        let answer = Answer { response, body, grpc_status: None };
        return reply::own(exchange, request, None, answer, responder).await;
    }
    worker.telemetry.trace(request, &mut responder.record, &mut *worker.random.borrow_mut());
    if let Err(rejection) = inbound::at_gateway(worker, exchange.snapshot, request) {
        responder.record.denied(rejection.denied_by);
        return reply::fail(exchange, request, None, rejection.failure, responder).await;
    }
    if let Some(failure) = set_up(worker, request, outgoing) {
        return reply::fail(exchange, request, None, failure, responder).await;
    }
    let Some(table) = exchange.snapshot.table(&exchange.http.routes) else {
        return reply::fail(exchange, request, None, Failure::RouteNotFound, responder).await;
    };
    responder.record.explanation = explain::wanted(exchange, request);
    let decision = {
        let (mut scratch, mut random) = (worker.scratch.borrow_mut(), worker.random.borrow_mut());
        decide(&exchange.snapshot.compiled, table, request, &mut scratch, &mut *random)
    };
    responder.record.flags = decision.flags();
    worker.telemetry.decided(&decision, &mut responder.record);
    if let Some(delay) = decision.delay {
        tokio::time::sleep(delay).await;
    }
    act(exchange, request, &decision, outgoing, responder).await
}

/// What follows from the kind of request, before it is known where it goes.
fn set_up(worker: &Worker, request: &mut Request, outgoing: &mut Outgoing<'_>) -> Option<Failure> {
    match request.upgrade {
        Upgrade::None => {}
        Upgrade::WebSocket => {
            outgoing.tunnel();
            if request.headers.find(websocket::KEY).is_none() {
                let key = websocket::key(&mut *worker.random.borrow_mut());
                request.headers.append(websocket::KEY, key.as_bytes());
            }
        }
        // No listener of Istio's has routes for tunnels.
        Upgrade::Other if request.is_connect() => return Some(Failure::NoTunnel),
        // No listener of Istio's lets these through, so that Envoy answers before it looks for a route.
        Upgrade::Other => return Some(Failure::UpgradeFailed),
    }
    if is_grpc(request) {
        outgoing.count_messages();
    }
    None
}

async fn act(
    exchange: &Exchange<'_>,
    request: &mut Request,
    decision: &Decision<'_>,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    let (response, body): (Response, &[u8]) = match &decision.verdict {
        Verdict::Forward(forwarding) => {
            return forward::forward(exchange, request, decision, forwarding, outgoing, responder)
                .await;
        }
        Verdict::Fail(failure) => {
            return reply::fail(exchange, request, Some(decision), *failure, responder).await;
        }
        Verdict::Redirect(redirection) => {
            responder.record.details = "direct_response";
            let mut response = Response::new(redirection.status());
            response.headers.append(b"location", &redirection.location(request));
            (response, b"")
        }
        Verdict::Direct(direct) => {
            responder.record.details = "direct_response";
            (Response::new(direct.status), &direct.body)
        }
        Verdict::Preflight => {
            responder.record.details = "cors_response";
            (Response::new(200), b"")
        }
    };
    let answer = Answer { response, body, grpc_status: None };
    reply::own(exchange, request, Some(decision), answer, responder).await
}

/// Whether a request speaks gRPC, by its content type (Envoy's rule).
pub(crate) fn is_grpc(request: &Request) -> bool {
    let content_type = request.headers.known(FieldName::ContentType).unwrap_or_default();
    match content_type.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}
