//! One try: an endpoint, a connection, the request out, the answer back.

use std::time::Duration;

use serin_http1::{FieldName, Framing, request_line, write_field};
use serin_routing::balancer::Attempts;
use serin_routing::breaker::{Permit, Resource};
use serin_routing::outlier::Outcome;
use serin_routing::response::Failure;
use serin_routing::retry::{self, ResetReason, Verdict};

use super::forward::Trip;
use super::outgoing::{Outgoing, SendError};
use super::{Ended, reply};
use crate::body::{Http1Source, Sink, Source};
use crate::request::Request;
use crate::response::{Length, Responder, Response};
use crate::upstream::{Http1Connection, Lease, Target, UpstreamError, connect};

/// What came of a try.
pub(super) enum Tried {
    /// The answer went downstream.
    Done(Ended),
    /// No answer, and no other try.
    Failed(Failure),
    /// No answer, and no try left.
    Exhausted(Failure),
    /// Another try.
    Again {
        /// After this time.
        after: Duration,
        /// Held until that try is over.
        permit: Permit,
    },
}

/// Why a try has no answer.
struct Broken {
    failure: Failure,
    reason: ResetReason,
    /// Whether the upstream may have seen any of the request.
    request_sent: bool,
}

/// Tries once.
pub(super) async fn attempt(
    trip: &Trip<'_>,
    request: &Request,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
    attempts: &mut Attempts,
    mut retries: Option<&mut retry::State>,
) -> Tried {
    let worker = trip.exchange.worker;
    let now = worker.clock.now();
    let target =
        trip.upstream.choose(trip.forwarding.hash, attempts, now, &mut worker.random.borrow_mut());
    let Some(target) = target else { return Tried::Failed(Failure::NoHealthyUpstream) };
    let active = trip.upstream.state().borrow().begin(target.id);
    let mut lease = match open(trip, &target).await {
        Ok(lease) => lease,
        Err(broken) => return give_up_or_retry(trip, &target, outgoing, retries, broken),
    };
    let limit = trip
        .forwarding
        .forward
        .retry
        .as_ref()
        .and_then(|policy| policy.try_timeout(trip.forwarding.timeout));
    let exchanged = exchange(trip, request, outgoing, &mut lease, responder.record.attempts > 1);
    let exchanged = match limit {
        Some(limit) => tokio::time::timeout(limit, exchanged).await.unwrap_or(Err(Broken {
            failure: Failure::PerTryTimeout,
            reason: ResetReason::TryTimeout,
            request_sent: true,
        })),
        None => exchanged.await,
    };
    let answer = match exchanged {
        Ok(answer) => answer,
        Err(broken) => return give_up_or_retry(trip, &target, outgoing, retries, broken),
    };
    report(trip, &target, Outcome::Response(answer.response.status));
    if let Some(again) = retry_answer(trip, outgoing, retries.take(), &answer) {
        return again;
    }
    let ended = respond(trip, request, answer, lease, responder).await;
    drop(active);
    Tried::Done(ended)
}

/// A connection: one that is idle, or a new one.
async fn open(trip: &Trip<'_>, target: &Target) -> Result<Lease, Broken> {
    if let Some(lease) = target.pool.take() {
        return Ok(lease);
    }
    let breaker = &trip.upstream.shared.breaker;
    let pending = breaker.take(Resource::PendingRequests);
    let connections = if target.pool.is_empty() {
        Ok(breaker.take_first_connection())
    } else {
        breaker.take(Resource::Connections)
    };
    let (Ok(_pending), Ok(permit)) = (pending, connections) else {
        return Err(Broken {
            failure: Failure::Overflow,
            reason: ResetReason::Overflow,
            request_sent: false,
        });
    };
    let stream = connect(&target.address, trip.upstream.shared.cluster.connect_timeout).await;
    let stream = stream.map_err(|_| Broken {
        failure: Failure::ConnectFailure,
        reason: ResetReason::ConnectFailure,
        request_sent: false,
    })?;
    Ok(target.pool.lease(Http1Connection::new(stream, &trip.exchange.worker.buffers, permit)))
}

