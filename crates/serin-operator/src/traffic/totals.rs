//! Counters that only grow, as proxies and Prometheus have them, and what happened between two looks at them.

use serin_rollout::statistics::{Arm, Counts};

use super::Sample;

/// What a version did since its proxies began to count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// By upper limit in milliseconds, ascending: requests that took no longer. The last limit may be infinite.
    pub buckets: Vec<(f64, u64)>,
}

impl Totals {
    /// What happened since an earlier look. A counter that went back began anew.
    pub fn since(&self, earlier: &Self) -> Arm {
        let is_reset = self.requests < earlier.requests || self.failures < earlier.failures;
        let nothing = Self::default();
        let earlier = if is_reset { &nothing } else { earlier };
        let mut arm = Arm::default();
        let requests = self.requests - earlier.requests;
        arm.counts = Counts::new(requests, (self.failures - earlier.failures).min(requests));
        let (mut below, mut lower) = (0, 0.0);
        for (limit, count) in &self.buckets {
            let before =
                earlier.buckets.iter().find(|(it, _)| it == limit).map_or(0, |(_, count)| *count);
            let until = count.saturating_sub(before);
            // The middle of a bucket stands for everything in it, and twice the last limit for what is above.
            let middle = if limit.is_finite() { f64::midpoint(lower, *limit) } else { lower * 2.0 };
            for _ in below..until {
                arm.latency.record(middle.max(0.5));
            }
            below = below.max(until);
            lower = if limit.is_finite() { *limit } else { lower };
        }
        arm
    }
}

/// Both versions at one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// The new version.
    pub canary: Totals,
    /// The version that users have.
    pub primary: Totals,
}

impl Look {
    /// What happened since an earlier look.
    pub fn since(&self, earlier: &Self) -> Sample {
        let mut sample = Sample::default();
        sample.requests.canary = self.canary.since(&earlier.canary);
        sample.requests.primary = self.primary.since(&earlier.primary);
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_looks_is_what_happened_between() {
        let totals = |requests, failures, quick, slow| Totals {
            requests,
            failures,
            buckets: vec![(10.0, quick), (100.0, quick + slow), (f64::INFINITY, requests)],
        };
        let arm = totals(20, 2, 10, 8).since(&totals(10, 1, 6, 4));
        assert_eq!(arm.counts, Counts::new(10, 1));
        assert_eq!(arm.latency.total(), 10);
        let near = |quantile: f64, expect: f64| {
            let value = arm.latency.quantile(quantile).unwrap();
            assert!((value / expect - 1.0).abs() < 0.1, "{value} is not near {expect}");
        };
        near(0.1, 5.0);
        near(0.7, 55.0);
        near(0.99, 200.0);
    }

    #[test]
    fn counters_that_begin_anew_are_counted_from_nothing() {
        let of = |requests| Totals { requests, ..Totals::default() };
        assert_eq!(of(5).since(&of(100)).counts.total, 5);
    }
}
