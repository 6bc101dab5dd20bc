//! Mixture supermartingales: for a sum `s` with intrinsic time `v`, how surprising it is that it went so far.

use statrs::function::beta::ln_beta;
use statrs::function::erf::erfc;
use statrs::function::gamma::{gamma_lr, gamma_ur, ln_gamma};

use crate::statistics::special::{bisect, ln_incomplete_beta};

/// Whether deviations to both sides count, or upward ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Upward only.
    One,
    /// Both.
    Two,
}

/// A mixture of exponential supermartingales.
pub trait Mixture {
    /// The logarithm of the supermartingale at a sum `s` at time `v`.
    fn log_value(&self, s: f64, v: f64) -> f64;

    /// The greatest sum that is possible at time `v`.
    fn greatest_sum(&self, _v: f64) -> f64 {
        f64::INFINITY
    }

    /// The sum that is ever exceeded, at any time, with probability `alpha` at most.
    fn bound(&self, v: f64, alpha: f64) -> f64 {
        let threshold = -alpha.ln();
        let mut high = v.max(1.0);
        let limit = self.greatest_sum(v);
        while high < limit && self.log_value(high, v) < threshold {
            high *= 2.0;
        }
        let high = high.min(limit);
        bisect(0.0, high, |s| self.log_value(s, v) - threshold)
    }
}

/// The parameter that makes the two-sided normal mixture's bound narrowest at time `v`.
pub fn best_rho(v: f64, alpha: f64) -> f64 {
    let log = -2.0 * alpha.ln();
    v / (log + log.ln_1p())
}

fn rho_for(sides: Sides, v: f64, alpha: f64) -> f64 {
    match sides {
        Sides::One => best_rho(v, 2.0 * alpha),
        Sides::Two => best_rho(v, alpha),
    }
}

/// The two-sided normal mixture, for sums of sub-Gaussian terms.
#[derive(Clone, Copy, Debug)]
pub struct Normal(f64);

impl Normal {
    /// Narrowest at time `v_opt` for `alpha_opt`.
    pub fn new(v_opt: f64, alpha_opt: f64) -> Self {
        Self(rho_for(Sides::Two, v_opt, alpha_opt))
    }
}

impl Mixture for Normal {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let Self(rho) = self;
        0.5 * (rho / (v + rho)).ln() + s * s / (2.0 * (v + rho))
    }
}

/// The one-sided normal mixture.
#[derive(Clone, Copy, Debug)]
pub struct OneSidedNormal(f64);

impl OneSidedNormal {
    /// Narrowest at time `v_opt` for `alpha_opt`.
    pub fn new(v_opt: f64, alpha_opt: f64) -> Self {
        Self(rho_for(Sides::One, v_opt, alpha_opt))
    }
}

impl Mixture for OneSidedNormal {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let Self(rho) = self;
        let below = 0.5 * erfc(-s / (v + rho).sqrt() / std::f64::consts::SQRT_2);
        0.5 * (4.0 * rho / (v + rho)).ln() + s * s / (2.0 * (v + rho)) + below.ln()
    }
}

/// The gamma-exponential mixture, for sub-exponential sums of scale `c`.
#[derive(Clone, Copy, Debug)]
pub struct GammaExponential {
    rho: f64,
    scale: f64,
}

impl GammaExponential {
    /// Narrowest at time `v_opt` for `alpha_opt`.
    pub fn new(v_opt: f64, alpha_opt: f64, scale: f64) -> Self {
        Self { rho: rho_for(Sides::One, v_opt, alpha_opt), scale }
    }
}

impl Mixture for GammaExponential {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let square = self.scale * self.scale;
        let (rho, time) = (self.rho / square, (v + self.rho) / square);
        let at = (self.scale * s + v) / square;
        rho * rho.ln() - ln_gamma(rho) - gamma_lr(rho, rho).ln()
            + ln_gamma(time)
            + gamma_lr(time, at + rho).ln()
            - time * (at + rho).ln()
            + at
    }
}

/// The gamma-Poisson mixture, for sub-Poisson sums of scale `c`.
#[derive(Clone, Copy, Debug)]
pub struct GammaPoisson {
    rho: f64,
    scale: f64,
}

impl GammaPoisson {
    /// Narrowest at time `v_opt` for `alpha_opt`.
    pub fn new(v_opt: f64, alpha_opt: f64, scale: f64) -> Self {
        Self { rho: rho_for(Sides::One, v_opt, alpha_opt), scale }
    }
}

impl Mixture for GammaPoisson {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let square = self.scale * self.scale;
        let (rho, time) = (self.rho / square, (v + self.rho) / square);
        let at = s / self.scale + time;
        rho * rho.ln() - ln_gamma(rho) - gamma_ur(rho, rho).ln()
            + ln_gamma(at)
            + gamma_ur(at, time).ln()
            - at * time.ln()
            + v / square
    }
}

/// The beta-binomial mixture, for sums of terms between −`below` and `above`.
#[derive(Clone, Copy, Debug)]
pub struct BetaBinomial {
    rho: f64,
    below: f64,
    above: f64,
    sides: Sides,
}

impl BetaBinomial {
    /// Narrowest at time `v_opt` for `alpha_opt`.
    pub fn new(v_opt: f64, alpha_opt: f64, below: f64, above: f64, sides: Sides) -> Self {
        let rho = rho_for(sides, v_opt, alpha_opt) - below * above;
        Self { rho: rho.max(1e-3 * below * above), below, above, sides }
    }

    fn ln_beta(&self, a: f64, b: f64) -> f64 {
        match self.sides {
            Sides::One => ln_incomplete_beta(a, b, self.above / (self.below + self.above)),
            Sides::Two => ln_beta(a, b),
        }
    }
}

impl Mixture for BetaBinomial {
    fn log_value(&self, s: f64, v: f64) -> f64 {
        let (g, h) = (self.below, self.above);
        let width = g + h;
        let (falls, rises) = ((v - g * s) / (g * width), (v + h * s) / (h * width));
        let prior = (self.rho / (g * width), self.rho / (h * width));
        v / (g * h) * width.ln() - rises * g.ln() - falls * h.ln()
            + self.ln_beta(prior.0 + falls, prior.1 + rises)
            - self.ln_beta(prior.0, prior.1)
    }

    fn greatest_sum(&self, v: f64) -> f64 {
        v / self.below
    }
}

/// The interval for a probability after `successes` of `trials` that holds at all times, narrowest around `t_opt` trials.
pub fn bernoulli(
    successes: f64,
    trials: f64,
    alpha: f64,
    t_opt: f64,
    alpha_opt: f64,
) -> (f64, f64) {
    let share = successes / trials;
    let excess = |p: f64| {
        let variance = p * (1.0 - p);
        let mixture = BetaBinomial::new(variance * t_opt, alpha_opt, p, 1.0 - p, Sides::Two);
        mixture.log_value((share - p) * trials, variance * trials) + alpha.ln()
    };
    // At 0 and 1 the mixture is not defined; what lies so near them is as far away as need be.
    const EDGE: f64 = 1e-12;
    let middle = share.clamp(EDGE, 1.0 - EDGE);
    let end = |edge: f64| {
        if excess(edge) > 0.0 { bisect(edge, middle, excess) } else { edge.round() }
    };
    let low = if share > 0.0 { end(EDGE) } else { 0.0 };
    let high = if share < 1.0 { end(1.0 - EDGE) } else { 1.0 };
    (low, high)
}