/// An answer's head; its body is still on the connection.
struct Answer {
    response: Response,
    framing: Framing,
    keep_alive: bool,
}

/// The request out and the answer's head back.
async fn exchange(
    trip: &Trip<'_>,
    request: &Request,
    outgoing: &mut Outgoing<'_>,
    lease: &mut Lease,
    is_retry: bool,
) -> Result<Answer, Broken> {
    let reused = lease.reused && !is_retry;
    let connection = lease.connection();
    let framing = framing(request, outgoing);
    let head = request_head(request, framing, connection.take_head_buffer());
    let mut parts = connection.parts();
    let mut sink = Sink::new(parts.io, head, framing);
    let limits = trip.exchange.worker.settings.heads;
    let method = request.method_text();
    let broken = |error: &UpstreamError, request_sent: bool| {
        let failure = match error {
            UpstreamError::Malformed(_) => Failure::UpstreamProtocolError,
            UpstreamError::Closed | UpstreamError::Read(_) => Failure::ConnectionTermination,
        };
        // A connection that was idle may have been closed by the peer while the request was on its way: nothing was lost.
        let reason =
            if reused && !request_sent { ResetReason::ConnectFailure } else { ResetReason::Other };
        Broken { failure, reason, request_sent }
    };
    let sent = {
        let send = std::pin::pin!(outgoing.send(&mut sink));
        let read = std::pin::pin!(parts.wait_for_answer());
        tokio::select! {
            biased;
            sent = send => Some(sent),
            // An answer before the whole request was sent: what is left is not wanted.
            () = read => None,
        }
    };
    match sent {
        Some(Err(SendError::Downstream)) => {
            return Err(Broken {
                failure: Failure::ConnectionTermination,
                reason: ResetReason::Other,
                request_sent: true,
            });
        }
        Some(Err(SendError::Upstream)) | Some(Ok(())) | None => {}
    }
    let was_sent = matches!(sent, Some(Ok(())));
    drop(sink);
    let head = parts.read_head(method, limits).await.map_err(|error| broken(&error, true))?;
    let mut response = Response::default();
    response.read_http1(head.head, head.buffer);
    let answer =
        Answer { response, framing: head.framing, keep_alive: head.keep_alive && was_sent };
    connection.consume_head();
    Ok(answer)
}

/// How the request's body goes upstream.
fn framing(request: &Request, outgoing: &Outgoing<'_>) -> Framing {
    let length = request.headers.known(FieldName::ContentLength);
    let length = length.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match length {
        Some(length) => Framing::Length(length),
        None if outgoing.is_empty() => Framing::None,
        None => Framing::Chunked,
    }
}

