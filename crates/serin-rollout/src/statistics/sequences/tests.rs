//! Values that the authors' own programs print, to the digits they print.

use super::*;

#[track_caller]
fn check(actual: f64, expect: f64, tolerance: f64) {
    assert!((actual - expect).abs() <= tolerance, "{actual} is not {expect}");
}

#[test]
fn mixtures_give_the_published_values() {
    let (v, alpha) = (100.0, 0.05);
    check(best_rho(v, alpha), 12.60056, 2e-5);
    let of = |mixture: &dyn Mixture, log: f64, bound: f64| {
        check(mixture.log_value(10.0, v), log, 2e-5);
        check(mixture.bound(v, alpha), bound, 2e-5);
    };
    of(&Normal::new(v, alpha), -0.6510052, 30.35209);
    of(&OneSidedNormal::new(v, alpha), -0.06502391, 27.66071);
    of(&GammaExponential::new(v, alpha, 2.0), -0.2490165, 33.02017);
    of(&GammaPoisson::new(v, alpha, 2.0), -0.06991219, 30.1949);
    of(&BetaBinomial::new(v, alpha, 0.2, 0.8, Sides::Two), -0.6941012, 31.4308);
    of(&BetaBinomial::new(v, alpha, 0.2, 0.8, Sides::One), -0.07134019, 28.41238);
}

#[test]
fn stitched_bounds_give_the_published_values() {
    check(poly_stitching(100.0, 0.05, 10.0, 3.0), 64.48755, 2e-5);
    check(poly_stitching(100.0, 0.05, 10.0, -1.0), 28.99389, 2e-5);
    check(double_stitching(0.5, 1000.0, 0.05, 100.0), 68.62803, 2e-5);
    check(double_stitching(0.9, 1000.0, 0.05, 100.0), 43.72119, 2e-5);
    check(double_stitching(0.1, 1000.0, 0.05, 100.0), 59.96521, 2e-5);
}

#[test]
fn bands_around_distributions_give_the_published_values() {
    check(distribution_band(1000.0, 0.05, 100.0), 0.08204769, 2e-7);
    for (n, radius) in [(100.0, 0.24225), (1e3, 0.08205), (1e4, 0.02667), (1e5, 0.00858)] {
        check(distribution_band(n, 0.05, 100.0), radius, 6e-6);
    }
    assert_eq!(distribution_band(99.0, 0.05, 100.0), f64::INFINITY);
    let constants = [
        (0.1, 7.62297),
        (0.05, 8.12272),
        (0.025, 8.62265),
        (0.02, 8.7836),
        (0.01, 9.28354),
        (0.005, 9.78337),
        (0.001, 10.94307),
    ];
    for (alpha, constant) in constants {
        // At t_min the band is A·√(C/t).
        let radius = distribution_band(1.0, alpha, 1.0);
        check((radius / 0.85).powi(2), constant, 6e-5);
    }
}

#[test]
fn intervals_of_probabilities_give_the_published_values() {
    let cases = [
        (700.0, 1000.0, 100.0, (0.651629, 0.745949)),
        (15.0, 50.0, 50.0, (0.129556, 0.511896)),
        (5.0, 50.0, 50.0, (0.013021, 0.269264)),
        (1.0, 50.0, 50.0, (0.0, 0.13489)),
        (100.0, 200.0, 1.0, (0.328923, 0.671076)),
    ];
    for (bad, total, t_opt, (low, high)) in cases {
        let (l, h) = bernoulli(bad, total, 0.05, t_opt, 0.05);
        check(l, low, 2e-5);
        check(h, high, 2e-5);
    }
    assert_eq!(proportion(0, 0, 0.05), (0.0, 1.0));
    assert_eq!(proportion(0, 100, 0.05).0, 0.0);
    assert_eq!(proportion(100, 100, 0.05).1, 1.0);
}

#[test]
fn counts_give_the_published_values() {
    let two = Multinomial::new(&[0.8, 0.2], 100.0);
    check(two.p_value(&[148, 62]), 0.04557963175925, 1e-12);
    let (low, high) = two.log_ratio([148, 62], 0.05);
    check(low, 0.004646253, 1e-8);
    check(high, 0.994506, 1e-5);
    let three = Multinomial::new(&[0.1, 0.4, 0.5], 100.0);
    check(three.p_value(&[40, 129, 233]), 0.04845591105972, 1e-12);
}

#[test]
fn a_mismatch_of_the_sample_ratio_is_told_as_published() {
    let mut test = SampleRatio::new(&[0.4, 0.4, 0.2], &[1.0, 1.0, 1.0]);
    let expect = [
        (0, -1.0986, -0.9163),
        (1, -2.4849, -1.8326),
        (0, -3.4012, -2.7489),
        (1, -4.4998, -3.6652),
        (2, -6.4457, -5.2746),
    ];
    for (category, alternative, null) in expect {
        test.observe(category);
        let (m1, m0) = test.log_likelihoods();
        check(m1, alternative, 5.1e-5);
        check(m0, null, 5.1e-5);
    }
    check(test.log_e(), -6.4457 + 5.2746, 1.1e-4);
}

#[test]
fn comparisons_of_quantiles_give_the_published_values() {
    let sample = |offset: u32| (1..=1000).map(|i| f64::from(i + offset)).collect::<Vec<_>>();
    let cases =
        [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)];
    for (p, offset, expect) in cases {
        check(quantile_comparison(&sample(0), &sample(offset), p, 100.0, 0.05), expect, 1e-5);
    }
}
