//! The data plane: what happens to a connection and a request.
//!
//! One single-threaded runtime per core; both legs of a request run on one of them, with that core's connection pools. A
//! [`Model`](serin_routing::Model) is compiled once and handed to every core; a core takes it between two events of its loop, so that no lock
//! stands on a request's path. Every decision is made by `serin-routing`; this crate reads, writes and keeps time.
//!
//! One proxy serves many workloads, each by a [`Publication`] with a version and acknowledgements of its own: a gateway (the workload
//! that the proxy is itself), or the pods of a node. What their models have in common is compiled once, and a core makes a cluster
//! ready only when its workload first uses it. A pod's listeners are opened inside its [`Network`], where its connections are
//! redirected to them, and connections to pods are made inside theirs ([`Networks`]); [`Namespace`] is how Linux does it. Between
//! pods there is one proxy where Istio has two, and it does the work of the calling side: inbound listeners of a model are not
//! opened in a pod's network, so that what Istio does only there (limits on connections that come in, `STRICT` towards callers
//! outside the mesh) is not done.
//!
//! Both sides are counted, though. The calling side counts each request once, however many tries it took; a pod of the mesh counts each
//! try that came to it, copies among them, with what the proxy beside it would have seen. [`Observer::traffic`] tells both by source
//! and destination, cheaply enough to be asked every second.

mod body;
mod clock;
mod connection;
mod core;
mod exchange;
mod forwarded;
mod http;
mod http1;
mod http2;
mod inbound;
mod io;
mod keys;
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
mod under_way;
mod upstream;
mod websocket;
mod worker;

pub use keys::KeyStore;
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
