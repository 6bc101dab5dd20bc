//! Durations in narrow buckets.

use std::time::Duration;

/// Buckets between a duration and twice it: each is at most 1/32 (3.1 %) wider than its lower end.
const PARTS: usize = 32;
/// 32 of a microsecond each, then 27 doublings: to an hour and eleven minutes, which stands for all that is longer.
const BUCKETS: usize = PARTS * 28;

/// How many durations fell into each bucket. Its size is fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// None before the first.
    buckets: Vec<u32>,
}

/// The bucket of so many microseconds.
fn bucket(microseconds: u32) -> usize {
    let value = microseconds as usize;
    // How often it has to be halved to be below 64.
    let halvings = (value / PARTS).checked_ilog2().unwrap_or(0) as usize;
    halvings * PARTS + (value >> halvings)
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: usize) -> f64 {
    let halvings = (bucket / PARTS).saturating_sub(1);
    let lower = (bucket - halvings * PARTS) << halvings;
    lower as f64 + (1_u64 << halvings) as f64 / 2.0
}

impl Durations {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        if self.buckets.is_empty() {
            self.buckets.resize(BUCKETS, 0);
        }
        let bucket = bucket(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX));
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (mine, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*more);
        }
    }

    /// The buckets that are not empty: the middle of each in milliseconds, and how many are in it.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u32)> {
        let buckets = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(|(bucket, count)| (middle(bucket) / 1000.0, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_known_to_within_a_thirtysecond() {
        let check = |duration: Duration| {
            let mut durations = Durations::default();
            durations.record(duration);
            let (middle, count) = durations.counts().next().unwrap();
            let exact = duration.as_secs_f64() * 1000.0;
            assert!((middle - exact).abs() <= exact / 64.0 + 0.0005, "{exact} counts as {middle}");
            assert_eq!(count, 1);
        };
        for microseconds in (0..5_000).chain([31_999, 32_000, 1_000_000, 59_999_999]) {
            check(Duration::from_micros(microseconds));
        }
        check(Duration::from_secs(4_200));
    }

    #[test]
    fn buckets_follow_each_other_and_what_is_longer_than_all_is_in_the_last() {
        let mut before = 0;
        for microseconds in 0..100_000 {
            let next = bucket(microseconds);
            assert!(next == before || next == before + 1, "{microseconds}");
            before = next;
        }
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
        let mut durations = Durations::default();
        durations.record(Duration::from_secs(1_000_000));
        assert_eq!(durations.counts().count(), 1);
    }

    #[test]
    fn cores_are_added() {
        let (mut one, mut two) = (Durations::default(), Durations::default());
        one.record(Duration::from_millis(3));
        two.add(&one);
        two.add(&one);
        assert_eq!(two.counts().map(|(_, count)| count).collect::<Vec<_>>(), [2]);
    }
}
