//! One try: an endpoint, a connection, the request out, the answer back.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use serin_routing::balancer::Attempts;
use serin_routing::breaker::Resource;
use serin_routing::outlier::Outcome;
use serin_routing::response::{Failure, Flag};
use serin_routing::retry::{self, ResetReason, Verdict};

use super::forward::Trip;
use super::outgoing::Outgoing;
use super::progress::{Progress, Step};
use super::{Ended, mirror, respond};
use crate::body::{BodyError, Broken};
use crate::inbound;
use crate::record::Record;
use crate::request::Request;
use crate::response::{Responder, Response};
use crate::telemetry::Visit;
use crate::upstream::{Answer, Connection, OpenError, Target, UpstreamError, open};

/// What came of a try.
pub(super) enum Tried {
    /// The answer went downstream.
    Done(Ended),
    /// No answer, and no other try.
    Failed {
        /// What is told downstream.
        failure: Failure,
        /// Why there is no other try, where one was due.
        flag: Option<Flag>,
    },
    /// The client has gone.
    Abandoned,
    /// Another try.
    Again {
        /// After this time.
        after: Duration,
        /// Whether it failed: rules may also want another try for an answer that is none of a server's failures.
        failed: bool,
    },
}

impl Tried {
    const fn failed(failure: Failure) -> Self {
        Self::Failed { failure, flag: None }
    }
}

/// Why a try has no answer.
pub(super) struct NoAnswer {
    failure: Failure,
    reason: ResetReason,
    /// Whether the upstream may have seen any of the request.
    request_sent: bool,
}

impl NoAnswer {
    const fn new(failure: Failure, reason: ResetReason, request_sent: bool) -> Self {
        Self { failure, reason, request_sent }
    }
}

/// Why there is no head of an answer.
enum Interrupted {
    /// By the upstream's doing.
    NoAnswer(NoAnswer),
    /// The client's body makes no sense.
    Malformed(serin_http1::Error),
    /// The client has gone.
    Abandoned,
}

/// The body on its way upstream; it only ever ends by breaking.
pub(super) type Sending<'s> = Pin<&'s mut dyn Future<Output = Result<Infallible, Broken>>>;

/// Tries once.
pub(super) async fn attempt(
    trip: &Trip<'_>,
    request: &Request,
    outgoing: &mut Outgoing<'_>,
    responder: &mut Responder<'_>,
    attempts: &mut Attempts,
    retries: Option<&mut retry::State>,
) -> Tried {
    let worker = trip.exchange.worker;
    let (hash, meant) = (trip.forwarding.hash, request.downstream.local);
    let target = trip.upstream.choose(hash, attempts, meant, &mut worker.random.borrow_mut());
    let Some(target) = target else { return Tried::failed(Failure::NoHealthyUpstream) };
    responder.record.destination = target.destination;
    if let Some(detail) = &mut responder.record.detail {
        detail.endpoint = Some(target.address.clone());
        detail.upstream = trip.upstream.identity(&target);
        detail.upstream_local = None;
        detail.upstream_version = None;
        detail.answered = None;
    }
    responder.record.transport_failure = None;
    let Ok(_permit) = trip.upstream.shared.breaker.take(Resource::Requests) else {
        trip.upstream.overflowed();
        return Tried::failed(Failure::Overflow);
    };
    if responder.record.attempts == 1 {
        mirror::start(trip, request, outgoing, &mut responder.record);
    }
    let _active = trip.upstream.begin(&target);
    let progress = outgoing.progress();
    let ends = (trip.upstream, &target);
    let inbound = inbound::of_request(worker, trip.exchange.snapshot, ends, request);
    let request = inbound.as_ref().map_or(None, |it| it.as_deref()).unwrap_or(request);
    let mut round = Round { trip, request, target: &target, visit: None, progress, retries };
    if let Err(rejection) = &inbound {
        responder.record.denied(rejection.denied_by.clone());
        let begun = (request, &responder.record);
        round.visit = Visit::begin(&worker.telemetry, worker.clock, &target, begun, false);
        return round.refused(rejection.failure);
    }
    let mut connection =
        match open(worker, trip.upstream, &target, request, trip.exchange.version).await {
            Ok(connection) => connection,
            Err(error) => {
                responder.record.transport_failure = error.transport_failure();
                if matches!(error, OpenError::Overflow) {
                    trip.upstream.overflowed();
                    responder.record.nowhere(trip.upstream);
                }
                return round.give_up_or_retry(not_opened(&error));
            }
        };
    trip.upstream.report(target.id, Outcome::Connected);
    if let Some(detail) = &mut responder.record.detail {
        detail.upstream_local = connection.local_addr();
        detail.upstream_version = Some(connection.version());
    }
    round.visit = {
        let begun = (request, &responder.record);
        Visit::begin(&worker.telemetry, worker.clock, &target, begun, false)
    };
    let (tried, is_reusable) = round.talk(&mut connection, outgoing, responder).await;
    if is_reusable {
        connection.give_back(worker.clock.now(), trip.upstream);
    }
    tried
}

