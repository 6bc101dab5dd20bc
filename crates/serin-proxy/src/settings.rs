//! What a proxy is started with. Everything else comes with the model.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_http1::Limits;

use crate::keys::KeyStore;
use crate::network::Networks;

/// Settings of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads, each with a runtime of its own; at least 1.
    pub workers: usize,
    /// Address that takes the place of the wildcard address in listeners.
    pub wildcard_address: IpAddr,
    /// Ports to bind in place of those that listeners name; 0 is any that is free.
    pub ports: BTreeMap<u16, u16>,
    /// Requests that carry this text in `x-serin-explain` are answered with an explanation of their way in the same header.
    pub explain_token: Option<Arc<str>>,
    /// The name of the Kubernetes cluster that known workloads run in, for metrics (Istio's default is `Kubernetes`).
    pub cluster_id: Arc<str>,
    /// Limits on heads of requests and responses.
    pub heads: Limits,
    /// Time for the head of a request to arrive once its first byte has (no limit in Envoy's default; 60 s here).
    pub head_timeout: Duration,
    /// Time for a TLS handshake, and for a PROXY protocol header (15 s).
    pub handshake_timeout: Duration,
    /// TLS handshakes that a worker has under way at a time; more wait.
    pub handshakes_per_worker: usize,
    /// Time that a connection may stay idle between requests (Envoy's default 1 h).
    pub idle_timeout: Duration,
    /// Time that a drain gives to requests under way (Istio's default 45 s).
    pub drain_time: Duration,
    /// Time that a drain leaves an idle connection open for a request that may be on its way.
    pub last_request_time: Duration,
    /// Largest request body that is kept for retries, in bytes (Envoy's default 1 MiB).
    pub retry_buffer: usize,
    /// HTTP/2, downstream and upstream.
    pub http2: Http2Settings,
    /// Requests that are kept to be looked at come so far apart at least (10 ms).
    pub sample_every: Duration,
    /// Connections that a worker accepts at a time; more wait in the kernel's queue.
    pub connections_per_worker: usize,
    /// The networks of pods on this machine. Connections to their addresses are made there, and without the mesh's TLS: who
    /// is at either end is known by construction. `None` where all there is is the host's network.
    pub networks: Option<Arc<dyn Networks>>,
    /// The keys of issuers of tokens that publish them elsewhere.
    pub keys: KeyStore,
}

impl Settings {
    /// The networks of pods.
    pub(crate) fn networks(&self) -> Option<&dyn Networks> {
        self.networks.as_deref()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 1,
            wildcard_address: IpAddr::from([0, 0, 0, 0]),
            ports: BTreeMap::new(),
            explain_token: None,
            cluster_id: "Kubernetes".into(),
            heads: Limits::default(),
            head_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(15),
            handshakes_per_worker: 1000,
            idle_timeout: Duration::from_secs(3600),
            drain_time: Duration::from_secs(45),
            last_request_time: Duration::from_secs(5),
            retry_buffer: 1024 * 1024,
            http2: Http2Settings::default(),
            sample_every: Duration::from_millis(10),
            connections_per_worker: 100_000,
            networks: None,
            keys: KeyStore::default(),
        }
    }
}

/// Limits of HTTP/2 connections.
#[derive(Clone, Debug)]
pub struct Http2Settings {
    /// Requests that a client may have under way on one connection (Envoy's default 1024).
    pub concurrent_streams: u32,
    /// Bytes that a peer may send on one stream before they are used up. Smaller than Envoy's 16 MiB: what a slow reader has
    /// not taken stands in memory.
    pub stream_window: u32,
    /// The same for all streams of a client's connection together.
    pub connection_window: u32,
    /// The same for a connection to an endpoint, which many clients share: those that read slowly must not use it up for the
    /// others.
    pub upstream_connection_window: u32,
    /// Size of a head after decompression, in bytes (Envoy's default 60 KiB).
    pub header_list_size: u32,
    /// Bytes of a stream that may wait to be written.
    pub send_buffer: usize,
    /// A connection is closed once so many of its requests are over and the client broke off more than half of them within a
    /// second (Envoy's default 500).
    pub premature_resets: u32,
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            concurrent_streams: 1024,
            stream_window: 256 * 1024,
            connection_window: 4 * 1024 * 1024,
            upstream_connection_window: 64 * 1024 * 1024,
            header_list_size: 60 * 1024,
            send_buffer: 64 * 1024,
            premature_resets: 500,
        }
    }
}
