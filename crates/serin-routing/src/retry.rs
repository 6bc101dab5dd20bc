//! Whether, when and where a failed request is tried again.

use std::time::Duration;

use serde::Serialize;

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
