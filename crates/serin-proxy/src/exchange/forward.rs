//! Sending a request upstream: prepare it once, then try until there is an answer to give.

use std::time::Duration;

use serin_routing::balancer::Attempts;
use serin_routing::breaker::{Permit, Resource};
use serin_routing::decide::{Decision, Forwarding};
use serin_routing::response::{Failure, Flag};

use super::attempt::{Tried, attempt};
use super::{Ended, Exchange, Outgoing, RequestFacts, reply};
use crate::request::Request;
use crate::response::{Responder, remove_hop_by_hop};

/// Everything that stays the same from try to try.
pub(super) struct Trip<'t> {
    pub(super) exchange: &'t Exchange<'t>,
    pub(super) decision: &'t Decision<'t>,
    pub(super) forwarding: &'t Forwarding<'t>,
    pub(super) upstream: &'t crate::upstream::Upstream,
}

/// Sends a request upstream and its answer downstream.
pub(super) async fn forward(
    exchange: &Exchange<'_>,
    request: &mut Request,
    decision: &Decision<'_>,
    forwarding: &Forwarding<'_>,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
) -> Ended {
    prepare(request, decision, forwarding);
    let Some(upstream) = exchange.worker.upstreams.get(&forwarding.cluster.name) else {
        let failure = Failure::ClusterNotFound(forwarding.forward.cluster_not_found_status);
        responder.record.failed(failure);
        return reply::failure(exchange, request, Some(decision), failure, responder).await;
    };
    let Ok(permit) = upstream.shared.breaker.take(Resource::Requests) else {
        responder.record.failed(Failure::Overflow);
        return reply::failure(exchange, request, Some(decision), Failure::Overflow, responder)
            .await;
    };
    let trip = Trip { exchange, decision, forwarding, upstream: &upstream };
    let tries = try_until_answered(&trip, request, outgoing, responder);
    let ended = match forwarding.timeout {
        Some(limit) => {
            tokio::time::timeout(limit, tries).await.unwrap_or(Err(Failure::ResponseTimeout))
        }
        None => tries.await,
    };
    drop(permit);
    match ended {
        Ok(ended) => ended,
        // The head is on its way downstream: all that can be done is to break off.
        Err(failure) if responder.record.status != 0 => {
            responder.record.failed(failure);
            Ended::Broken
        }
        Err(failure) => {
            responder.record.failed(failure);
            reply::failure(exchange, request, Some(decision), failure, responder).await
        }
    }
}

/// Makes the request that goes upstream out of the one that came.
fn prepare(request: &mut Request, decision: &Decision<'_>, forwarding: &Forwarding<'_>) {
    if !decision.leaves_request_headers() {
        // Values may quote the request, which is being changed: it is copied only if there is something to change.
        let original = request.copy_head();
        decision.change_request(&mut request.headers, &RequestFacts { request: &original });
    }
    if let Some(target) = forwarding.rewritten_target(request) {
        let original = request.target_text().to_vec();
        request.headers.set(b"x-envoy-original-path", &original);
        request.set_target(&target);
    }
    if let Some(authority) = forwarding.authority {
        request.set_authority(authority.as_bytes());
    }
    remove_hop_by_hop(&mut request.headers);
    if let Some(limit) = forwarding.timeout {
        request
            .headers
            .set(b"x-envoy-expected-rq-timeout-ms", limit.as_millis().to_string().as_bytes());
    }
}

async fn try_until_answered(
    trip: &Trip<'_>,
    request: &mut Request,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
) -> Result<Ended, Failure> {
    let policy = trip.forwarding.forward.retry.as_ref();
    let mut retries = trip.forwarding.retries(request);
    let mut attempts = Attempts::new(policy);
    if retries.is_none() {
        outgoing.forget();
    }
    let mut permit: Option<Permit> = None;
    loop {
        responder.record.attempts += 1;
        request
            .headers
            .set(b"x-envoy-attempt-count", responder.record.attempts.to_string().as_bytes());
        let tried =
            attempt(trip, request, outgoing, responder, &mut attempts, retries.as_mut()).await;
        drop(permit.take());
        match tried {
            Tried::Done(ended) => return Ok(ended),
            Tried::Failed(failure) => return Err(failure),
            Tried::Exhausted(failure) => {
                responder.record.flag(Flag::UpstreamRetryLimitExceeded);
                return Err(failure);
            }
            Tried::Again { after, permit: next } => {
                permit = Some(next);
                if after > Duration::ZERO {
                    tokio::time::sleep(after).await;
                }
            }
        }
    }
}