fn request_head(request: &Request, framing: Framing, mut head: Vec<u8>) -> Vec<u8> {
    head.clear();
    request_line(&mut head, request.method_text(), request.target_text());
    write_field(&mut head, b"host", request.authority_text());
    for (_, name, value) in request.headers.iter() {
        write_field(&mut head, name, value);
    }
    if framing == Framing::Chunked {
        write_field(&mut head, b"transfer-encoding", b"chunked");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The answer downstream.
async fn respond(
    trip: &Trip<'_>,
    request: &Request,
    answer: Answer,
    mut lease: Lease,
    responder: &mut Responder<'_>,
) -> Ended {
    let worker = trip.exchange.worker;
    let Answer { mut response, framing, keep_alive } = answer;
    let elapsed = worker.clock.now().since(responder.record.started).as_millis();
    response.headers.set(b"x-envoy-upstream-service-time", elapsed.to_string().as_bytes());
    if let Some(cookie) = &trip.forwarding.cookie {
        response.headers.append(b"set-cookie", cookie.header().as_bytes());
    }
    reply::finish_head(trip.exchange, request, Some(trip.decision), &mut response);
    responder.record.details = "via_upstream";
    let length = match framing {
        Framing::None => Length::None,
        Framing::Length(length) => Length::Known(length),
        Framing::Chunked | Framing::UntilClose => Length::Unknown,
    };
    responder.record.status = response.status;
    let mut sink = responder.start(&response, length);
    let parts = lease.connection().parts();
    let mut decoder = serin_http1::Decoder::new(framing);
    let mut source = Source::Http1(Http1Source::new(parts.io, parts.input, &mut decoder));
    loop {
        match source.next().await {
            Ok(true) => {
                responder.record.response_bytes += source.piece().len() as u64;
                if sink.write(source.piece()).await.is_err() {
                    responder
                        .record
                        .flag(serin_routing::response::Flag::DownstreamConnectionTermination);
                    return Ended::Broken;
                }
                source.consume();
            }
            Ok(false) => break,
            Err(_) => {
                responder.record.failed(Failure::ConnectionTermination);
                return Ended::Broken;
            }
        }
    }
    if sink.finish(source.trailers()).await.is_err() {
        return Ended::Broken;
    }
    drop(source);
    if keep_alive && may_serve_again(trip, &mut lease) {
        lease.give_back(worker.clock.now());
    }
    Ended::Complete
}

fn may_serve_again(trip: &Trip<'_>, lease: &mut Lease) -> bool {
    let most = trip.upstream.shared.cluster.limits.max_requests_per_connection;
    most == 0 || lease.connection().requests() < most
}

fn report(trip: &Trip<'_>, target: &Target, outcome: Outcome) {
    let now = trip.exchange.worker.clock.now();
    // What the detection found shows in the balancer's next choice.
    let _ = trip.upstream.state().borrow_mut().report(target.id, outcome, now);
}

/// After a try without an answer.
fn give_up_or_retry(
    trip: &Trip<'_>,
    target: &Target,
    outgoing: &Outgoing<'_>,
    retries: Option<&mut retry::State>,
    broken: Broken,
) -> Tried {
    match broken.reason {
        ResetReason::Overflow => {}
        ResetReason::TryTimeout => report(trip, target, Outcome::TimedOut),
        _ => report(trip, target, Outcome::Failed),
    }
    let failed =
        retry::Failure::NoAnswer { reason: broken.reason, request_sent: broken.request_sent };
    decide_retry(trip, outgoing, retries, failed).unwrap_or_else(|is_exhausted| {
        if is_exhausted { Tried::Exhausted(broken.failure) } else { Tried::Failed(broken.failure) }
    })
}

/// Another try in place of an answer that the policy does not accept.
fn retry_answer(
    trip: &Trip<'_>,
    outgoing: &Outgoing<'_>,
    retries: Option<&mut retry::State>,
    answer: &Answer,
) -> Option<Tried> {
    let headers = &answer.response.headers;
    let grpc_status =
        headers.find(b"grpc-status").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let has_header = |name: &str| headers.find(name.as_bytes()).is_some();
    let failed = retry::Failure::Answer {
        status: answer.response.status,
        grpc_status,
        has_header: &has_header,
    };
    decide_retry(trip, outgoing, retries, failed).ok()
}

/// Another try; or, as an error, whether one was due but none is left.
fn decide_retry(
    trip: &Trip<'_>,
    outgoing: &Outgoing<'_>,
    retries: Option<&mut retry::State>,
    failed: retry::Failure<'_>,
) -> Result<Tried, bool> {
    let (Some(policy), Some(retries)) = (trip.forwarding.forward.retry.as_ref(), retries) else {
        return Err(false);
    };
    if !outgoing.can_replay() {
        return Err(false);
    }
    let breaker = &trip.upstream.shared.breaker;
    let verdict =
        retries.decide(policy, failed, breaker, &mut *trip.exchange.worker.random.borrow_mut());
    match verdict {
        Verdict::Retry { after, permit } => Ok(Tried::Again { after, permit }),
        Verdict::LimitExceeded => Err(true),
        Verdict::Final | Verdict::Overflow(_) => Err(false),
    }
}
