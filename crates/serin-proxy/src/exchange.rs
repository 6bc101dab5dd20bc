//! The way of a request, phase by phase.
//!
//! [`handle`] reads from top to bottom: identify the client, decide, wait for an injected delay, then do what was decided.
//! Every decision is one call into `serin-routing`; every phase has at most one thing it waits for.

mod attempt;
mod facts;
mod forward;
mod outgoing;
mod reply;

use std::rc::Rc;
use std::sync::Arc;

use serin_routing::decide::{Decision, Verdict, decide};
use serin_routing::model::HttpConnection;
use serin_routing::response::Failure;

use crate::body::Source;
use crate::forwarded::identify;
use crate::request::Request;
use crate::response::{Responder, Response};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

use facts::RequestFacts;
use outgoing::Outgoing;

/// What a request is handled with.
pub(crate) struct Exchange<'e> {
    pub(crate) worker: &'e Rc<Worker>,
    pub(crate) snapshot: &'e Arc<Snapshot>,
    pub(crate) http: &'e HttpConnection,
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
    let is_tls = request.secure;
    let peer = request.downstream.direct_remote;
    identify(request, exchange.http, peer, is_tls, &mut *worker.random.borrow_mut());
    let Some(table) = exchange.snapshot.table(&exchange.http.routes) else {
        responder.record.failed(Failure::RouteNotFound);
        let ended =
            reply::failure(exchange, request, None, Failure::RouteNotFound, responder).await;
        worker.counters.add(&responder.record);
        return ended;
    };
    let decision = {
        let (mut scratch, mut random) = (worker.scratch.borrow_mut(), worker.random.borrow_mut());
        decide(&exchange.snapshot.compiled, table, request, &mut scratch, &mut *random)
    };
    responder.record.flags = decision.flags();
    if let Some(delay) = decision.delay {
        tokio::time::sleep(delay).await;
    }
    let mut outgoing = Outgoing::new(body, worker.settings.retry_buffer);
    let ended = act(exchange, request, &decision, &mut outgoing, responder).await;
    responder.record.request_bytes = outgoing.count();
    worker.counters.add(&responder.record);
    // What is left of the request's body stands before the next request.
    if ended == Ended::Complete && !outgoing.is_drained().await { Ended::Broken } else { ended }
}

async fn act(
    exchange: &Exchange<'_>,
    request: &mut Request,
    decision: &Decision<'_>,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    match &decision.verdict {
        Verdict::Forward(forwarding) => {
            forward::forward(exchange, request, decision, forwarding, outgoing, responder).await
        }
        Verdict::Redirect(redirection) => {
            let mut response = Response::new(redirection.status());
            response.headers.append(b"location", &redirection.location(request));
            responder.record.details = "direct_response";
            reply::own(exchange, request, Some(decision), response, b"", responder).await
        }
        Verdict::Direct(direct) => {
            responder.record.details = "direct_response";
            let mut response = Response::new(direct.status);
            if !direct.body.is_empty() {
                response.headers.append(b"content-type", b"text/plain");
            }
            reply::own(exchange, request, Some(decision), response, &direct.body, responder).await
        }
        Verdict::Preflight => {
            responder.record.details = "cors_response";
            reply::own(exchange, request, Some(decision), Response::new(200), b"", responder).await
        }
        Verdict::Fail(failure) => {
            responder.record.failed(*failure);
            reply::failure(exchange, request, Some(decision), *failure, responder).await
        }
    }
}
