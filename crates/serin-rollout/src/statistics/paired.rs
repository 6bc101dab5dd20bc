//! The paired test while mirroring: each request is answered by both versions, so only pairs that differ tell.

use serde::{Deserialize, Serialize};

use super::special::ln_incomplete_beta;

/// Evidence against "of the pairs that differ, the canary is the bad one in no more than a fair share".
///
/// The uniform mixture over the shares above the fair one, `q`: with `x` of `n` the canary's,
/// `∫ θ^x (1−θ)^(n−x) dθ / (1−q)` from `q` to 1, over `q^x (1−q)^(n−x)`. No true share of at most `q` lets any of these bets grow on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    canary_only: u64,
    primary_only: u64,
}

impl Paired {
    /// Takes in the pairs of an interval in which only the one or only the other was bad.
    pub const fn observe(&mut self, canary_only: u64, primary_only: u64) {
        self.canary_only += canary_only;
        self.primary_only += primary_only;
    }

    /// Pairs in which only the canary was bad, and in which only the primary was.
    pub const fn pairs(&self) -> (u64, u64) {
        (self.canary_only, self.primary_only)
    }

    /// The logarithm of the evidence, if `fair` is the canary's share of the bad ones where versions are alike; 0 at the beginning.
    pub fn log_e(&self, fair: f64) -> f64 {
        if self.pairs() == (0, 0) {
            return 0.0;
        }
        let (x, y) = (self.canary_only as f64, self.primary_only as f64);
        // With θ' = 1 − θ the integral runs from 0 to the primary's fair share.
        let rest = 1.0 - fair;
        ln_incomplete_beta(y + 1.0, x + 1.0, rest) - (y + 1.0) * rest.ln() - x * fair.ln()
    }

    /// The same after `more` pairs in which only the canary was bad.
    pub const fn after(mut self, more: u64) -> Self {
        self.observe(more, 0);
        self
    }
}
