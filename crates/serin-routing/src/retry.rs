//! Whether and when a failed request is tried again, as Envoy's router decides it.
//!
//! [`State`] belongs to one request: it is asked after every try that failed and remembers how many tries are left and
//! how long the next wait may be. Which endpoint the next try goes to is the balancer's part
//! ([`balancer::Attempts`](crate::balancer::Attempts)); that nothing was sent downstream yet, and that the request's body
//! can be sent again, is for the caller to know.

use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use serde::Serialize;

use crate::breaker::{Breaker, Overflow, Permit, Resource};

/// The retry policy of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// Retries after the first try (Istio's default 2).
    pub attempts: u32,
    /// Conditions as Envoy names them, in order: `connect-failure`, `5xx`, `retriable-status-codes`…
    pub retry_on: Vec<Condition>,
    /// Status codes that `retriable-status-codes` means.
    pub retriable_status_codes: Vec<u16>,
    /// Longest time for one try; `None` for the whole request's timeout.
    pub per_try_timeout: Option<Duration>,
    /// First back-off; the n-th is drawn from `[0, base × 2^(n-1))`, capped at `max_interval` (default 25 ms).
    pub base_interval: Duration,
    /// Largest back-off (default ten times the base).
    pub max_interval: Duration,
    /// Try endpoints that have not been tried yet first (Istio's default, except with consistent hashing).
    pub avoid_previous_hosts: bool,
    /// How often another endpoint is drawn when the drawn one was tried already (Istio's 5).
    pub host_selection_attempts: u32,
    /// Retries go to other localities too (Envoy's previous-priorities plugin).
    pub remote_localities: bool,
}

/// What may be retried (Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Any 5xx answer, or none at all.
    #[serde(rename = "5xx")]
    Any5xx,
    /// 502, 503 or 504.
    GatewayError,
    /// No answer: disconnect, reset or timeout.
    Reset,
    /// Reset before the request was sent upstream.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// The upstream refused the stream (HTTP/2 REFUSED_STREAM).
    RefusedStream,
    /// 409.
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    /// One of the policy's status codes.
    RetriableStatusCodes,
    /// An answer that has one of the headers that `x-envoy-retriable-header-names` names.
    RetriableHeaders,
    /// Answer marked by `x-envoy-ratelimited`.
    EnvoyRatelimited,
    /// HTTP/3 failed after the handshake.
    #[serde(rename = "http3-post-connect-failure")]
    Http3PostConnectFailure,
    /// gRPC status 1.
    Cancelled,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// gRPC status 14.
    Unavailable,
}

impl Condition {
    /// Every condition with Envoy's name for it.
    const NAMES: [(&'static str, Self); 16] = [
        ("5xx", Self::Any5xx),
        ("gateway-error", Self::GatewayError),
        ("reset", Self::Reset),
        ("reset-before-request", Self::ResetBeforeRequest),
        ("connect-failure", Self::ConnectFailure),
        ("refused-stream", Self::RefusedStream),
        ("retriable-4xx", Self::Retriable4xx),
        ("retriable-status-codes", Self::RetriableStatusCodes),
        ("retriable-headers", Self::RetriableHeaders),
        ("envoy-ratelimited", Self::EnvoyRatelimited),
        ("http3-post-connect-failure", Self::Http3PostConnectFailure),
        ("cancelled", Self::Cancelled),
        ("deadline-exceeded", Self::DeadlineExceeded),
        ("internal", Self::Internal),
        ("resource-exhausted", Self::ResourceExhausted),
        ("unavailable", Self::Unavailable),
    ];

    /// The condition that Envoy calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, condition)| *condition)
    }

    /// Envoy's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, condition)| *condition == self).map_or("", |(name, _)| name)
    }

    /// The condition that a gRPC status meets.
    fn of_grpc_status(status: u32) -> Option<Self> {
        match status {
            1 => Some(Self::Cancelled),
            4 => Some(Self::DeadlineExceeded),
            8 => Some(Self::ResourceExhausted),
            13 => Some(Self::Internal),
            14 => Some(Self::Unavailable),
            _ => None,
        }
    }

    /// Whether the condition is about gRPC statuses.
    fn is_grpc(self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::DeadlineExceeded
                | Self::Internal
                | Self::ResourceExhausted
                | Self::Unavailable
        )
    }
}

