//! Circuit breakers: limits on what a cluster may have under way.
//!
//! A [`Breaker`] counts; what it grants is a [`Permit`] that gives its share back when it is dropped, so that no path
//! through a request (an error, a cancelled task, a panic) can leak one. The caller keeps the permit beside what it
//! stands for: that of a connection with the connection, of a request with the stream, of a retry with the try.
//!
//! One breaker belongs to a cluster, not to a core: limits hold for the whole proxy, as in Envoy. A resource that has no
//! limit is not counted, so that cores do not share a cache line for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20.0, min_concurrency: 3 }
    }
}

/// What a breaker limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Resource {
    /// Connections to all endpoints together.
    Connections,
    /// Requests that wait for a connection.
    PendingRequests,
    /// Requests under way.
    Requests,
    /// Retries under way.
    Retries,
}

/// A limit is reached: the request is answered with 503 and the response flag `UO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's circuit breaker is open: {resource:?} are at their limit of {limit}")]
pub struct Overflow {
    /// What there is too much of.
    pub resource: Resource,
    /// The limit at this moment; that of a budget changes with the traffic.
    pub limit: u32,
}

/// The circuit breaker of a cluster.
#[derive(Debug)]
pub struct Breaker {
    limits: Limits,
    used: [AtomicU32; 4],
}

impl Breaker {
    /// A breaker with nothing under way. It is replaced when the limits change; permits of the old one expire with it.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, used: Default::default() })
    }

    /// The limits it enforces.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How much of a resource is under way; 0 for one that has no limit and is not counted.
    pub fn used(&self, resource: Resource) -> u32 {
        self.used[resource as usize].load(Ordering::Relaxed)
    }

    /// How much of a resource may be under way at this moment.
    pub fn limit(&self, resource: Resource) -> u32 {
        match (resource, &self.limits.retry_budget) {
            (Resource::Connections, _) => self.limits.max_connections,
            (Resource::PendingRequests, _) => self.limits.max_pending_requests,
            (Resource::Requests, _) => self.limits.max_requests,
            (Resource::Retries, None) => self.limits.max_retries,
            (Resource::Retries, Some(budget)) => {
                let active = self
                    .used(Resource::Requests)
                    .saturating_add(self.used(Resource::PendingRequests));
                let share = (budget.percent / 100.0 * f64::from(active)) as u32;
                share.max(budget.min_concurrency)
            }
        }
    }

    /// Takes one of a resource.
    ///
    /// # Errors
    /// If the limit is reached.
    pub fn take(self: &Arc<Self>, resource: Resource) -> Result<Permit, Overflow> {
        if !self.counts(resource) {
            return Ok(Permit { taken: None });
        }
        let limit = self.limit(resource);
        let more = |used| (used < limit).then(|| used + 1);
        match self.used[resource as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        {
            Ok(_) => Ok(self.permit(resource)),
            Err(_) => Err(Overflow { resource, limit }),
        }
    }

    /// Takes a connection even above the limit. For an endpoint that has none: its requests could otherwise wait for
    /// ever, since connections to other endpoints are of no use to them (as Envoy's pools do).
    pub fn take_first_connection(self: &Arc<Self>) -> Permit {
        if !self.counts(Resource::Connections) {
            return Permit { taken: None };
        }
        self.used[Resource::Connections as usize].fetch_add(1, Ordering::Relaxed);
        self.permit(Resource::Connections)
    }

    fn permit(self: &Arc<Self>, resource: Resource) -> Permit {
        Permit { taken: Some((Arc::clone(self), resource)) }
    }

    fn counts(&self, resource: Resource) -> bool {
        let budget = self.limits.retry_budget.is_some();
        match resource {
            Resource::Connections => self.limits.max_connections < u32::MAX,
            Resource::PendingRequests => budget || self.limits.max_pending_requests < u32::MAX,
            Resource::Requests => budget || self.limits.max_requests < u32::MAX,
            Resource::Retries => budget || self.limits.max_retries < u32::MAX,
        }
    }
}

