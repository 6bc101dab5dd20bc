//! The whole proxy on real sockets: what clients and upstreams see of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what is skipped is told")]

mod combinations;
mod grpc;
mod hostile;
mod http1;
mod http2;
mod logs;
mod mesh;
mod mirrors;
mod origination;
mod peers;
mod pki;
mod pools;
mod retries;
mod rules;
mod support;
mod tcp;
mod tls;
mod tunnels;
mod upgrades;
