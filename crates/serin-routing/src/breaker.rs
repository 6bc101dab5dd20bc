//! Circuit breakers: limits on what a cluster may have under way.

use std::time::Duration;

use serde::Serialize;

/// Limits of a cluster (DestinationRule `connectionPool`). Istio's default for each is 2^32 - 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Connections to all endpoints together.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending_requests: u32,
    /// Requests under way.
    pub max_requests: u32,
    /// Retries under way, when there is no budget.
    pub max_retries: u32,
    /// Retries as a share of requests under way; takes the place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
    /// Requests after which a connection is closed; 0 for no limit.
    pub max_requests_per_connection: u32,
    /// Time after which a connection is closed however busy; `None` for no limit.
    pub max_connection_duration: Option<Duration>,
    /// Streams a peer may open on one HTTP/2 connection; 0 for the protocol's default.
    pub max_concurrent_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: u32::MAX,
            max_pending_requests: u32::MAX,
            max_requests: u32::MAX,
            max_retries: u32::MAX,
            retry_budget: None,
            max_requests_per_connection: 0,
            max_connection_duration: None,
            max_concurrent_streams: 0,
        }
    }
}

/// Retries under way are limited to a share of requests under way (Envoy's retry budget).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetryBudget {
    /// Share of active and pending requests, in percent (default 20).
    pub percent: f64,
    /// Retries always allowed at a time (default 3).
    pub min_concurrency: u32,
}
