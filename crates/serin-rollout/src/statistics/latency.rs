//! Latency by counting slow answers: an answer is slow when it is above a quantile of what the primary did *before*.
//!
//! Because the limit is known before the interval begins, slowness is an outcome like an error, and the same e-process
//! applies, once for each quantile. A canary that is slower anywhere from the median up is found. Only the counts of
//! histogram buckets are needed.

use serde::{Deserialize, Serialize};

use super::error_rate::{Counts, RelativeRisk};
use super::special::log_mean_exp;

/// Buckets per doubling: neighbouring limits differ by about 4.4 %.
const PER_DOUBLING: f64 = 16.0;
/// The lower limit of the first bucket, in milliseconds.
const LEAST: f64 = 0.125;
/// Enough for more than an hour.
const BUCKETS: usize = 408;
/// The history of the primary is halved when it holds so many answers, so that it follows the time of day.
const HISTORY: u64 = 200_000;
/// So many answers above a quantile are expected in the history before the quantile is used.
const ENOUGH_ABOVE: f64 = 10.0;
/// Milliseconds that a canary may be slower than the limit: no user notices them, and on the scale of single milliseconds it is
/// machines that differ, not versions.
const UNNOTICED: f64 = 5.0;
/// So many answers of a new version are left out: its connections and caches are cold.
pub(super) const COLD: u64 = 50;

/// Latencies in buckets that grow by a constant factor. The same buckets everywhere, so that counts can be added and
/// compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Counts from the first bucket to the last that is not empty.
    buckets: Vec<u32>,
}

impl Histogram {
    /// The bucket of a latency.
    pub(crate) fn bucket(milliseconds: f64) -> usize {
        let position = ((milliseconds / LEAST).log2() * PER_DOUBLING).floor();
        // Also for what is no number: the first bucket.
        position.clamp(0.0, (BUCKETS - 1) as f64) as usize
    }

    /// The upper limit of a bucket in milliseconds.
    fn limit(bucket: usize) -> f64 {
        LEAST * ((bucket + 1) as f64 / PER_DOUBLING).exp2()
    }

    /// Counts one answer.
    pub fn record(&mut self, milliseconds: f64) {
        self.record_in(Self::bucket(milliseconds), 1);
    }

    /// Counts so many answers of the same latency.
    pub fn record_many(&mut self, milliseconds: f64, count: u32) {
        self.record_in(Self::bucket(milliseconds), count);
    }

    /// Counts answers of a bucket.
    pub(crate) fn record_in(&mut self, bucket: usize, count: u32) {
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(slot) = self.buckets.get_mut(bucket) {
            *slot = slot.saturating_add(count);
        }
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in other.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.record_in(bucket, *count);
        }
    }

    /// How many answers are counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|count| u64::from(*count)).sum()
    }

    /// The upper limit in milliseconds of the bucket that holds the quantile; `None` while nothing is counted.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        self.quantile_bucket(quantile).map(Self::limit)
    }

    fn quantile_bucket(&self, quantile: f64) -> Option<usize> {
        let total = self.total();
        let mut below = 0;
        self.buckets.iter().position(|count| {
            below += u64::from(*count);
            total > 0 && below as f64 >= quantile * total as f64
        })
    }

    /// How many answers are in buckets above `bucket`.
    fn above(&self, bucket: usize) -> u64 {
        self.buckets.iter().skip(bucket + 1).map(|count| u64::from(*count)).sum()
    }

    fn halve(&mut self) {
        self.buckets.iter_mut().for_each(|count| *count /= 2);
    }
}

/// Evidence that the canary's answers are slower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowEvents {
    tests: Vec<(f64, RelativeRisk)>,
    /// What the primary did before.
    history: Histogram,
    /// Answers of the canary so far.
    #[serde(default)]
    seen: u64,
}

