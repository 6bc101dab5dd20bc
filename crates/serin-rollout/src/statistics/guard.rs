//! The absolute guard: is the canary's risk above a ceiling, whatever the primary's is?

use serde::{Deserialize, Serialize};

use super::error_rate::Counts;
use super::special::log_mean_exp;

/// How many times the ceiling the bets are.
const FACTORS: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Evidence against "the risk is at or below the ceiling".
///
/// For each alternative `θ` above the ceiling `c` the product of `θ/c` for bad and `(1−θ)/(1−c)` for good outcomes; a
/// supermartingale for any risk up to `c`. The evidence is the mean over the alternatives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    ceiling: f64,
    logs: Vec<f64>,
}

impl Ceiling {
    /// Evidence against a risk up to `ceiling`, which is above 0 and below 1.
    pub fn new(ceiling: f64) -> Self {
        Self { ceiling, logs: vec![0.0; FACTORS.len()] }
    }

    /// The ceiling.
    pub const fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// Takes in an interval.
    pub fn observe(&mut self, counts: Counts) {
        let good = counts.total.saturating_sub(counts.bad) as f64;
        for (log, factor) in self.logs.iter_mut().zip(FACTORS) {
            // Alternatives stay probabilities: half way to certainty at most.
            let alternative = (self.ceiling * factor).min(f64::midpoint(self.ceiling, 1.0));
            *log += counts.bad as f64 * (alternative / self.ceiling).ln()
                + good * ((1.0 - alternative) / (1.0 - self.ceiling)).ln();
        }
    }

    /// The logarithm of the evidence; 0 at the beginning.
    pub fn log_e(&self) -> f64 {
        log_mean_exp(&self.logs)
    }
}
