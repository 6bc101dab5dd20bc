//! Outlier detection: endpoints that fail are left out for a while.
//!
//! A [`Detector`] belongs to a cluster, a [`Monitor`] to each of its endpoints; who owns both feeds in what became of
//! requests and calls [`Detector::sweep`] when [`Detector::next_sweep`] has come. That an ejected endpoint gets no
//! requests is the balancer's part, as is the panic threshold (DestinationRule `minHealthPercent`).
//!
//! Follows Envoy's detector as Istio configures it: consecutive errors only, each rule enforced always or not at all.

use std::time::Duration;

use serde::Serialize;

use crate::time::Instant;

/// When an endpoint is ejected and for how long (DestinationRule `outlierDetection`, Envoy's outlier detection).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Consecutive 5xx answers (or local failures, unless split) that eject; 0 turns the rule off (default 5).
    pub consecutive_5xx: u32,
    /// Consecutive 502, 503, 504 that eject; 0 turns the rule off (default off).
    pub consecutive_gateway_errors: u32,
    /// Count failures to connect and the like apart from the upstream's own answers.
    pub split_external_local_origin_errors: bool,
    /// Consecutive local failures that eject, when split (default 5).
    pub consecutive_local_origin_failures: u32,
    /// Time between sweeps that return endpoints (default 10 s).
    pub interval: Duration,
    /// Ejection lasts this long times the number of ejections so far (default 30 s).
    pub base_ejection_time: Duration,
    /// Longest ejection (Envoy's default 300 s).
    pub max_ejection_time: Duration,
    /// Largest share of the endpoints that may be ejected at a time, in percent (default 10).
    pub max_ejection_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_errors: 0,
            split_external_local_origin_errors: false,
            consecutive_local_origin_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
        }
    }
}

/// What became of a request or a connection, as far as the endpoint is concerned. A request refused by a circuit
/// breaker is none of its doing and is not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer of this status; of a gRPC answer without body, the status that its gRPC status stands for.
    Response(u16),
    /// A connection that requests will follow on.
    Connected,
    /// A connection that is all there is to judge by, as for TCP.
    ConnectedFinally,
    /// No connection, or one that broke before an answer.
    Failed,
    /// No connection or no answer in time.
    TimedOut,
}

/// The rule that found an endpoint failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Cause {
    /// Too many 5xx in a row.
    Consecutive5xx,
    /// Too many 502, 503 and 504 in a row.
    ConsecutiveGatewayErrors,
    /// Too many local failures in a row.
    ConsecutiveLocalOriginFailures,
}

/// An endpoint was found failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// It is ejected, and returns at the first sweep after this time.
    Ejected {
        /// By which rule.
        cause: Cause,
        /// How long at least.
        time: Duration,
    },
    /// It stays, because the largest share of ejected endpoints would be exceeded.
    OverLimit {
        /// By which rule it would have been ejected.
        cause: Cause,
    },
}

/// The state of one endpoint.
#[derive(Debug, Default)]
pub struct Monitor {
    consecutive_5xx: u32,
    consecutive_gateway_errors: u32,
    consecutive_local_failures: u32,
    ejected_at: Option<Instant>,
    returned_at: Option<Instant>,
    /// What the base ejection time is multiplied by; grows with ejections and shrinks while all is well.
    multiplier: u32,
}

impl Monitor {
    /// Whether the endpoint is ejected.
    pub fn is_ejected(&self) -> bool {
        self.ejected_at.is_some()
    }

    /// Counts an outcome, and tells which rules its count has just reached.
    fn count(&mut self, config: &Config, outcome: Outcome) -> [Option<Cause>; 2] {
        let status = match outcome {
            Outcome::Response(status) => status,
            Outcome::Connected | Outcome::ConnectedFinally
                if config.split_external_local_origin_errors =>
            {
                self.consecutive_local_failures = 0;
                return [None; 2];
            }
            Outcome::Failed | Outcome::TimedOut if config.split_external_local_origin_errors => {
                self.consecutive_local_failures += 1;
                let reached =
                    self.consecutive_local_failures == config.consecutive_local_origin_failures;
                return [reached.then_some(Cause::ConsecutiveLocalOriginFailures), None];
            }
            // The answer on the connection will tell.
            Outcome::Connected => return [None; 2],
            Outcome::ConnectedFinally => 200,
            Outcome::Failed => 503,
            Outcome::TimedOut => 504,
        };
        if !(500..600).contains(&status) {
            (self.consecutive_5xx, self.consecutive_gateway_errors) = (0, 0);
            return [None; 2];
        }
        self.consecutive_5xx += 1;
        let gateway_error = matches!(status, 502..=504);
        self.consecutive_gateway_errors =
            if gateway_error { self.consecutive_gateway_errors + 1 } else { 0 };
        let gateway_reached =
            gateway_error && self.consecutive_gateway_errors == config.consecutive_gateway_errors;
        [
            gateway_reached.then_some(Cause::ConsecutiveGatewayErrors),
            (self.consecutive_5xx == config.consecutive_5xx).then_some(Cause::Consecutive5xx),
        ]
    }

