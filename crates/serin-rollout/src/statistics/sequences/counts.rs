//! Counts by category: whether they come in the shares that were intended.
//!
//! A release asks this of its own routes: do as many requests reach the canary as its weight says?

use statrs::function::gamma::ln_gamma;

use crate::statistics::special::bisect;

/// The test of a split after so many counts, with a Dirichlet prior around the intended shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Multinomial {
    shares: Vec<f64>,
    concentration: f64,
}

impl Multinomial {
    /// A test of `shares`, which sum to 1, most powerful for deviations of the order of `1/√concentration`.
    pub fn new(shares: &[f64], concentration: f64) -> Self {
        Self { shares: shares.to_vec(), concentration }
    }

    /// The logarithm of the evidence against the shares.
    pub fn log_e(&self, counts: &[u64]) -> f64 {
        self.log_e_against(counts, &self.shares)
    }

    /// Evidence against `truth`, with the prior around the intended shares.
    fn log_e_against(&self, counts: &[u64], truth: &[f64]) -> f64 {
        let all: f64 = counts.iter().map(|n| *n as f64).sum();
        let each = counts.iter().zip(&self.shares).zip(truth).map(|((n, share), truth)| {
            let (n, prior) = (*n as f64, self.concentration * share);
            ln_gamma(prior + n) - ln_gamma(prior) - n * truth.ln()
        });
        ln_gamma(self.concentration) - ln_gamma(self.concentration + all) + each.sum::<f64>()
    }

    /// The p-value at this count. The least one so far is valid at all times.
    pub fn p_value(&self, counts: &[u64]) -> f64 {
        (-self.log_e(counts)).exp().min(1.0)
    }

    /// The interval for how much more often than intended, as a difference of logarithms, the second of two categories
    /// comes than the first.
    pub fn log_ratio(&self, counts: [u64; 2], alpha: f64) -> (f64, f64) {
        let [first, second] = [self.shares[0], self.shares[1]];
        let excess = |delta: f64| {
            let raised = second * delta.exp();
            let truth = [first / (first + raised), raised / (first + raised)];
            self.log_e_against(&counts, &truth) + alpha.ln()
        };
        let seen = ((counts[1] as f64 / second) / (counts[0] as f64 / first)).ln();
        (bisect(seen - 20.0, seen, excess), bisect(seen, seen + 20.0, excess))
    }
}

/// The sequential test for a sample ratio mismatch: the same with the prior given, one observation at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRatio {
    shares: Vec<f64>,
    posterior: Vec<f64>,
    log_alternative: f64,
    log_null: f64,
}

impl SampleRatio {
    /// A test of `shares` with the Dirichlet prior `prior`.
    pub fn new(shares: &[f64], prior: &[f64]) -> Self {
        Self {
            shares: shares.to_vec(),
            posterior: prior.to_vec(),
            log_alternative: 0.0,
            log_null: 0.0,
        }
    }

    /// Takes in one observation of a category.
    pub fn observe(&mut self, category: usize) {
        let all: f64 = self.posterior.iter().sum();
        if let (Some(mass), Some(share)) =
            (self.posterior.get_mut(category), self.shares.get(category))
        {
            self.log_alternative += (*mass / all).ln();
            self.log_null += share.ln();
            *mass += 1.0;
        }
    }

    /// The logarithms of the probability of what was seen: under any split, under the intended one.
    pub const fn log_likelihoods(&self) -> (f64, f64) {
        (self.log_alternative, self.log_null)
    }

    /// The logarithm of the evidence against the shares.
    pub const fn log_e(&self) -> f64 {
        self.log_alternative - self.log_null
    }
}
