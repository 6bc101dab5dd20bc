//! Bounds for distributions and their quantiles.

use super::mixtures::{BetaBinomial, Mixture, Sides};
use crate::statistics::special::bisect;

/// Riemann's zeta function at 1.4, the exponent of all stitched bounds here.
const ZETA: f64 = 3.105_547_277_629_925_5;
const EXPONENT: f64 = 1.4;
/// The ratio of one epoch of a stitched bound to the one before.
const ETA: f64 = 2.0;

fn k1() -> f64 {
    (ETA.powf(0.25) + ETA.powf(-0.25)) / std::f64::consts::SQRT_2
}

fn k2() -> f64 {
    f64::midpoint(ETA.sqrt(), 1.0)
}

/// The polynomial stitched bound on a sub-gamma sum of scale `c` at time `v`.
pub fn poly_stitching(v: f64, alpha: f64, v_min: f64, c: f64) -> f64 {
    let v = v.max(v_min);
    let level =
        EXPONENT * (ETA * v / v_min).ln().ln() + (ZETA / ETA.ln().powf(EXPONENT)).ln() - alpha.ln();
    let linear = k2() * c * level;
    (k1() * k1() * v * level + linear * linear).sqrt() + linear
}

/// The bound on the deviation of the count below any quantile `p` after `t` observations, at all times and for all
/// quantiles at once, narrowest around `t_opt`.
pub fn double_stitching(p: f64, t: f64, alpha: f64, t_opt: f64) -> f64 {
    const DELTA: f64 = 0.5;
    let logit = (p / (1.0 - p)).ln();
    let t = t.max(t_opt);
    let nearer = logit + 2.0 * DELTA * (t_opt * ETA / t).sqrt();
    let r = if p >= 0.5 { p } else { (1.0 / (1.0 + (-nearer).exp())).min(0.5) };
    let variance = r * (1.0 - r);
    let place = (t / t_opt).sqrt() * logit.abs() / (2.0 * DELTA) + 1.0;
    let budget = 2.0 * ZETA * (2.0 * ZETA + 1.0) / (alpha * ETA.ln().powf(EXPONENT));
    let level = EXPONENT * (ETA * t / t_opt).ln().ln() + EXPONENT * place.ln() + budget.ln();
    let linear = k2() * (1.0 - 2.0 * p) / 3.0 * level;
    DELTA * (ETA * t * variance / t_opt).sqrt()
        + (k1() * k1() * variance * t * level + linear * linear).sqrt()
        + linear
}

/// How far an empirical distribution function ever strays from the true one, from `t_min` observations on.
pub fn distribution_band(t: f64, alpha: f64, t_min: f64) -> f64 {
    const A: f64 = 0.85;
    if t < t_min {
        return f64::INFINITY;
    }
    A * (((t / t_min).ln().ln_1p() + band_constant(alpha, A)) / t).sqrt()
}

/// The least constant for which the law of the iterated logarithm's bound holds with probability 1 − `alpha`.
fn band_constant(alpha: f64, a: f64) -> f64 {
    let error = |c: f64, eta: f64| {
        let gamma = 2.0 / eta * (a - (2.0 * (eta - 1.0) / c).sqrt()).powi(2);
        if gamma <= 1.0 {
            f64::INFINITY
        } else {
            4.0 * (-gamma * c).exp() * (1.0 + 1.0 / ((gamma - 1.0) * eta.ln()))
        }
    };
    let least = |c: f64| {
        let reach = |eta: f64| (eta / 2.0).sqrt() + (2.0 * (eta - 1.0) / c).sqrt() - a;
        error(c, golden_section(1.0, bisect(1.0, 2.0 * a * a, reach), |eta| error(c, eta)))
    };
    bisect(1.0, 100.0, |c| least(c) - alpha)
}

/// Where a function with one valley is least.
fn golden_section(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    for _ in 0..120 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if f(left) < f(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high)
}

/// The always-valid p-value of "both samples have the same `p`-quantile". The mixture is narrowest at `t_opt` observations.
///
/// For each possible common quantile the evidence of both samples against it is added; the least of these sums counts.
pub fn quantile_comparison(a: &[f64], b: &[f64], p: f64, t_opt: f64, alpha_opt: f64) -> f64 {
    let mixture = BetaBinomial::new(p * (1.0 - p) * t_opt, alpha_opt, p, 1.0 - p, Sides::Two);
    let evidence = |sample: &[f64], share: f64| {
        let n = sample.len() as f64;
        mixture.log_value((share - p) * n, p * (1.0 - p) * n)
    };
    let mut places: Vec<f64> = a.iter().chain(b).copied().collect();
    places.sort_by(f64::total_cmp);
    // A quantile at x may have any share between "below x" and "up to x" of a sample under it: the one nearest to what the
    // mixture likes best counts.
    let likeliest = |sample| golden_section(0.0, 1.0, |share| evidence(sample, share));
    let likeliest = [likeliest(a), likeliest(b)];
    let least = |sample: &[f64], likeliest: f64, x: f64| {
        let n = sample.len() as f64;
        let below = sample.iter().filter(|value| **value < x).count() as f64 / n;
        let upto = sample.iter().filter(|value| **value <= x).count() as f64 / n;
        evidence(sample, likeliest.clamp(below, upto))
    };
    let sums = places.iter().map(|x| least(a, likeliest[0], *x) + least(b, likeliest[1], *x));
    (-sums.fold(f64::INFINITY, f64::min)).exp().min(1.0)
}
