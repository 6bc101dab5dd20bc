//! A simulated service: how much traffic it has, how often each version fails, how long each takes.

use std::collections::VecDeque;

use statrs::function::erf::{erfc, erfc_inv};

use crate::observation::Traffic;
use crate::random::Random;
use crate::state::Routes;
use crate::statistics::{Arm, Counts, Histogram, Interval, MirrorInterval, Session, Unit};

/// Median of the primary's latency in milliseconds, and the deviation of its logarithm: 202 ms at the 99th percentile.
const MEDIAN: f64 = 50.0;
const SIGMA: f64 = 0.6;
/// Share of the users that conditions (A/B testing) choose.
const MATCHING: f64 = 0.1;

/// What a service is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// Requests in a second.
    pub rate: f64,
    /// Probability that the primary fails.
    pub primary_errors: f64,
    /// Probability that the canary fails.
    pub canary_errors: f64,
    /// How many times the primary's time the canary takes.
    pub slower: f64,
    /// Requests of a session. They come together, and all fail when one does.
    pub burst: u64,
}

impl Service {
    /// What the latencies of the canary and of the primary are drawn from.
    pub(super) fn latencies(&self) -> [Latencies; 2] {
        [Latencies::new(MEDIAN * self.slower), Latencies::new(MEDIAN)]
    }

    /// The same with a canary that is as good as the primary.
    #[must_use]
    pub const fn alike(mut self) -> Self {
        self.canary_errors = self.primary_errors;
        self.slower = 1.0;
        self
    }
}

/// What the canary's metrics would say: its requests of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    seconds: VecDeque<Arm>,
}

impl Window {
    fn push(&mut self, arm: Arm) {
        self.seconds.push_back(arm);
        if self.seconds.len() > 600 {
            self.seconds.pop_front();
        }
    }

    /// Percent of requests that did not fail; `None` without requests.
    pub(super) fn success(&self, seconds: usize) -> Option<f64> {
        let mut counts = Counts::default();
        self.seconds.iter().rev().take(seconds).for_each(|arm| counts.add(arm.counts));
        (counts.total > 0).then(|| 100.0 * (1.0 - counts.bad as f64 / counts.total as f64))
    }

    /// The 99th percentile of the latency in milliseconds.
    pub(super) fn duration(&self, seconds: usize) -> Option<f64> {
        let mut all = Histogram::default();
        self.seconds.iter().rev().take(seconds).for_each(|arm| all.add(&arm.latency));
        all.quantile(0.99)
    }
}

/// Latencies to draw from: the buckets of evenly spread quantiles.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Vec<u16>);

impl Latencies {
    const QUANTILES: u32 = 1 << 14;

    fn new(median: f64) -> Self {
        let bucket = |index: u32| {
            let quantile = (f64::from(index) + 0.5) / f64::from(Self::QUANTILES);
            let deviation = -std::f64::consts::SQRT_2 * erfc_inv(2.0 * quantile);
            Histogram::bucket(median * (SIGMA * deviation).exp()) as u16
        };
        Self((0..Self::QUANTILES).map(bucket).collect())
    }

    fn draw(&self, random: &mut Random) -> usize {
        let index = random.next() >> (64 - Self::QUANTILES.trailing_zeros());
        self.0.get(index as usize).copied().map_or(0, usize::from)
    }
}

/// A service that runs.
pub(super) struct Simulation<'r> {
    service: Service,
    unit: Unit,
    /// Whether latency is looked at, by evidence or by a metric.
    has_latency: bool,
    random: &'r mut Random,
    latencies: &'r [Latencies; 2],
    sessions: u64,
    pub(super) window: Window,
    /// Requests of users that reached the canary, and those that failed.
    pub(super) exposed: Counts,
}

impl<'r> Simulation<'r> {
    pub(super) fn new(
        service: Service,
        latencies: &'r [Latencies; 2],
        unit: Unit,
        has_latency: bool,
        random: &'r mut Random,
    ) -> Self {
        Self {
            latencies,
            service,
            unit,
            has_latency,
            random,
            sessions: 0,
            window: Window::default(),
            exposed: Counts::default(),
        }
    }

