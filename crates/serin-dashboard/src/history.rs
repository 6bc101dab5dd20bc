//! What releases looked like, second by second, for charts: the last hour of each, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serin_rollout::statistics::sequences;

use crate::releases::Release;
use crate::traffic::{Counts, Window};

/// The stretch of time that a point tells of.
pub(crate) const WINDOW: Duration = Duration::from_secs(15);
/// Points of a release: an hour.
const POINTS: usize = 3600;
/// Releases that are remembered. The one that was looked at longest ago goes first.
const RELEASES: usize = 64;
/// A release that is over is followed so much longer, in points.
const AFTERWARDS: usize = 60;

/// One version at a moment. What is not known is NaN, which JSON writes as null.
#[derive(Clone, Copy, Debug)]
struct Arm {
    rate: f32,
    /// Percent that succeeded, with its 95 % interval.
    success: [f32; 3],
    /// The 99th percentile in milliseconds, with its 95 % interval.
    p99: [f32; 3],
    p50: f32,
}

/// A release at a moment.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Seconds since 1970.
    time: f64,
    weight: u8,
    mirror: Option<u8>,
    /// How many times likelier the counts are if the new version is worse, at most so far, and the threshold.
    evidence: [f32; 2],
    canary: Arm,
    primary: Arm,
}

#[derive(Debug, Default)]
struct Track {
    points: VecDeque<Point>,
    /// Points since the release was over.
    idle: usize,
}

/// Points by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct History(BTreeMap<(String, String), Track>);

impl History {
    /// Takes note of how releases are.
    pub(crate) fn add(&mut self, now: Timestamp, releases: &[Release], recent: &Window) {
        self.0.retain(|(namespace, name), _| {
            releases.iter().any(|it| it.facts.namespace == *namespace && it.facts.name == *name)
        });
        for release in releases {
            let key = (release.facts.namespace.clone(), release.facts.name.clone());
            if !self.0.contains_key(&key) && self.0.len() >= RELEASES {
                self.forget_one();
            }
            let track = self.0.entry(key).or_default();
            if release.facts.is_running() {
                if track.idle > 0 {
                    // The charts are of one release; the next one begins anew.
                    track.points.clear();
                }
                track.idle = 0;
            } else {
                track.idle += 1;
                if track.points.is_empty() || track.idle > AFTERWARDS {
                    continue;
                }
            }
            if track.points.len() == POINTS {
                track.points.pop_front();
            }
            track.points.push_back(Point::of(now, release, recent));
        }
    }

    /// Of those that are over, the one that has been for longest.
    fn forget_one(&mut self) {
        let oldest = self.0.iter().max_by_key(|(_, track)| track.idle).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.0.remove(&oldest);
        }
    }

    /// The points of a release after a moment, in columns.
    pub(crate) fn columns(&self, namespace: &str, name: &str, after: f64) -> Columns {
        let mut columns = Columns::default();
        let key = (namespace.to_owned(), name.to_owned());
        let track = self.0.get(&key).into_iter();
        let points = track.flat_map(|it| &it.points).filter(|point| point.time > after);
        points.for_each(|point| columns.push(point));
        columns
    }
}

impl Point {
    fn of(now: Timestamp, release: &Release, recent: &Window) -> Self {
        let [canary, primary] = release.counts(recent).unwrap_or_default();
        let evidence = release.facts.evidence.as_ref();
        let of_log = |log: Option<f64>| log.map_or(f32::NAN, |log| log.min(80.0).exp() as f32);
        let percent = |weight: u64| u8::try_from(weight).unwrap_or(100).min(100);
        Self {
            time: now.as_millisecond() as f64 / 1000.0,
            weight: percent(release.facts.weights.canary),
            mirror: release.facts.weights.mirror.map(percent),
            evidence: [
                of_log(evidence.map(|it| it.log_e)),
                of_log(evidence.map(|it| it.threshold)),
            ],
            canary: Arm::of(&canary, recent.seconds),
            primary: Arm::of(&primary, recent.seconds),
        }
    }
}

