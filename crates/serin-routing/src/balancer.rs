//! Choosing an endpoint of a cluster, as Envoy does.
//!
//! An [`EndpointSet`] is immutable and made once for each version of a cluster's endpoints; [`Observed`] adds who of them is
//! ejected, for all cores. A [`ClusterState`] belongs to one core and holds what changes there: turns, requests under way.
//! A choice goes from the priority (health, overprovisioning, panic) to the place (weights of localities) to the endpoint
//! (the policy).
//!
//! For each try of a request the owner calls [`ClusterState::choose`], notes it in the request's [`Attempts`], holds the
//! [`Active`] of [`ClusterState::begin`] while the try is under way, and [`reports`](ClusterState::report) what became of
//! it. It calls [`ClusterState::sweep`] from time to time. Connections, limits (`breaker`) and names to resolve are not its
//! business.

mod attempts;
mod endpoints;
mod level;
pub mod locality;
mod observed;
mod pool;
mod priority;
mod schedule;
mod slots;
mod state;
mod table;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use serde::Serialize;

pub use attempts::Attempts;
pub use endpoints::EndpointSet;
pub use observed::Observed;
pub use slots::{Active, EndpointId};
pub use state::{Choice, ClusterState};

/// How a cluster chooses among its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum Policy {
    /// One after the other, in proportion to weights.
    RoundRobin,
    /// The less busy of two endpoints drawn at random (Istio's default).
    #[default]
    LeastRequest,
    /// At random.
    Random,
    /// The address that the downstream connection was meant for.
    Passthrough,
    /// Ketama-style consistent hashing of the request's hash.
    RingHash {
        /// Fewest points on the ring (default 1024, at most 8,388,608).
        minimum_ring_size: u64,
    },
    /// Maglev consistent hashing of the request's hash.
    Maglev {
        /// Size of the table, a prime (default 65,537, at most 5,000,011).
        table_size: u64,
    },
}

/// Slow start: a new endpoint gets a share that grows to its full weight (DestinationRule `warmup`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WarmUp {
    /// How long it takes to reach full weight.
    pub duration: Duration,
    /// Share of its weight that a new endpoint starts with, in percent (default 10).
    pub minimum_percent: f64,
    /// Shape of the growth: 1 is linear, larger starts faster (default 1).
    pub aggression: f64,
}

/// Which localities of a cluster get its traffic (DestinationRule `localityLbSetting`).
///
/// The translator turns Istio's failover and distribute rules into priorities and weights of endpoint groups; what is
/// left for run time is how priorities spill over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocalityPolicy {
    /// Whether the weights of localities count (Envoy's locality weighted balancing).
    pub weighted: bool,
    /// A priority is full while `healthy share × factor ≥ 100`, in percent (Envoy's default 140).
    pub overprovisioning_percent: u32,
    /// Below this share of healthy endpoints, in percent, health is ignored (panic). 0 turns panic off.
    pub panic_threshold_percent: f64,
}

impl Default for LocalityPolicy {
    fn default() -> Self {
        Self { weighted: false, overprovisioning_percent: 140, panic_threshold_percent: 50.0 }
    }
}