    /// The traffic of a second, and what is told of it.
    pub(super) fn second(&mut self, routes: &Routes, is_matched: bool) -> Vec<Traffic> {
        let matching = if is_matched { MATCHING } else { 1.0 };
        let share = f64::from(routes.canary) / 100.0 * matching;
        let (live, told) =
            if self.service.burst > 1 { self.by_session(share) } else { self.by_request(share) };
        self.exposed.add(live.counts);
        let mut told = vec![told];
        if matches!(told[..], [Traffic::Sessions(..)]) {
            told.push(Traffic::Reached(live.counts.total));
        }
        let mut seen = live;
        if let Some(percent) = routes.mirror {
            let (copies, pairs) = self.mirrored(f64::from(percent) / 100.0);
            seen.counts.add(copies.counts);
            seen.latency.add(&copies.latency);
            told.push(Traffic::Mirrored(pairs));
        }
        self.window.push(seen);
        told
    }

    fn arm(&mut self, mean: f64, errors: f64, side: usize) -> Arm {
        let total = self.random.poisson(mean);
        let bad = self.random.binomial(total, errors);
        Arm { counts: Counts::new(total, bad), latency: self.latency(total - bad, side) }
    }

    fn latency(&mut self, answers: u64, side: usize) -> Histogram {
        let mut latency = Histogram::default();
        if self.has_latency {
            (0..answers).for_each(|_| latency.record_in(self.latencies[side].draw(self.random), 1));
        }
        latency
    }

    fn by_request(&mut self, share: f64) -> (Arm, Traffic) {
        let Service { rate, primary_errors, canary_errors, .. } = self.service;
        let canary = self.arm(rate * share, canary_errors, 0);
        let primary = self.arm(rate * (1.0 - share), primary_errors, 1);
        (canary.clone(), Traffic::Counts(Interval { canary, primary }))
    }

    fn by_session(&mut self, share: f64) -> (Arm, Traffic) {
        let Service { rate, primary_errors, canary_errors, slower, burst } = self.service;
        let mut sessions = [Vec::new(), Vec::new()];
        let mut requests = [Arm::default(), Arm::default()];
        for _ in 0..self.random.poisson(rate / burst as f64) {
            let is_canary = self.random.chance(share);
            let (side, errors, median) = if is_canary {
                (0, canary_errors, MEDIAN * slower)
            } else {
                (1, primary_errors, MEDIAN)
            };
            let failed = self.random.chance(errors);
            self.sessions += 1;
            let latency =
                (self.has_latency && !failed).then(|| self.random.log_normal(median, SIGMA));
            requests[side].counts.add(Counts::new(burst, if failed { burst } else { 0 }));
            if let Some(milliseconds) = latency {
                requests[side].latency.record(milliseconds);
            }
            sessions[side].push(Session { id: self.sessions, failed, latency });
        }
        let [canary, primary] = requests;
        let [of_canary, of_primary] = sessions;
        let told = match self.unit {
            Unit::Session => Traffic::Sessions(of_canary, of_primary),
            Unit::Request => Traffic::Counts(Interval { canary: canary.clone(), primary }),
        };
        (canary, told)
    }

    fn mirrored(&mut self, share: f64) -> (Arm, MirrorInterval) {
        let Service { rate, primary_errors: p0, canary_errors: p1, slower, .. } = self.service;
        let canary = self.arm(rate * share, p1, 0);
        let pairs = canary.counts.total;
        // Of two independent latencies one is longer by a quarter.
        let longer =
            |factor: f64| normal_below((factor.ln() - 1.25_f64.ln()) / (SIGMA * 2.0_f64.sqrt()));
        let both = (1.0 - p0) * (1.0 - p1);
        let primary_failed = self.random.binomial(pairs - canary.counts.bad, p0);
        let interval = MirrorInterval {
            pairs,
            canary_failed: self.random.binomial(canary.counts.bad, 1.0 - p0),
            primary_failed,
            canary_slower: self.random.binomial(pairs, both * longer(slower)),
            primary_slower: self.random.binomial(pairs, both * longer(1.0 / slower)),
        };
        (canary, interval)
    }
}

/// The probability that a standard normal draw is below `x`.
fn normal_below(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}
