//! Histograms with Envoy's default buckets.

/// Upper ends of the buckets, in milliseconds or bytes (Envoy's defaults, which Istio keeps for all its histograms).
pub(crate) const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// The same in whole numbers: values are whole, so that none is between 0 and 1.
const WHOLE: [u64; 19] = [
    0, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
    600_000, 1_800_000, 3_600_000,
];

/// How many values fell into each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Not cumulative; the last is for what is above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_times(value, 1);
    }

    /// Counts a value that was seen so many times.
    pub fn record_times(&mut self, value: u64, times: u64) {
        let bucket = WHOLE.iter().position(|&bound| value <= bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, more) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Values so far.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bucket's upper end with the values at or below it, without the last, endless one.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().zip(self.buckets).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_the_first_bucket_that_it_is_not_above() {
        let check = |value: u64, bound: Option<f64>| {
            let mut histogram = Histogram::default();
            histogram.record(value);
            let first = histogram.cumulative().find(|(_, count)| *count == 1);
            assert_eq!(first.map(|(bound, _)| bound), bound, "{value}");
            assert_eq!((histogram.count(), histogram.sum()), (1, value));
        };
        check(0, Some(0.5));
        check(1, Some(1.0));
        check(2, Some(5.0));
        check(5, Some(5.0));
        check(6, Some(10.0));
        check(3_600_000, Some(3_600_000.0));
        check(3_600_001, None);
    }
}
