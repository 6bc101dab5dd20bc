//! Intervals and tests that hold at all times, for display and for checks beside the verdict.
//!
//! The boundaries are those of Howard, Ramdas, McAuliffe and Sekhon (arXiv 1810.08240), Howard and Ramdas for quantiles
//! (arXiv 1906.09712) and Lindon and Malek for counts (arXiv 2011.03567). The tests compare with the values that their
//! authors' programs print.

mod counts;
mod mixtures;
mod quantiles;
#[cfg(test)]
mod tests;

pub use counts::{Multinomial, SampleRatio};
pub use mixtures::{
    BetaBinomial, GammaExponential, GammaPoisson, Mixture, Normal, OneSidedNormal, Sides,
    bernoulli, best_rho,
};
pub use quantiles::{distribution_band, double_stitching, poly_stitching, quantile_comparison};

/// The interval for a probability after `bad` of `total`, at all times with confidence 1 − `alpha`. It is narrowest, for
/// its time, around a thousand units.
pub fn proportion(bad: u64, total: u64, alpha: f64) -> (f64, f64) {
    if total == 0 { (0.0, 1.0) } else { bernoulli(bad as f64, total as f64, alpha, 1000.0, 0.05) }
}
