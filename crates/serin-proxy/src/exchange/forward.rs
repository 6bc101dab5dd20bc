//! Sending a request upstream: prepare it once, then try until there is an answer to give.

use std::cell::Cell;
use std::time::Duration;

use serin_http1::{FieldName, FieldNames};
use serin_routing::balancer::{Attempts, EndpointId};
use serin_routing::decide::{Decision, Forwarding};
use serin_routing::outlier::Outcome;
use serin_routing::response::Failure;
use serin_routing::time::Instant;

use super::attempt::{Tried, attempt};
use super::{Ended, Exchange, Outgoing, RequestFacts, reply};
use crate::request::Request;
use crate::response::{Responder, remove_hop_by_hop};
use crate::upstream::Version;

/// Headers that were for this proxy and are not passed on (Envoy's router takes them out as it reads them).
const STEERING: [&[u8]; 8] = [
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-max-retries",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retry-on",
    TRY_TIMEOUT,
    b"x-envoy-upstream-rq-timeout-ms",
];
/// Overrides the time for one try, in milliseconds.
const TRY_TIMEOUT: &[u8] = b"x-envoy-upstream-rq-per-try-timeout-ms";

/// Everything that stays the same from try to try.
pub(super) struct Trip<'t> {
    pub(super) exchange: &'t Exchange<'t>,
    pub(super) decision: &'t Decision<'t>,
    pub(super) forwarding: &'t Forwarding<'t>,
    pub(super) upstream: &'t crate::upstream::Upstream,
    /// Time for one try.
    pub(super) try_timeout: Option<Duration>,
    /// When what came before was over, such as an injected delay.
    pub(super) started: Instant,
    /// The endpoint whose answer has not begun yet.
    pub(super) awaited: Cell<Option<EndpointId>>,
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
    let try_timeout = try_timeout(request, forwarding);
    prepare(request, exchange.version, decision, forwarding);
    expect_answer_within(request, try_timeout.or(forwarding.timeout));
    let Some(upstream) = exchange.worker.upstream(&forwarding.cluster.name) else {
        let failure = Failure::ClusterNotFound(forwarding.forward.cluster_not_found_status);
        return reply::fail(exchange, request, Some(decision), failure, responder).await;
    };
    responder.record.routed(&upstream);
    let started = exchange.worker.clock.now();
    let trip = Trip {
        exchange,
        decision,
        forwarding,
        upstream: &upstream,
        try_timeout,
        started,
        awaited: Cell::new(None),
    };
    let progress = outgoing.progress();
    let ended = {
        // In one place whichever way it is waited for: it is large.
        let mut tries = std::pin::pin!(try_until_answered(&trip, request, outgoing, responder));
        match forwarding.timeout {
            Some(limit) => tokio::select! {
                biased;
                ended = &mut tries => ended,
                () = progress.after_whole(limit) => {
                    upstream.report(trip.awaited.get(), Outcome::TimedOut);
                    Err(Failure::ResponseTimeout)
                }
            },
            None => tries.await,
        }
    };
    match ended {
        Ok(ended) => ended,
        Err(failure) => reply::fail(exchange, request, Some(decision), failure, responder).await,
    }
}

/// Makes the request that goes upstream out of the one that came.
fn prepare(
    request: &mut Request,
    version: Version,
    decision: &Decision<'_>,
    forwarding: &Forwarding<'_>,
) {
    if !decision.leaves_request_headers() {
        // Values may quote the request, which is being changed: it is copied only if there is something to change.
        let original = request.copy_head();
        let (status, target) = (None, None);
        let facts = RequestFacts { request: &original, version, decision, status, target };
        decision.change_request(&mut request.headers, &facts);
    }
    if let Some(target) = forwarding.rewritten_target(request) {
        let original = request.target_text().to_vec();
        request.headers.set(b"x-envoy-original-path", &original);
        request.set_target(&target);
    }
    if let Some(authority) = forwarding.authority {
        let original = request.authority_text().to_vec();
        request.headers.set(b"x-envoy-original-host", &original);
        request.set_authority(authority.as_bytes());
    }
    remove_hop_by_hop(&mut request.headers);
}

/// The time for one try: the client's own, where it may ask for one, or the rule's; none that is not shorter than the whole.
fn try_timeout(request: &Request, forwarding: &Forwarding<'_>) -> Option<Duration> {
    let asked = request.headers.find(TRY_TIMEOUT);
    let asked = asked.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let rule = forwarding.forward.retry.as_ref().and_then(|policy| policy.per_try_timeout);
    let limit = asked.map(Duration::from_millis).or(rule).filter(|limit| !limit.is_zero())?;
    forwarding.timeout.is_none_or(|whole| limit < whole).then_some(limit)
}

/// Tells the upstream how long it is waited for: a try, or all of them. For gRPC also in the header that its servers read.
fn expect_answer_within(request: &mut Request, limit: Option<Duration>) {
    let Some(limit) = limit else { return };
    let milliseconds = limit.as_millis().to_string();
    request.headers.set(b"x-envoy-expected-rq-timeout-ms", milliseconds.as_bytes());
    if request.headers.find(b"grpc-timeout").is_some() && super::is_grpc(request) {
        request.headers.set(b"grpc-timeout", grpc_timeout(limit).as_bytes());
    }
}

/// At most eight digits and a unit.
fn grpc_timeout(limit: Duration) -> String {
    match limit.as_millis() {
        milliseconds @ ..100_000_000 => format!("{milliseconds}m"),
        milliseconds => format!("{}S", (milliseconds / 1000).min(99_999_999)),
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
    let envoys = FieldNames::of(&[FieldName::Envoy]);
    request.headers.remove_any(envoys, |name| STEERING.contains(&name));
    let mut attempts = Attempts::new(policy);
    if retries.is_none() {
        outgoing.forget();
    }
    loop {
        responder.record.attempts += 1;
        let number = u64::from(responder.record.attempts);
        request.headers.set_number(b"x-envoy-attempt-count", number);
        let tried =
            attempt(trip, request, outgoing, responder, &mut attempts, retries.as_mut()).await;
        match tried {
            Tried::Done(ended) => return Ok(ended),
            Tried::Abandoned => {
                responder.record.abandoned();
                return Ok(Ended::Broken);
            }
            Tried::Failed { failure, flag } => {
                flag.into_iter().for_each(|flag| responder.record.flag(flag));
                return Err(failure);
            }
            Tried::Again { after, failed } => {
                responder.record.first_try_failed |= failed && number == 1;
                if after > Duration::ZERO {
                    tokio::time::sleep(after).await;
                }
            }
        }
    }
}
