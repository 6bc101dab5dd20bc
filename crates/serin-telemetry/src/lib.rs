//! What is counted and logged, and the forms in which it leaves the process.
//!
//! Each core counts on its own in plain integers: [`Metrics`] has neither a lock nor an atomic, and finds the place of a request by
//! a key of numbers, so that no label is touched while requests are served. Who asks gets a copy of every core's counters,
//! which [`exposition`] sums and writes as Prometheus reads it, under Istio's names, as the [`catalogue`] describes them. [`access_log`] takes lines from the cores and writes
//! them on a thread of its own, and [`trace`] sends spans to a collector. [`focus`] counts more than labels tell, where a release looks closer, and
//! [`Hits`] which rules take requests. What the counts mean is the caller's.

pub mod access_log;
pub mod catalogue;
pub mod customization;
mod destination;
pub mod exposition;
pub mod focus;
mod histogram;
mod hits;
mod metrics;
pub mod trace;
mod traffic;

pub use destination::{Destination, DestinationId, SourceId, Workload};
pub use histogram::Histogram;
pub use hits::{Hits, Rule};
pub use metrics::{Counted, Metrics, Path, Protocol, Reporter, Request, Tcp};
pub use traffic::{Tally, Traffic};
