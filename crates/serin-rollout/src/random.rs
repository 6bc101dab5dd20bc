//! Random draws of simulations, from a seed: the same seed gives the same runs on every machine.

/// A generator (xoshiro256++, seeded by SplitMix64).
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        }))
    }

    /// 64 random bits.
    pub const fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 up to but excluding 1.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Yes, with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A draw from the normal distribution with mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A draw whose logarithm is normal: `median`, and the deviation `sigma` of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// How many events there are when `mean` are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        // Sums of Poisson draws are Poisson draws: large means come in pieces, whose exponential is not too small.
        const PIECE: f64 = 30.0;
        let mut left = mean;
        let mut count = 0;
        while left > 0.0 {
            let limit = (-left.min(PIECE)).exp();
            let mut product = self.uniform();
            while product > limit {
                count += 1;
                product *= self.uniform();
            }
            left -= PIECE;
        }
        count
    }

    /// How many of `n` independent events of probability `p` happen.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p >= 1.0 {
            return n;
        }
        // The gaps between events are geometric, so rare events cost little.
        let log_miss = (-p).ln_1p();
        if p <= 0.0 || log_miss == 0.0 {
            return 0;
        }
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += ((1.0 - self.uniform()).ln() / log_miss).floor() + 1.0;
            if at > n as f64 {
                return count;
            }
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_means_they_should() {
        let mut random = Random::new(1);
        let n = 20_000;
        let mut mean = |draw: &mut dyn FnMut(&mut Random) -> f64| {
            (0..n).map(|_| draw(&mut random)).sum::<f64>() / f64::from(n)
        };
        let near = |actual: f64, expect: f64, tolerance: f64| {
            assert!((actual - expect).abs() < tolerance, "{actual} is not near {expect}");
        };
        near(mean(&mut Random::uniform), 0.5, 0.01);
        near(mean(&mut Random::normal), 0.0, 0.03);
        near(mean(&mut |it| it.poisson(3.0) as f64), 3.0, 0.06);
        near(mean(&mut |it| it.poisson(95.0) as f64), 95.0, 0.3);
        near(mean(&mut |it| it.binomial(50, 0.02) as f64), 1.0, 0.03);
        near(mean(&mut |it| it.binomial(5, 0.9) as f64), 4.5, 0.03);
        near(mean(&mut |it| it.log_normal(50.0, 0.6).ln()), 50.0_f64.ln(), 0.02);
        assert_eq!(
            (random.poisson(0.0), random.binomial(9, 0.0), random.binomial(9, 1.0)),
            (0, 0, 9)
        );
    }
}
