//! What a proxy is started with. Everything else comes with the model.

use std::net::IpAddr;
use std::time::Duration;

use serin_http1::Limits;

/// Settings of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads, each with a runtime of its own; at least 1.
    pub workers: usize,
    /// Address that takes the place of the wildcard address in listeners.
    pub wildcard_address: IpAddr,
    /// Limits on heads of requests and responses.
    pub heads: Limits,
    /// Time for the head of a request to arrive once its first byte has (no limit in Envoy's default; 60 s here).
    pub head_timeout: Duration,
    /// Time that a connection may stay idle between requests (Envoy's default 1 h).
    pub idle_timeout: Duration,
    /// Time that a drain gives to requests under way (Istio's default 45 s).
    pub drain_time: Duration,
    /// Largest request body that is kept for retries, in bytes (Envoy's default 1 MiB).
    pub retry_buffer: usize,
    /// Connections that a worker accepts at a time; more wait in the kernel's queue.
    pub connections_per_worker: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 1,
            wildcard_address: IpAddr::from([0, 0, 0, 0]),
            heads: Limits::default(),
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(3600),
            drain_time: Duration::from_secs(45),
            retry_buffer: 1024 * 1024,
            connections_per_worker: 100_000,
        }
    }
}
