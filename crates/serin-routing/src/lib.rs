//! The runtime model of a proxy and every decision made for a request.
//!
//! [`Model`] is what one proxy executes: listeners, route tables, clusters and endpoints, in Envoy's vocabulary.
//! `serin-translate` makes it out of Istio's and the Gateway API's objects; the data plane executes it; xDS is one of
//! its serialisations. Nothing here knows where a rule came from beyond an [`Origin`](model::Origin) to show to people.
//!
//! Everything here is a pure function or a state machine: no I/O, no clock (`now` is an argument), no ambient
//! randomness (a random number generator is an argument).

pub mod authentication;
pub mod authorization;
pub mod balancer;
pub mod breaker;
pub mod cohort;
pub mod compiled;
pub mod connection;
pub mod decide;
pub mod explain;
pub mod format;
mod hash;
pub mod headers;
mod index;
pub mod matching;
pub mod model;
pub mod outlier;
pub mod request;
pub mod response;
pub mod retry;
pub mod simulate;
#[cfg(test)]
mod test_rng;
#[cfg(test)]
mod testing;
pub mod time;

pub use hash::{TextHash, TextHasher};
pub use index::Scratch;
pub use model::Model;