impl Policy {
    /// What holds for a route that says nothing, so that only [`Headers`] can ask for retries: one retry.
    pub const fn none() -> Self {
        Self {
            attempts: 1,
            retry_on: Vec::new(),
            retriable_status_codes: Vec::new(),
            per_try_timeout: None,
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
            avoid_previous_hosts: false,
            host_selection_attempts: 1,
            remote_localities: false,
        }
    }

    /// The time for one try under a timeout for the whole request: a longer one than that does not count.
    pub fn try_timeout(&self, route_timeout: Option<Duration>) -> Option<Duration> {
        let per_try = self.per_try_timeout.filter(|timeout| !timeout.is_zero())?;
        let shorter = route_timeout.is_none_or(|whole| whole.is_zero() || per_try < whole);
        shorter.then_some(per_try)
    }
}

/// What request headers ask for besides the policy. Only those of a trusted client count; none of them is passed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'h> {
    /// `x-envoy-retry-on`: conditions to add.
    pub retry_on: Option<&'h str>,
    /// `x-envoy-retry-grpc-on`: conditions on gRPC statuses to add.
    pub retry_grpc_on: Option<&'h str>,
    /// `x-envoy-max-retries`: takes the place of the policy's number.
    pub max_retries: Option<&'h str>,
    /// `x-envoy-retriable-status-codes`: codes to add.
    pub retriable_status_codes: Option<&'h str>,
    /// `x-envoy-retriable-header-names`: names of response headers that make an answer worth a retry.
    pub retriable_header_names: Option<&'h str>,
}

/// The elements of a comma-separated list.
fn elements(list: Option<&str>) -> impl Iterator<Item = &str> {
    let elements = list.into_iter().flat_map(|list| list.split(','));
    elements.map(str::trim).filter(|element| !element.is_empty())
}

/// How a try failed.
#[derive(Clone, Copy)]
pub enum Failure<'f> {
    /// The upstream answered.
    Answer {
        /// The status.
        status: u16,
        /// `grpc-status`, if it is among the headers (an answer of trailers only).
        grpc_status: Option<u32>,
        /// Whether the answer has a header of this lower-case name.
        has_header: &'f dyn Fn(&str) -> bool,
    },
    /// There is no answer.
    NoAnswer {
        /// Why.
        reason: ResetReason,
        /// Whether any of the request was sent upstream.
        request_sent: bool,
    },
}

/// Why a try has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// A circuit breaker refused it; never tried again.
    Overflow,
    /// No connection, refused or timed out.
    ConnectFailure,
    /// The upstream refused the stream.
    RefusedStream,
    /// HTTP/3 failed after the handshake.
    Http3PostConnect,
    /// The time for one try is over.
    TryTimeout,
    /// Anything else: reset, closed, broken protocol.
    Other,
}

/// What to do about a failed try.
#[derive(Debug)]
pub enum Verdict {
    /// Try again.
    Retry {
        /// After this time.
        after: Duration,
    },
    /// Nothing that may be tried again: the answer, or the failure, goes downstream.
    Final,
    /// It might be tried again, but the policy's number of retries is used up (response flag `URX`).
    LimitExceeded,
    /// It might be tried again, but too many retries are under way (response flag `UO`).
    Overflow(Overflow),
}

/// The retries of one request. The one that is under way counts until the next is decided on, or until this is dropped.
#[derive(Debug)]
pub struct State {
    /// One bit for each [`Condition`].
    conditions: u32,
    remaining: u32,
    /// The end of the range that the next wait is drawn from.
    interval: Duration,
    status_codes: Vec<u16>,
    header_names: Vec<Box<str>>,
    under_way: Option<Permit>,
}

impl State {
    /// What a policy alone allows a new request.
    fn of(policy: &Policy) -> Self {
        let conditions = policy.retry_on.iter().fold(0, |all, &it| all | 1 << it as u32);
        Self {
            conditions,
            remaining: policy.attempts,
            interval: policy.base_interval,
            status_codes: Vec::new(),
            header_names: Vec::new(),
            under_way: None,
        }
    }

    /// The retries of a new request that asks for nothing itself; `None` if there is nothing that it would be tried again for.
    pub fn without_headers(policy: &Policy) -> Option<Self> {
        let state = Self::of(policy);
        (state.conditions != 0).then_some(state)
    }