/// A try whose endpoint is chosen.
struct Round<'r> {
    trip: &'r Trip<'r>,
    request: &'r Request,
    target: &'r Target,
    /// For the endpoint's own side.
    visit: Option<Visit>,
    progress: &'r Progress,
    retries: Option<&'r mut retry::State>,
}

impl Round<'_> {
    /// After a try that the workload's own rules do not let in. Where they answer, that is the answer; where they close the
    /// connection, the try has broken off.
    fn refused(&mut self, failure: Failure) -> Tried {
        if failure != Failure::ConnectionTermination {
            if let Some(visit) = &self.visit {
                visit.failed(failure);
            }
            return Tried::failed(failure);
        }
        self.give_up_or_retry(NoAnswer::new(failure, ResetReason::Other, true))
    }

    /// The request out, the answer back and downstream; and whether the connection can serve again.
    async fn talk(
        &mut self,
        connection: &mut Connection,
        outgoing: &mut Outgoing<'_>,
        responder: &mut Responder<'_>,
    ) -> (Tried, bool) {
        connection.prepare(self.request).await;
        let (mut sink, mut answer) = match connection.call(self.request, outgoing.is_empty()) {
            Ok(call) => call,
            Err(error) => return (self.give_up_or_retry(no_answer(&error, false)), false),
        };
        let mut sending: Sending<'_> = std::pin::pin!(outgoing.send(&mut sink));
        let mut is_sending = true;
        self.trip.awaited.set(self.target.id);
        let received = {
            let received = self.receive(&mut sending, &mut is_sending, &mut answer, responder);
            let mut received = std::pin::pin!(received);
            match self.trip.try_timeout {
                Some(limit) => {
                    let progress = self.progress;
                    tokio::select! {
                        biased;
                        received = &mut received => received,
                        () = progress.after_whole(limit) => Err(Interrupted::NoAnswer(NoAnswer::new(
                            Failure::PerTryTimeout,
                            ResetReason::TryTimeout,
                            true,
                        ))),
                    }
                }
                None => received.await,
            }
        };
        self.trip.awaited.set(None);
        let response = match received {
            Ok(response) => response,
            Err(Interrupted::NoAnswer(no_answer)) => {
                return (self.give_up_or_retry(no_answer), false);
            }
            Err(Interrupted::Malformed(error)) => {
                let failure =
                    Failure::MalformedBody { status: error.status(), details: error.details() };
                return (Tried::failed(failure), false);
            }
            Err(Interrupted::Abandoned) => return (Tried::Abandoned, false),
        };
        if let Some(detail) = &mut responder.record.detail {
            detail.answered = Some(self.trip.exchange.worker.clock.now());
        }
        self.trip.upstream.report(self.target.id, Outcome::Response(response.status));
        if let Some(visit) = &self.visit {
            visit.sent(self.progress.bytes.get(), self.progress.messages.get());
            visit.answered(response.status, response.headers.grpc_status());
        }
        if let Some(again) = self.retry_answer(&response, &mut responder.record) {
            self.visit.iter().for_each(Visit::complete);
            return (again, false);
        }
        let delivery = respond::Delivery {
            trip: self.trip,
            request: self.request,
            target: self.target,
            progress: self.progress,
            sending,
            is_sending,
        };
        let (ended, is_reusable) = delivery.respond(response, answer, responder).await;
        if let Some(visit) = &self.visit {
            visit.sent(self.progress.bytes.get(), self.progress.messages.get());
            visit.passed_on(self.request, &responder.record, ended == Ended::Complete);
        }
        (Tried::Done(ended), is_reusable)
    }

    /// The final head of the answer, while the request is still being sent; interim heads go on at once.
    async fn receive(
        &self,
        sending: &mut Sending<'_>,
        is_sending: &mut bool,
        answer: &mut Answer<'_>,
        responder: &mut Responder<'_>,
    ) -> Result<Response, Interrupted> {
        let limits = self.trip.exchange.worker.settings.heads;
        loop {
            let step = {
                let mut head = std::pin::pin!(answer.head(limits));
                let sending = is_sending.then_some(&mut *sending);
                self.progress.with_sending(sending, head.as_mut()).await
            };
            let response = match step {
                Step::Other(head) => {
                    head.map_err(|error| Interrupted::NoAnswer(no_answer(&error, true)))?
                }
                Step::Sending(Err(Broken::Source(BodyError::Malformed(error)))) => {
                    return Err(Interrupted::Malformed(error));
                }
                Step::Sending(Err(Broken::Source(_))) => return Err(Interrupted::Abandoned),
                // There may be an answer all the same, which says why.
                Step::Sending(Err(Broken::Sink)) => {
                    *is_sending = false;
                    continue;
                }
            };
            if !response.is_interim() {
                return Ok(response);
            }
            // The proxy has asked for the body itself.
            if response.status != 100 && responder.inform(&response).await.is_err() {
                return Err(Interrupted::Abandoned);
            }
        }
    }

    /// After a try without an answer.
    fn give_up_or_retry(&mut self, no_answer: NoAnswer) -> Tried {
        match no_answer.reason {
            ResetReason::Overflow => {}
            ResetReason::TryTimeout => self.trip.upstream.report(self.target.id, Outcome::TimedOut),
            _ => self.trip.upstream.report(self.target.id, Outcome::Failed),
        }
        if let Some(visit) = &self.visit {
            visit.failed(no_answer.failure);
        }
        let failed = retry::Failure::NoAnswer {
            reason: no_answer.reason,
            request_sent: no_answer.request_sent,
        };
        let failure = no_answer.failure;
        self.decide_retry(failed).unwrap_or_else(|flag| Tried::Failed { failure, flag })
    }

    /// Another try in place of an answer that the policy does not accept. The answer is as good as it gets when no try is left.
    fn retry_answer(&mut self, response: &Response, record: &mut Record) -> Option<Tried> {
        let headers = &response.headers;
        let has_header = |name: &str| headers.find(name.as_bytes()).is_some();
        let failed = retry::Failure::Answer {
            status: response.status,
            grpc_status: headers.grpc_status(),
            has_header: &has_header,
        };
        let again = self.decide_retry(failed);
        if let Err(Some(flag)) = again {
            record.flag(flag);
        }
        again.ok()
    }

    /// Another try; or, as an error, why there is none, if one was due.
    fn decide_retry(&mut self, failed: retry::Failure<'_>) -> Result<Tried, Option<Flag>> {
        let policy = self.trip.forwarding.forward.retry.as_ref();
        let (Some(policy), Some(retries)) = (policy, self.retries.as_deref_mut()) else {
            return Err(None);
        };
        if !self.progress.replayable.get() {
            return Err(None);
        }
        let has_failed = match &failed {
            retry::Failure::NoAnswer { .. } => true,
            retry::Failure::Answer { status, grpc_status, .. } => {
                *status >= 500 || grpc_status.is_some_and(|it| it != 0)
            }
        };
        let breaker = &self.trip.upstream.shared.breaker;
        let mut random = self.trip.exchange.worker.random.borrow_mut();
        match retries.decide(policy, failed, breaker, &mut *random) {
            Verdict::Retry { after } => Ok(Tried::Again { after, failed: has_failed }),
            Verdict::LimitExceeded => Err(Some(Flag::UpstreamRetryLimitExceeded)),
            Verdict::Overflow(_) => Err(Some(Flag::UpstreamOverflow)),
            Verdict::Final => Err(None),
        }
    }
}

