//! Outlier detection: endpoints that fail are left out for a while.
//!
//! A [`Detector`] belongs to a cluster, for all cores together; they feed in what became of requests, and call
//! [`Detector::sweep`] from time to time. That an ejected endpoint gets no requests is the balancer's part, as is the panic
//! threshold (DestinationRule `minHealthPercent`).
//!
//! Follows Envoy's detector as Istio configures it: consecutive errors only, each rule enforced always or not at all.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

impl Cause {
    const ALL: [Self; 3] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayErrors,
        Self::ConsecutiveLocalOriginFailures,
    ];
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

/// What is known of one endpoint. All cores count into it: errors come in a row whichever core they come to.
#[derive(Debug, Default)]
struct Monitor {
    consecutive_5xx: AtomicU32,
    consecutive_gateway_errors: AtomicU32,
    consecutive_local_failures: AtomicU32,
    is_ejected: AtomicBool,
    record: Mutex<Record>,
}

/// An endpoint's ejections.
#[derive(Debug, Default)]
struct Record {
    ejected_at: Option<Instant>,
    returned_at: Option<Instant>,
    /// What the base ejection time is multiplied by; grows with ejections and shrinks while all is well.
    multiplier: u32,
}

impl Monitor {
    fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Acquire)
    }

    /// Counts an outcome, and tells which rules its count has just reached.
    fn count(&self, config: &Config, outcome: Outcome) -> [Option<Cause>; 2] {
        let status = match outcome {
            Outcome::Response(status) => status,
            Outcome::Connected | Outcome::ConnectedFinally
                if config.split_external_local_origin_errors =>
            {
                clear(&self.consecutive_local_failures);
                return [None; 2];
            }
            Outcome::Failed | Outcome::TimedOut if config.split_external_local_origin_errors => {
                let reached = one_more(&self.consecutive_local_failures)
                    == config.consecutive_local_origin_failures;
                return [reached.then_some(Cause::ConsecutiveLocalOriginFailures), None];
            }
            // The answer on the connection will tell.
            Outcome::Connected => return [None; 2],
            Outcome::ConnectedFinally => 200,
            Outcome::Failed => 503,
            Outcome::TimedOut => 504,
        };
        if !(500..600).contains(&status) {
            clear(&self.consecutive_5xx);
            clear(&self.consecutive_gateway_errors);
            return [None; 2];
        }
        let gateway_reached = if matches!(status, 502..=504) {
            one_more(&self.consecutive_gateway_errors) == config.consecutive_gateway_errors
        } else {
            clear(&self.consecutive_gateway_errors);
            false
        };
        let reached = one_more(&self.consecutive_5xx) == config.consecutive_5xx;
        [
            gateway_reached.then_some(Cause::ConsecutiveGatewayErrors),
            reached.then_some(Cause::Consecutive5xx),
        ]
    }

    fn reset(&self, cause: Cause) {
        clear(match cause {
            Cause::Consecutive5xx => &self.consecutive_5xx,
            Cause::ConsecutiveGatewayErrors => &self.consecutive_gateway_errors,
            Cause::ConsecutiveLocalOriginFailures => &self.consecutive_local_failures,
        });
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn one_more(count: &AtomicU32) -> u32 {
    count.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Most often there is nothing to clear, and the cores do not take the line from each other.
fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

/// The outlier detection of a cluster, which all cores share.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    /// By the endpoints' numbers.
    monitors: Box<[Arc<Monitor>]>,
    ejections: Arc<Ejections>,
}

/// The ejections of a cluster, whichever its endpoints are.
#[derive(Debug, Default)]
struct Ejections {
    /// Grows with each ejection and each return.
    version: AtomicU32,
    /// When the next sweep is due; `None` before the first. Who ejects or sweeps holds it.
    next_sweep: Mutex<Option<Instant>>,
}

impl Detector {
    /// A detector of a cluster with so many endpoints.
    pub fn new(config: Config, endpoints: usize) -> Self {
        let monitors = (0..endpoints).map(|_| Arc::default()).collect();
        Self { config, monitors, ejections: Arc::default() }
    }

    /// The same detector for other endpoints, each with the number that it had before, if it was there.
    pub fn next(&self, numbers_before: &[Option<usize>]) -> Self {
        let monitor = |before: &Option<usize>| {
            before.and_then(|number| self.monitors.get(number)).cloned().unwrap_or_default()
        };
        Self {
            config: self.config.clone(),
            monitors: numbers_before.iter().map(monitor).collect(),
            ejections: Arc::clone(&self.ejections),
        }
    }

    /// Another number whenever an endpoint was ejected or has returned.
    pub fn version(&self) -> u32 {
        self.ejections.version.load(Ordering::Acquire)
    }

    /// Whether an endpoint is ejected.
    pub fn is_ejected(&self, endpoint: usize) -> bool {
        self.monitors.get(endpoint).is_some_and(|monitor| monitor.is_ejected())
    }

    /// The numbers of those that are ejected.
    pub fn all_ejected(&self) -> impl Iterator<Item = usize> {
        (0..self.monitors.len()).filter(|number| self.monitors[*number].is_ejected())
    }

    /// How many endpoints are ejected.
    pub fn ejected(&self) -> usize {
        self.all_ejected().count()
    }

    /// Counts what became of a request, and ejects the endpoint if that was one too many.
    pub fn report(&self, endpoint: usize, outcome: Outcome, now: Instant) -> Option<Detection> {
        let monitor = self.monitors.get(endpoint)?;
        let causes = monitor.count(&self.config, outcome);
        if causes == [None; 2] {
            return None;
        }
        let _alone = self.ejections.lock();
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

    /// Whether one more endpoint may be ejected: with it, the share of ejected ones must not exceed the largest. So
    /// 10 % of fewer than ten endpoints is none at all. Priorities are not looked at apart.
    fn may_eject(&self) -> bool {
        let limit = self.config.max_ejection_percent.min(100) as usize;
        (self.ejected() + 1) * 100 <= limit * self.monitors.len()
    }

    fn eject(&self, monitor: &Monitor, now: Instant) -> Duration {
        let mut record = monitor.record();
        record.ejected_at = Some(now);
        let Config { base_ejection_time: base, .. } = self.config;
        if base.saturating_mul(record.multiplier) < self.max_ejection_time().saturating_add(base) {
            record.multiplier += 1;
        }
        monitor.is_ejected.store(true, Ordering::Release);
        self.ejections.changed();
        self.ejection_time(&record)
    }

    fn ejection_time(&self, record: &Record) -> Duration {
        self.config
            .base_ejection_time
            .saturating_mul(record.multiplier)
            .min(self.max_ejection_time())
    }

    fn max_ejection_time(&self) -> Duration {
        self.config.max_ejection_time.max(self.config.base_ejection_time)
    }

    /// Returns the endpoints whose time is over, and lets the others' records grow better: once in an interval, whichever core
    /// comes first. Gives the numbers of those that returned.
    pub fn sweep(&self, now: Instant) -> Vec<usize> {
        let mut next_sweep = self.ejections.lock();
        let is_due = next_sweep.is_some_and(|due| due <= now);
        if is_due || next_sweep.is_none() {
            *next_sweep = Some(now + self.config.interval);
        }
        if !is_due {
            return Vec::new();
        }
        let returns = |number: &usize| self.look_again(&self.monitors[*number], now);
        let returned: Vec<usize> = (0..self.monitors.len()).filter(returns).collect();
        if !returned.is_empty() {
            self.ejections.changed();
        }
        returned
    }

    /// Whether an endpoint returns.
    fn look_again(&self, monitor: &Monitor, now: Instant) -> bool {
        let mut record = monitor.record();
        match record.ejected_at {
            Some(ejected_at) if self.ejection_time(&record) <= now.since(ejected_at) => {
                record.ejected_at = None;
                record.returned_at = Some(now);
                // Counts start anew, or one more error would eject it again by the rule that was not the cause.
                for cause in Cause::ALL {
                    monitor.reset(cause);
                }
                monitor.is_ejected.store(false, Ordering::Release);
                true
            }
            Some(_) => false,
            None => {
                let interval = self.config.interval;
                if record.returned_at.is_some_and(|at| now.since(at) >= interval) {
                    record.multiplier = record.multiplier.saturating_sub(1);
                }
                false
            }
        }
    }
}

impl Ejections {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next_sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
