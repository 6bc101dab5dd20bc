//! The data plane: what happens to a connection and a request.
//!
//! One single-threaded runtime per core; both legs of a request run on one of them, with that core's connection pools. A
//! [`Model`](serin_routing::Model) is compiled once and handed to every core; a core takes it between two events of its loop, so that no lock
//! stands on a request's path. Every decision is made by `serin-routing`; this crate reads, writes and keeps time.

mod body;
mod clock;
mod connection;
mod core;
mod exchange;
mod forwarded;
mod http;
mod http1;
mod http2;
mod io;
mod listening;
mod memory;
mod message;
mod network;
mod observe;
mod proxy;
mod proxy_protocol;
mod publication;
mod record;
mod request;
mod response;
mod settings;
mod snapshot;
mod sniff;
mod tcp;
mod telemetry;
mod tls;
mod upstream;
mod websocket;
mod worker;

#[cfg(target_os = "linux")]
pub use network::Namespace;
pub use network::{Network, Networks};
pub use observe::{ClusterStats, CoreStats, EndpointStats, InForce, Observer};
pub use proxy::{Proxy, Sockets};
pub use publication::{Publication, Published};
pub use settings::{Http2Settings, Settings};
pub use snapshot::TlsProblem;
pub use telemetry::Seen;
pub use tls::{Certificates, Pem};