fn not_opened(error: &OpenError) -> NoAnswer {
    let (failure, reason) = match error {
        OpenError::Overflow => (Failure::Overflow, ResetReason::Overflow),
        OpenError::Connect(error) if error.is_timeout() => {
            (Failure::ConnectTimeout, ResetReason::ConnectFailure)
        }
        OpenError::Connect(_) | OpenError::Protocol => {
            (Failure::ConnectFailure, ResetReason::ConnectFailure)
        }
    };
    NoAnswer::new(failure, reason, false)
}

fn no_answer(error: &UpstreamError, request_sent: bool) -> NoAnswer {
    let (failure, reason) = match error {
        UpstreamError::Malformed(_) | UpstreamError::Request(_) => {
            (Failure::UpstreamProtocolError, ResetReason::Other)
        }
        UpstreamError::NoTunnels => (Failure::UpgradeFailed, ResetReason::Overflow),
        UpstreamError::Closed | UpstreamError::Read(_) => {
            (Failure::ConnectionTermination, ResetReason::Other)
        }
        UpstreamError::Http2(error) => of_http2(error),
    };
    NoAnswer::new(failure, reason, request_sent)
}

/// What came could not be read, or the peer could not read what it got.
pub(super) fn is_malformed(error: &h2::Error) -> bool {
    error.is_library() || error.is_reset() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR)
}

/// A stream that was refused, or that the peer's GOAWAY left out, was not looked at: it may be sent again whatever it is
/// (RFC 9113 §8.7).
fn of_http2(error: &h2::Error) -> (Failure, ResetReason) {
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => (Failure::RefusedStream, ResetReason::RefusedStream),
        Some(h2::Reason::NO_ERROR) if error.is_go_away() => {
            (Failure::ConnectionTermination, ResetReason::RefusedStream)
        }
        _ if is_malformed(error) => (Failure::UpstreamProtocolError, ResetReason::Other),
        _ if error.is_io() || error.is_go_away() => {
            (Failure::ConnectionTermination, ResetReason::Other)
        }
        _ if error.is_reset() && error.is_remote() => (Failure::RemoteReset, ResetReason::Other),
        _ => (Failure::UpstreamProtocolError, ResetReason::Other),
    }
}