    /// The same for a request whose headers may ask for more.
    pub fn new(policy: &Policy, headers: &Headers<'_>) -> Option<Self> {
        let mut state = Self::of(policy);
        let named = |list, grpc| {
            elements(list)
                .filter_map(Condition::from_name)
                .filter(move |condition| condition.is_grpc() == grpc)
        };
        for condition in named(headers.retry_on, false).chain(named(headers.retry_grpc_on, true)) {
            state.add(condition);
        }
        if state.conditions == 0 {
            return None;
        }
        if let Some(retries) = headers.max_retries.and_then(|text| text.trim().parse().ok()) {
            state.remaining = retries;
        }
        state.status_codes.extend(
            elements(headers.retriable_status_codes).filter_map(|code| code.parse::<u16>().ok()),
        );
        let names =
            elements(headers.retriable_header_names).map(|name| name.to_ascii_lowercase().into());
        state.header_names.extend(names);
        Some(state)
    }

    fn add(&mut self, condition: Condition) {
        self.conditions |= 1 << condition as u32;
    }

    fn has(&self, condition: Condition) -> bool {
        self.conditions & 1 << condition as u32 != 0
    }

    /// How many retries are left.
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    /// Decides on a failed try.
    pub fn decide(
        &mut self,
        policy: &Policy,
        failure: Failure<'_>,
        breaker: &Arc<Breaker>,
        rng: &mut impl Rng,
    ) -> Verdict {
        self.under_way = None;
        if !self.is_retriable(policy, failure) {
            return Verdict::Final;
        }
        if self.remaining == 0 {
            return Verdict::LimitExceeded;
        }
        self.remaining -= 1;
        match breaker.take(Resource::Retries) {
            Ok(permit) => {
                self.under_way = Some(permit);
                Verdict::Retry { after: self.next_wait(policy, rng) }
            }
            Err(overflow) => Verdict::Overflow(overflow),
        }
    }

    /// Whether a failure is one that the policy retries.
    fn is_retriable(&self, policy: &Policy, failure: Failure<'_>) -> bool {
        match failure {
            Failure::Answer { status, grpc_status, has_header } => {
                // An answer that a rate limit gave is retried for that condition or not at all.
                if has_header("x-envoy-ratelimited") {
                    return self.has(Condition::EnvoyRatelimited);
                }
                let codes = || policy.retriable_status_codes.iter().chain(&self.status_codes);
                self.has(Condition::Any5xx) && (500..600).contains(&status)
                    || self.has(Condition::GatewayError) && (502..=504).contains(&status)
                    || self.has(Condition::Retriable4xx) && status == 409
                    || self.has(Condition::RetriableStatusCodes)
                        && codes().any(|code| *code == status)
                    || self.has(Condition::RetriableHeaders)
                        && self.header_names.iter().any(|name| has_header(name))
                    || grpc_status
                        .and_then(Condition::of_grpc_status)
                        .is_some_and(|condition| self.has(condition))
            }
            Failure::NoAnswer { reason: ResetReason::Overflow, .. } => false,
            Failure::NoAnswer { reason, request_sent } => {
                // No answer is as bad as a gateway's error, for it would become one downstream.
                [Condition::Reset, Condition::Any5xx, Condition::GatewayError]
                    .into_iter()
                    .any(|any| self.has(any))
                    || self.has(Condition::ResetBeforeRequest) && !request_sent
                    || match reason {
                        ResetReason::ConnectFailure => self.has(Condition::ConnectFailure),
                        ResetReason::RefusedStream => self.has(Condition::RefusedStream),
                        ResetReason::Http3PostConnect => {
                            self.has(Condition::Http3PostConnectFailure)
                        }
                        ResetReason::Overflow | ResetReason::TryTimeout | ResetReason::Other => {
                            false
                        }
                    }
            }
        }
    }

    /// Exponential back-off with full jitter: a wait drawn from nothing up to an interval that doubles each time.
    fn next_wait(&mut self, policy: &Policy, rng: &mut impl Rng) -> Duration {
        let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        let wait = Duration::from_nanos(rng.next_u64() % interval.max(1));
        self.interval = self.interval.saturating_mul(2).min(policy.max_interval);
        wait.min(policy.max_interval)
    }
}

#[cfg(test)]
mod tests;
