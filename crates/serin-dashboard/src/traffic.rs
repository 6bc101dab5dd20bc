//! The traffic of the last seconds: counters of proxies only grow, so that two looks at them tell what happened in between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serin_telemetry::{Histogram, Tally, Traffic};
use tokio::time::Instant;

/// So many looks are kept, one a second.
const LOOKS: usize = 61;
/// So many pairs of a source and a destination are told apart; what is beyond is left out.
const MAX_EDGES: usize = 4096;

/// One end of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct End {
    /// Namespace of the workload.
    pub(crate) namespace: Arc<str>,
    /// Its name; empty if nobody knows.
    pub(crate) workload: Arc<str>,
    /// The label `version`.
    pub(crate) version: Arc<str>,
}

/// From whom to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Edge {
    pub(crate) source: End,
    pub(crate) destination: End,
    /// Name of the service that was asked for; a host if it is none of the cluster's.
    pub(crate) service: Arc<str>,
    /// Its namespace.
    pub(crate) service_namespace: Arc<str>,
    pub(crate) subset: Arc<str>,
}

impl Edge {
    fn of(traffic: &Traffic) -> Self {
        let end = |it: &serin_telemetry::Workload| End {
            namespace: Arc::clone(&it.namespace),
            workload: Arc::clone(&it.name),
            version: Arc::clone(&it.version),
        };
        let destination = &traffic.destination;
        Self {
            source: end(&traffic.source),
            destination: end(&destination.workload),
            service: Arc::clone(&destination.service_name),
            service_namespace: Arc::clone(&destination.service_namespace),
            subset: Arc::clone(&destination.subset),
        }
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Copies that went there.
    pub(crate) mirrored: u64,
    /// Upper ends of buckets in milliseconds, with the requests at or below.
    duration: Vec<(f64, u64)>,
}

impl Counts {
    fn of(sent: &Tally, mirrored: &Tally) -> Self {
        Self {
            requests: sent.requests,
            failures: sent.failures,
            mirrored: mirrored.requests,
            duration: buckets(&sent.duration),
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.mirrored += other.mirrored;
        if self.duration.is_empty() {
            self.duration.clone_from(&other.duration);
        } else {
            for (mine, more) in self.duration.iter_mut().zip(&other.duration) {
                mine.1 += more.1;
            }
        }
    }

    /// What was added since an earlier look.
    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        let duration = self.duration.iter().enumerate().map(|(at, (bound, count))| {
            let earlier = before.duration.get(at).map_or(0, |it| it.1);
            (*bound, count.saturating_sub(earlier))
        });
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            mirrored: self.mirrored.saturating_sub(before.mirrored),
            duration: duration.collect(),
        }
    }

    /// The duration in milliseconds that a share of the requests was not above, within a bucket as if they were spread evenly.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        self.rank(share * self.timed())
    }

    /// Requests whose duration is known: where counters come from elsewhere, they need not be as many as there are requests.
    fn timed(&self) -> f64 {
        self.duration.last().map_or(0, |it| it.1) as f64
    }

    /// Where the quantile is with a probability of about 95 % (the ranks of a binomial distribution, as a normal one).
    pub(crate) fn quantile_interval(&self, share: f64) -> Option<(f64, f64)> {
        let count = self.timed();
        let spread = 1.96 * (count * share * (1.0 - share)).sqrt();
        let (low, high) = (share.mul_add(count, -spread), share.mul_add(count, spread));
        Some((self.rank(low.max(0.0))?, self.rank(high.min(count))?))
    }

    fn rank(&self, rank: f64) -> Option<f64> {
        let (mut below, mut counted) = (0.0, 0.0);
        if self.timed() == 0.0 {
            return None;
        }
        for (bound, cumulative) in &self.duration {
            let cumulative = *cumulative as f64;
            if cumulative >= rank && cumulative > counted {
                let share = ((rank - counted) / (cumulative - counted)).clamp(0.0, 1.0);
                return Some(share.mul_add(bound - below, below));
            }
            (below, counted) = (*bound, cumulative);
        }
        // Above all bounds nothing more is known.
        Some(below)
    }
}

fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    histogram.cumulative().collect()
}

/// Counts by edge.
pub(crate) type Edges = BTreeMap<Edge, Counts>;