impl SlowEvents {
    /// Evidence for each of `quantiles`, in equal parts.
    pub fn new(quantiles: &[f64], tolerance: f64) -> Self {
        let test = |q: &f64| (*q, RelativeRisk::above(tolerance, &RelativeRisk::SLOWNESS));
        let tests = quantiles.iter().map(test).collect();
        Self { tests, history: Histogram::default(), seen: 0 }
    }

    /// Takes in an interval. The limits come from the intervals before it.
    pub fn observe(&mut self, canary: &Histogram, primary: &Histogram) {
        let known = self.history.total() as f64;
        let is_cold = self.seen < COLD;
        self.seen += canary.total();
        for (quantile, test) in self.tests.iter_mut().filter(|_| !is_cold) {
            if known * (1.0 - *quantile) < ENOUGH_ABOVE {
                continue;
            }
            let Some(limit) = self.history.quantile_bucket(*quantile) else { continue };
            let slow = |of: &Histogram, limit: usize| Counts::new(of.total(), of.above(limit));
            let lenient = Histogram::bucket(Histogram::limit(limit) + UNNOTICED);
            test.observe(slow(canary, lenient), slow(primary, limit));
        }
        self.history.add(primary);
        if self.history.total() > HISTORY {
            self.history.halve();
        }
    }

    /// The logarithm of the evidence; 0 at the beginning.
    pub fn log_e(&self) -> f64 {
        let logs: Vec<f64> = self.tests.iter().map(|(_, test)| test.log_e()).collect();
        if logs.is_empty() { 0.0 } else { log_mean_exp(&logs) }
    }

    /// The quantile for which the evidence is greatest, and the primary's latency there in milliseconds.
    pub fn strongest(&self) -> Option<(f64, f64)> {
        let strongest = self.tests.iter().max_by(|(_, a), (_, b)| a.log_e().total_cmp(&b.log_e()));
        strongest.and_then(|(quantile, _)| Some((*quantile, self.history.quantile(*quantile)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_limits_of_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|ms| histogram.record(f64::from(ms)));
        for (quantile, exact) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let told = histogram.quantile(quantile).unwrap_or_default();
            assert!((exact..exact * 1.1).contains(&told), "{quantile}: {told}");
        }
    }

    #[test]
    fn odd_latencies_have_a_bucket() {
        let mut histogram = Histogram::default();
        [f64::NAN, -1.0, 0.0, 1e300, f64::INFINITY].iter().for_each(|ms| histogram.record(*ms));
        assert_eq!(histogram.total(), 5);
    }

    #[test]
    fn what_no_user_notices_and_the_first_answers_are_no_evidence() {
        let check = |milliseconds: f64, expect: bool| {
            let (mut fast, mut slow) = (Histogram::default(), Histogram::default());
            (0..100).for_each(|_| fast.record(2.0));
            (0..100).for_each(|_| slow.record(milliseconds));
            let mut test = SlowEvents::new(&[0.5], 1.0);
            test.observe(&Histogram::default(), &fast);
            test.observe(&slow, &fast);
            assert_eq!(test.log_e(), 0.0, "the first answers");
            (0..5).for_each(|_| test.observe(&slow, &fast));
            assert_eq!(test.log_e() > 4.6, expect, "{milliseconds} ms: {}", test.log_e());
        };
        check(2.0, false);
        check(6.0, false);
        check(9.0, true);
    }

    #[test]
    fn the_limits_come_from_before_the_interval() {
        let (mut fast, mut slow) = (Histogram::default(), Histogram::default());
        (0..100).for_each(|_| fast.record(10.0));
        (0..100).for_each(|_| slow.record(100.0));
        let mut test = SlowEvents::new(&[0.5], 1.0);
        test.observe(&slow, &fast);
        assert_eq!(test.log_e(), 0.0, "nothing is known of the primary yet");
        test.observe(&slow, &fast);
        assert!(test.log_e() > 4.6, "{}", test.log_e());
    }
}