    fn reset(&mut self, cause: Cause) {
        match cause {
            Cause::Consecutive5xx => self.consecutive_5xx = 0,
            Cause::ConsecutiveGatewayErrors => self.consecutive_gateway_errors = 0,
            Cause::ConsecutiveLocalOriginFailures => self.consecutive_local_failures = 0,
        }
    }
}

/// The outlier detection of a cluster.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    endpoints: usize,
    ejected: usize,
    next_sweep: Instant,
}

impl Detector {
    /// A detector of a cluster without endpoints.
    pub fn new(config: Config, now: Instant) -> Self {
        let next_sweep = now + config.interval;
        Self { config, endpoints: 0, ejected: 0, next_sweep }
    }

    /// The monitor of an endpoint that joins the cluster.
    pub fn join(&mut self) -> Monitor {
        self.endpoints += 1;
        Monitor::default()
    }

    /// Takes back the monitor of an endpoint that leaves the cluster.
    pub fn leave(&mut self, monitor: &Monitor) {
        self.endpoints = self.endpoints.saturating_sub(1);
        self.ejected = self.ejected.saturating_sub(usize::from(monitor.is_ejected()));
    }

    /// How many endpoints are ejected.
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// Counts what became of a request, and ejects the endpoint if that was one too many.
    pub fn report(
        &mut self,
        monitor: &mut Monitor,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Detection> {
        let causes = monitor.count(&self.config, outcome);
        let mut detection = None;
        for cause in causes.into_iter().flatten() {
            if monitor.is_ejected() {
                break;
            }
            detection = Some(if self.may_eject() {
                Detection::Ejected { cause, time: self.eject(monitor, now) }
            } else {
                Detection::OverLimit { cause }
            });
            monitor.reset(cause);
        }
        detection
    }

    /// Ejects an endpoint that the detector of another core has ejected; it returns by this detector's own sweeps.
    pub fn follow(&mut self, monitor: &mut Monitor, now: Instant) {
        if !monitor.is_ejected() {
            self.eject(monitor, now);
        }
    }

    /// Whether one more endpoint may be ejected: with it, the share of ejected ones must not exceed the largest. So
    /// 10 % of fewer than ten endpoints is none at all. Priorities are not looked at apart.
    fn may_eject(&self) -> bool {
        let limit = self.config.max_ejection_percent.min(100) as usize;
        (self.ejected + 1) * 100 <= limit * self.endpoints
    }

    fn eject(&mut self, monitor: &mut Monitor, now: Instant) -> Duration {
        self.ejected += 1;
        monitor.ejected_at = Some(now);
        let Config { base_ejection_time: base, .. } = self.config;
        if base.saturating_mul(monitor.multiplier) < self.max_ejection_time().saturating_add(base) {
            monitor.multiplier += 1;
        }
        self.ejection_time(monitor)
    }

    fn ejection_time(&self, monitor: &Monitor) -> Duration {
        self.config
            .base_ejection_time
            .saturating_mul(monitor.multiplier)
            .min(self.max_ejection_time())
    }

    fn max_ejection_time(&self) -> Duration {
        self.config.max_ejection_time.max(self.config.base_ejection_time)
    }

    /// When the next sweep is due.
    pub fn next_sweep(&self) -> Instant {
        self.next_sweep
    }

    /// Returns the endpoints whose time is over, and lets the others' records grow better. Gives the keys of those that
    /// returned.
    pub fn sweep<'m, K>(
        &mut self,
        monitors: impl Iterator<Item = (K, &'m mut Monitor)>,
        now: Instant,
    ) -> Vec<K> {
        let mut returned = Vec::new();
        for (key, monitor) in monitors {
            if let Some(ejected_at) = monitor.ejected_at
                && self.ejection_time(monitor) <= now.since(ejected_at)
            {
                self.ejected = self.ejected.saturating_sub(1);
                // Counts start anew, or one more error would eject it again by the rule that was not the cause.
                let multiplier = monitor.multiplier;
                *monitor = Monitor { multiplier, returned_at: Some(now), ..Monitor::default() };
                returned.push(key);
            }
            if !monitor.is_ejected()
                && monitor
                    .returned_at
                    .is_some_and(|returned_at| now.since(returned_at) >= self.config.interval)
            {
                monitor.multiplier = monitor.multiplier.saturating_sub(1);
            }
        }
        self.next_sweep = now + self.config.interval;
        returned
    }
}

#[cfg(test)]
mod tests;