/// The right to have one of a resource under way, given back on drop.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    taken: Option<(Arc<Breaker>, Resource)>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((breaker, resource)) = self.taken.take() {
            breaker.used[resource as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESOURCES: [Resource; 4] =
        [Resource::Connections, Resource::PendingRequests, Resource::Requests, Resource::Retries];

    fn limits(limit: u32) -> Limits {
        Limits {
            max_connections: limit,
            max_pending_requests: limit,
            max_requests: limit,
            max_retries: limit,
            ..Limits::default()
        }
    }

    #[test]
    fn what_is_over_a_limit_is_refused_until_something_ends() {
        for resource in RESOURCES {
            let breaker = Breaker::new(limits(2));
            let first = breaker.take(resource).unwrap();
            let _second = breaker.take(resource).unwrap();
            assert_eq!(breaker.take(resource).unwrap_err(), Overflow { resource, limit: 2 });
            drop(first);
            assert_eq!(breaker.used(resource), 1);
            let _third = breaker.take(resource).unwrap();
            assert!(breaker.take(resource).is_err());
        }
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_through() {
        for resource in RESOURCES {
            assert!(Breaker::new(limits(0)).take(resource).is_err());
        }
    }

    #[test]
    fn an_endpoint_without_a_connection_gets_one_above_the_limit() {
        let breaker = Breaker::new(limits(1));
        let _first = breaker.take_first_connection();
        let second = breaker.take_first_connection();
        assert_eq!(breaker.used(Resource::Connections), 2);
        drop(second);
        assert!(breaker.take(Resource::Connections).is_err());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let breaker = Breaker::new(Limits::default());
        for resource in RESOURCES {
            let _permit = breaker.take(resource).unwrap();
            assert_eq!(breaker.used(resource), 0);
        }
    }

    #[test]
    fn a_retry_budget_is_a_share_of_active_and_pending_requests_and_never_below_its_minimum() {
        let budget = Some(RetryBudget { percent: 20.0, min_concurrency: 3 });
        let breaker =
            Breaker::new(Limits { retry_budget: budget, max_retries: 0, ..Limits::default() });
        let retries: Vec<_> = (0..3).map(|_| breaker.take(Resource::Retries).unwrap()).collect();
        assert_eq!(breaker.take(Resource::Retries).unwrap_err().limit, 3);
        let requests: Vec<_> = (0..15).map(|_| breaker.take(Resource::Requests).unwrap()).collect();
        let _pending: Vec<_> =
            (0..9).map(|_| breaker.take(Resource::PendingRequests).unwrap()).collect();
        assert_eq!(breaker.limit(Resource::Retries), 4, "a fifth of 24, rounded down");
        let fourth = breaker.take(Resource::Retries).unwrap();
        drop(requests);
        assert!(breaker.take(Resource::Retries).is_err(), "the limit falls with the requests");
        drop((retries, fourth));
        assert_eq!(breaker.used(Resource::Retries), 0);
    }

    proptest! {
        #[test]
        fn counts_equal_the_permits_alive_and_never_exceed_the_limit(
            limit in 0_u32..5,
            steps in prop::collection::vec((any::<bool>(), 0_usize..8), 0..60),
        ) {
            let breaker = Breaker::new(limits(limit));
            let mut permits = Vec::new();
            for (take, index) in steps {
                if take {
                    match breaker.take(Resource::Requests) {
                        Ok(permit) => permits.push(permit),
                        Err(_) => prop_assert_eq!(permits.len(), limit as usize),
                    }
                } else if index < permits.len() {
                    drop(permits.swap_remove(index));
                }
                prop_assert_eq!(breaker.used(Resource::Requests) as usize, permits.len());
                prop_assert!(permits.len() <= limit as usize);
            }
        }
    }
}
