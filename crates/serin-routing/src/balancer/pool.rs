//! Turns among endpoints that are equally good in every other respect.

use rand_core::Rng;

use super::schedule::Schedule;
use super::{EndpointSet, Policy, WarmUp};
use crate::time::Instant;

/// What an endpoint's weight depends on at the moment of a choice.
pub(super) struct Weigher<'s> {
    pub(super) set: &'s EndpointSet,
    pub(super) now: Instant,
    /// Requests under way at an endpoint.
    pub(super) active: &'s dyn Fn(u32) -> u32,
    /// When an endpoint joined the cluster or became ready.
    pub(super) joined_at: &'s dyn Fn(u32) -> Instant,
}

impl Weigher<'_> {
    fn weight(&self, index: u32) -> f64 {
        let mut weight =
            self.set.members.get(index as usize).map_or(1.0, |member| f64::from(member.weight));
        if self.set.policy == Policy::LeastRequest {
            weight /= f64::from((self.active)(index)) + 1.0;
        }
        self.set.warm_up.as_ref().map_or(weight, |warm_up| {
            weight * warm_up.share(self.now.since((self.joined_at)(index)))
        })
    }

    /// Whether an endpoint is in its slow start.
    pub(super) fn is_warming(&self, index: u32) -> bool {
        let warm_up = self.set.warm_up.as_ref();
        warm_up.is_some_and(|warm_up| self.now.since((self.joined_at)(index)) < warm_up.duration)
    }
}

impl WarmUp {
    /// The share of its weight that an endpoint has at an age: grows from the minimum to 1 (Envoy's slow start).
    pub fn share(&self, age: std::time::Duration) -> f64 {
        if age >= self.duration {
            return 1.0;
        }
        let grown = age.as_secs_f64().max(0.001) / self.duration.as_secs_f64();
        let aggression = if self.aggression > 0.0 { self.aggression } else { 1.0 };
        grown.min(1.0).powf(1.0 / aggression).max(self.minimum_percent / 100.0)
    }
}

/// Endpoints that take turns.
#[derive(Debug)]
pub(super) struct Pool {
    members: Vec<u32>,
    /// Whose turn it is where all are equal.
    cursor: u64,
    /// Whose turn it is where they are not.
    schedule: Option<Schedule>,
    /// Whether it takes a schedule only until the youngest endpoint is warm.
    warming: bool,
}

impl Pool {
    /// A pool that starts at `cursor`, which differs from proxy to proxy.
    pub(super) fn new(members: Vec<u32>, cursor: u64, weigher: &Weigher<'_>) -> Self {
        let policy = &weigher.set.policy;
        let scheduled =
            matches!(policy, Policy::RoundRobin | Policy::LeastRequest) && members.len() > 1;
        let weight =
            |index: &u32| weigher.set.members.get(*index as usize).map(|member| member.weight);
        let unequal = members.windows(2).any(|pair| weight(&pair[0]) != weight(&pair[1]));
        let warming =
            scheduled && !unequal && members.iter().any(|&index| weigher.is_warming(index));
        let schedule = (scheduled && (unequal || warming)).then(|| {
            let count = members.len() as u32;
            Schedule::new(count, cursor as u32, |entry| weigher.weight(members[entry as usize]))
        });
        Self { members, cursor, schedule, warming }
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The endpoint whose turn it is.
    pub(super) fn choose(&mut self, weigher: &Weigher<'_>, rng: &mut impl Rng) -> Option<u32> {
        let Self { members, cursor, schedule, warming } = self;
        let count = members.len() as u64;
        if count == 0 {
            return None;
        }
        if *warming && !members.iter().any(|&index| weigher.is_warming(index)) {
            (*warming, *schedule) = (false, None);
        }
        if let Some(schedule) = schedule {
            return schedule
                .next(|entry| weigher.weight(members[entry as usize]))
                .map(|entry| members[entry as usize]);
        }
        let random = |rng: &mut _| members[(Rng::next_u64(rng) % count) as usize];
        Some(match weigher.set.policy {
            Policy::RoundRobin => {
                let index = members[(*cursor % count) as usize];
                *cursor = cursor.wrapping_add(1);
                index
            }
            Policy::LeastRequest => {
                let (first, second) = (random(rng), random(rng));
                if (weigher.active)(second) < (weigher.active)(first) { second } else { first }
            }
            Policy::Random
            | Policy::RingHash { .. }
            | Policy::Maglev { .. }
            | Policy::Passthrough => random(rng),
        })
    }
}