/// The looks of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Looks(VecDeque<(Instant, Edges)>);

/// What happened in a stretch of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Its length in seconds; 0 if nothing is known yet.
    pub(crate) seconds: f64,
    pub(crate) edges: Edges,
}

impl Looks {
    /// Takes a look.
    pub(crate) fn add(&mut self, now: Instant, traffic: &[Traffic]) {
        let mut edges = Edges::new();
        for it in traffic {
            let edge = Edge::of(it);
            if edges.len() < MAX_EDGES || edges.contains_key(&edge) {
                edges.entry(edge).or_default().add(&Counts::of(&it.sent, &it.mirrored));
            }
        }
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        self.0.push_back((now, edges));
    }

    /// What happened in the last seconds, as far as it was looked at.
    pub(crate) fn last(&self, length: Duration) -> Window {
        let Some((now, edges)) = self.0.back() else { return Window::default() };
        let from = self.0.iter().rev().find(|(at, _)| now.duration_since(*at) >= length);
        let Some((then, before)) = from.or_else(|| self.0.front()) else {
            return Window::default();
        };
        let seconds = now.duration_since(*then).as_secs_f64();
        let added =
            edges.iter().map(|(edge, counts)| (edge.clone(), counts.since(before.get(edge))));
        // Before the first look everything was counted at an unknown time.
        let added = added.filter(|(_, it)| seconds > 0.0 && (it.requests > 0 || it.mirrored > 0));
        Window { seconds, edges: added.collect() }
    }
}

/// What is told of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rates {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Requests a second; `None` if nobody could tell.
    pub(crate) rate: Option<f64>,
    /// Copies a second.
    pub(crate) mirrored: f64,
    /// The share that succeeded, from 0 to 1.
    pub(crate) success: Option<f64>,
    /// Milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl Window {
    /// The sum of the edges that are asked for.
    pub(crate) fn sum(&self, is_asked: impl Fn(&Edge) -> bool) -> Counts {
        let mut sum = Counts::default();
        self.edges.iter().filter(|(edge, _)| is_asked(edge)).for_each(|(_, it)| sum.add(it));
        sum
    }

    /// Counts as rates.
    pub(crate) fn rates(&self, counts: &Counts) -> Rates {
        let seconds = self.seconds.max(0.001);
        let success = 1.0 - counts.failures as f64 / counts.requests.max(1) as f64;
        Rates {
            requests: counts.requests,
            failures: counts.failures,
            rate: (self.seconds > 0.0).then(|| counts.requests as f64 / seconds),
            mirrored: counts.mirrored as f64 / seconds,
            success: (counts.requests > 0).then_some(success),
            p50: counts.quantile(0.5),
            p99: counts.quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(requests: u64, failures: u64, milliseconds: u64) -> Traffic {
        let mut traffic = Traffic::default();
        traffic.destination.service_name = "reviews".into();
        traffic.sent.requests = requests;
        traffic.sent.failures = failures;
        (0..requests).for_each(|_| traffic.sent.duration.record(milliseconds));
        traffic
    }

    #[test]
    fn what_happened_is_the_difference_of_two_looks() {
        let mut looks = Looks::default();
        let start = Instant::now();
        looks.add(start, &[traffic(100, 0, 7)]);
        assert!(looks.last(Duration::from_secs(30)).edges.is_empty());
        looks.add(start + Duration::from_secs(10), &[traffic(150, 5, 7)]);
        let window = looks.last(Duration::from_secs(30));
        let rates = window.rates(&window.sum(|_| true));
        assert_eq!((rates.requests, rates.failures, rates.rate), (50, 5, Some(5.0)));
        assert_eq!(rates.success, Some(0.9));
        assert_eq!(rates.p50, Some(7.5), "the middle of the bucket from 5 to 10");
    }

    #[test]
    fn quantiles_have_an_interval_that_narrows() {
        let check = |requests: u64| {
            let mut counts = Counts::of(&traffic(requests, 0, 20).sent, &Tally::default());
            counts.add(&Counts::of(&traffic(requests, 0, 200).sent, &Tally::default()));
            let (low, high) = counts.quantile_interval(0.9).unwrap();
            assert!(low <= high);
            high - low
        };
        assert!(check(1000) < check(10));
        assert_eq!(Counts::default().quantile(0.5), None);
    }
}
