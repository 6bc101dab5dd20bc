//! The few functions of analysis that the tests need, in logarithms.

use statrs::function::beta::ln_beta;

/// `ln((e^a1 + e^a2 + …) / n)`: the logarithm of the mean of numbers that are given by their logarithms.
pub(crate) fn log_mean_exp(logs: &[f64]) -> f64 {
    log_weighted_mean(logs.iter().map(|log| (1.0, *log)))
}

/// The same with a weight before each. Terms without weight are passed over.
pub(crate) fn log_weighted_mean(terms: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let used = terms.filter(|(weight, _)| *weight > 0.0);
    let greatest = used.clone().map(|(_, log)| log).fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    let add = |(sum, weights): (f64, f64), (weight, log): (f64, f64)| {
        (sum + weight * (log - greatest).exp(), weights + weight)
    };
    let (sum, weights) = used.fold((0.0, 0.0), add);
    greatest + (sum / weights).ln()
}

/// The logarithm of `∫ θ^(a−1) (1−θ)^(b−1) dθ` from 0 to `x`.
pub(crate) fn ln_incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x >= 1.0 {
        return ln_beta(a, b);
    }
    // The continued fraction converges fast below the mean; above it the other tail is taken away from the whole.
    let front = a * x.ln() + b * (-x).ln_1p();
    if x < (a + 1.0) / (a + b + 2.0) {
        front - a.ln() + continued_fraction(a, b, x).ln()
    } else {
        let whole = ln_beta(a, b);
        let rest = front - b.ln() + continued_fraction(b, a, 1.0 - x).ln();
        whole + (-(rest - whole).exp().min(1.0)).ln_1p()
    }
}

/// Lentz's evaluation of the continued fraction of the incomplete beta function. It takes about the square root of the
/// larger argument in terms; the bound is far above what the counts of a release can ask for.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let keep_off_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / keep_off_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..20_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / keep_off_zero(1.0 + term * d);
            c = keep_off_zero(1.0 + term / c);
            change = c * d;
            result *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    result
}

/// The place between `a` and `b` where `f` changes its sign; `f(a)` and `f(b)` have different ones.
pub(crate) fn bisect(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (a.min(b), a.max(b));
    let sign_at_low = f(low).is_sign_negative();
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle).is_sign_negative() == sign_at_low {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_exponentials_do_not_overflow() {
        assert!((log_mean_exp(&[1000.0, 1000.0]) - 1000.0).abs() < 1e-12);
        assert!((log_mean_exp(&[0.0, f64::NEG_INFINITY]) + 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(log_mean_exp(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
    }

    #[test]
    fn the_incomplete_beta_function_agrees_with_closed_forms() {
        // ∫0..x θ^2 (1-θ) dθ = x³/3 − x⁴/4.
        for x in [0.1_f64, 0.4, 0.5, 0.9, 0.999] {
            let exact = (x.powi(3) / 3.0 - x.powi(4) / 4.0).ln();
            assert!((ln_incomplete_beta(3.0, 2.0, x) - exact).abs() < 1e-12, "{x}");
        }
        // Symmetric: half of the whole, also for many counts.
        for n in [10.0, 1e4, 1e6] {
            let half = ln_incomplete_beta(n, n, 0.5) - ln_beta(n, n);
            assert!((half + 2.0_f64.ln()).abs() < 1e-6, "{n}: {half}");
        }
    }
}