impl Arm {
    fn of(counts: &Counts, seconds: f64) -> Self {
        let mut arm = Self {
            rate: (counts.requests as f64 / seconds.max(1.0)) as f32,
            success: [f32::NAN; 3],
            p99: [f32::NAN; 3],
            p50: f32::NAN,
        };
        if counts.requests == 0 {
            return arm;
        }
        let failed = counts.failures as f64 / counts.requests as f64;
        let (low, high) = sequences::proportion(counts.failures, counts.requests, 0.05);
        arm.success = [failed, high, low].map(|it| ((1.0 - it) * 100.0) as f32);
        let known = |value: Option<f64>| value.map_or(f32::NAN, |it| it as f32);
        let (low, high) = counts.quantile_interval(0.99).unzip();
        arm.p99 = [counts.quantile(0.99), low, high].map(known);
        arm.p50 = known(counts.quantile(0.5));
        arm
    }
}

/// Points, column by column, as charts want them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Columns {
    time: Vec<f64>,
    weight: Vec<u8>,
    mirror: Vec<Option<u8>>,
    evidence: Vec<Option<f32>>,
    threshold: Vec<Option<f32>>,
    canary: ArmColumns,
    primary: ArmColumns,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArmColumns {
    rate: Vec<Option<f32>>,
    success: Vec<Option<f32>>,
    success_low: Vec<Option<f32>>,
    success_high: Vec<Option<f32>>,
    p50: Vec<Option<f32>>,
    p99: Vec<Option<f32>>,
    p99_low: Vec<Option<f32>>,
    p99_high: Vec<Option<f32>>,
}

/// A number that is none is nothing.
fn known(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

impl Columns {
    /// The time of the last point.
    pub(crate) fn last_time(&self) -> Option<f64> {
        self.time.last().copied()
    }

    fn push(&mut self, point: &Point) {
        self.time.push(point.time);
        self.weight.push(point.weight);
        self.mirror.push(point.mirror);
        self.evidence.push(known(point.evidence[0]));
        self.threshold.push(known(point.evidence[1]));
        self.canary.push(&point.canary);
        self.primary.push(&point.primary);
    }
}

impl ArmColumns {
    fn push(&mut self, arm: &Arm) {
        self.rate.push(known(arm.rate));
        let [success, low, high] = arm.success.map(known);
        self.success.push(success);
        self.success_low.push(low);
        self.success_high.push(high);
        self.p50.push(known(arm.p50));
        let [p99, low, high] = arm.p99.map(known);
        self.p99.push(p99);
        self.p99_low.push(low);
        self.p99_high.push(high);
    }
}

#[cfg(test)]
mod tests {
    use serin_rollout::Phase;
    use serin_rollout::facts::Facts;

    use super::*;

    fn release(phase: Phase) -> Release {
        let facts = Facts { name: "reviews".into(), phase, ..Facts::default() };
        Release { facts, ..Release::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn an_hour_is_kept_and_later_points_can_be_asked_for() {
        let mut history = History::default();
        let running = [release(Phase::Progressing)];
        for second in 0..4000 {
            history.add(at(second), &running, &Window::default());
        }
        let all = history.columns("", "reviews", 0.0);
        assert_eq!(all.time.len(), POINTS);
        let last = all.last_time().unwrap();
        assert!(history.columns("", "reviews", last).time.is_empty());
        assert_eq!(history.columns("", "reviews", last - 2.0).time.len(), 2);
        assert!(history.columns("", "other", 0.0).time.is_empty());
    }

    #[test]
    fn a_release_that_is_over_is_followed_for_a_while_and_a_deleted_one_is_forgotten() {
        let mut history = History::default();
        history.add(at(0), &[release(Phase::Initialized)], &Window::default());
        assert!(history.columns("", "reviews", 0.0).time.is_empty(), "nothing was released yet");
        history.add(at(1), &[release(Phase::Progressing)], &Window::default());
        for second in 2..500 {
            history.add(at(second), &[release(Phase::Succeeded)], &Window::default());
        }
        assert_eq!(history.columns("", "reviews", 0.0).time.len(), 1 + AFTERWARDS);
        history.add(at(500), &[release(Phase::Progressing)], &Window::default());
        assert_eq!(history.columns("", "reviews", 0.0).time.len(), 1, "the next one begins anew");
        history.add(at(501), &[], &Window::default());
        assert!(history.0.is_empty());
    }
}
