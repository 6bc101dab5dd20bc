//! The e-process for a relative risk: are bad outcomes more frequent among the canary's units than among the primary's?
//!
//! Only the share of units that reached each version matters, not the rate of bad outcomes itself, which may change from
//! one interval to the next: an incident that strikes both versions is evidence of nothing. The argument is that of Lindon
//! and Malek (arXiv 2011.03567) for inhomogeneous Bernoulli processes, one-sided.

use serde::{Deserialize, Serialize};

use super::special::log_mean_exp;

/// How many units reached a version in an interval, and how many of them had the bad outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Units (requests or sessions).
    pub total: u64,
    /// Units with the bad outcome; at most `total`.
    pub bad: u64,
}

impl Counts {
    /// `bad` of `total` units.
    pub const fn new(total: u64, bad: u64) -> Self {
        Self { total, bad }
    }

    /// Adds the counts of another interval.
    pub const fn add(&mut self, other: Self) {
        self.total += other.total;
        self.bad += other.bad;
    }
}

/// Evidence against "the canary's risk is `null` times the primary's, or better".
///
/// With a null above the alternatives it is evidence against "…, or worse": that is the promotion gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelativeRisk {
    null: f64,
    alternatives: Vec<f64>,
    logs: Vec<f64>,
}

impl RelativeRisk {
    /// The relative risks that evidence of errors bets on.
    pub const ERRORS: [f64; 7] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
    /// The relative risks that evidence of slow answers bets on.
    pub const SLOWNESS: [f64; 7] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

    /// Evidence for a risk above `null`, spread evenly over those of `alternatives` that are.
    pub fn above(null: f64, alternatives: &[f64]) -> Self {
        let mut above: Vec<f64> = alternatives.iter().copied().filter(|r| *r > null).collect();
        if above.is_empty() {
            above.push(null * 2.0);
        }
        Self { null, logs: vec![0.0; above.len()], alternatives: above }
    }

    /// Evidence for a risk of `alternative`, against `null` or more.
    pub fn below(null: f64, alternative: f64) -> Self {
        Self { null, alternatives: vec![alternative], logs: vec![0.0] }
    }

    /// Takes in an interval. One that reached only one of the versions says nothing.
    pub fn observe(&mut self, canary: Counts, primary: Counts) {
        if canary.total == 0 || primary.total == 0 || canary.bad + primary.bad == 0 {
            return;
        }
        for (log, alternative) in self.logs.iter_mut().zip(&self.alternatives) {
            let bet = Bet::new(canary.total, primary.total, self.null, *alternative);
            *log += bet.gain(canary.bad, primary.bad);
        }
    }

    /// The logarithm of the evidence; 0 at the beginning.
    pub fn log_e(&self) -> f64 {
        log_mean_exp(&self.logs)
    }

    /// The logarithm of what the evidence would be if `more` bad outcomes of the canary came at once, none of the primary,
    /// while the canary has the share of `canary` and `primary`.
    pub fn log_e_after(&self, more: u64, canary: u64, primary: u64) -> f64 {
        let logs: Vec<f64> = (self.logs.iter().zip(&self.alternatives))
            .map(|(log, alternative)| {
                log + Bet::new(canary, primary, self.null, *alternative).gain(more, 0)
            })
            .collect();
        log_mean_exp(&logs)
    }

    /// What a bad outcome adds to the evidence on the average when the true relative risk is `truth`.
    pub fn gain_per_bad(&self, truth: f64, canary: u64, primary: u64) -> f64 {
        let share = canary as f64 / (canary + primary) as f64;
        let of_canary = share * truth / (share * truth + 1.0 - share);
        let gains = self.alternatives.iter().map(|alternative| {
            let bet = Bet::new(canary, primary, self.null, *alternative);
            of_canary * bet.canary + (1.0 - of_canary) * bet.primary
        });
        gains.fold(f64::NEG_INFINITY, f64::max)
    }
}

/// What one bad outcome of each version is worth to one alternative, in logarithms.
struct Bet {
    canary: f64,
    primary: f64,
}

impl Bet {
    fn new(canary: u64, primary: u64, null: f64, alternative: f64) -> Self {
        let share = canary as f64 / (canary + primary) as f64;
        let load = |risk: f64| share * risk + 1.0 - share;
        let primary = (load(null) / load(alternative)).ln();
        Self { canary: (alternative / null).ln() + primary, primary }
    }

    fn gain(&self, canary: u64, primary: u64) -> f64 {
        canary as f64 * self.canary + primary as f64 * self.primary
    }
}
