//! How traffic is shared among priorities: the first has all of it while enough of its endpoints are healthy, and what
//! it cannot take goes to the next (Envoy's priority levels, overprovisioning and panic threshold).

use super::LocalityPolicy;

/// How many endpoints a priority has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) total: u32,
    pub(super) healthy: u32,
}

impl Level {
    /// The share of traffic that the priority can take, in percent.
    fn health(self, policy: &LocalityPolicy) -> u32 {
        if self.total == 0 {
            return 0;
        }
        let health = u64::from(policy.overprovisioning_percent) * u64::from(self.healthy)
            / u64::from(self.total);
        health.min(100) as u32
    }

    fn is_in_panic(self, policy: &LocalityPolicy) -> bool {
        let healthy = if self.total == 0 {
            0.0
        } else {
            100.0 * f64::from(self.healthy) / f64::from(self.total)
        };
        healthy < policy.panic_threshold_percent.min(100.0)
    }
}

/// The shares of priorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loads {
    /// What each priority can take, in percent.
    health: Vec<u32>,
    /// What each priority gets, in percent of the whole.
    load: Vec<u32>,
    /// Whether a priority's endpoints are used whether healthy or not.
    panic: Vec<bool>,
}

impl Loads {
    pub(super) fn new(levels: &[Level], policy: &LocalityPolicy) -> Self {
        let health: Vec<u32> = levels.iter().map(|level| level.health(policy)).collect();
        let available = health.iter().sum::<u32>().min(100);
        // While all priorities together can take everything, a priority with few healthy endpoints is no reason to panic.
        let panic: Vec<bool> =
            levels.iter().map(|level| available < 100 && level.is_in_panic(policy)).collect();
        let load = if panic.iter().all(|panic| *panic) {
            by_size(levels)
        } else {
            share_out(&health).unwrap_or_else(|| everything_to_first(levels.len()))
        };
        Self { health, load, panic }
    }

    /// Whether the endpoints of a priority are used whether healthy or not.
    pub(super) fn is_in_panic(&self, level: usize) -> bool {
        self.panic.get(level).copied().unwrap_or(false)
    }

    /// The priority that a random number falls on.
    pub(super) fn choose(&self, random: u64) -> usize {
        choose(&self.load, random)
    }

    /// The shares without some priorities; `None` if nothing healthy is left.
    pub(super) fn without(&self, excluded: impl Fn(usize) -> bool) -> Option<Vec<u32>> {
        let health: Vec<u32> = self
            .health
            .iter()
            .enumerate()
            .map(|(level, &health)| if excluded(level) { 0 } else { health })
            .collect();
        share_out(&health)
    }
}

/// The priority that a random number falls on; the first if shares do not add up to 100.
pub(super) fn choose(load: &[u32], random: u64) -> usize {
    let ticket = (random % 100) as u32;
    let mut end = 0;
    load.iter()
        .position(|share| {
            end += share;
            ticket < end
        })
        .unwrap_or(0)
}

/// Shares the traffic out by health, earlier priorities first; `None` if there is no health.
fn share_out(health: &[u32]) -> Option<Vec<u32>> {
    let available = health.iter().sum::<u32>().min(100);
    let first = health.iter().position(|&health| health > 0)?;
    let mut left = 100;
    let mut load: Vec<u32> = health
        .iter()
        .map(|health| {
            let share = (health * 100 / available).min(left);
            left -= share;
            share
        })
        .collect();
    // What rounding left over.
    load[first] += left;
    Some(load)
}

/// When every priority is in panic, shares go by the number of endpoints.
fn by_size(levels: &[Level]) -> Vec<u32> {
    let total: u64 = levels.iter().map(|level| u64::from(level.total)).sum();
    let Some(first) = levels.iter().position(|level| level.total > 0) else {
        return everything_to_first(levels.len());
    };
    let mut load: Vec<u32> =
        levels.iter().map(|level| (100 * u64::from(level.total) / total) as u32).collect();
    load[first] += 100 - load.iter().sum::<u32>();
    load
}

fn everything_to_first(levels: usize) -> Vec<u32> {
    (0..levels).map(|level| if level == 0 { 100 } else { 0 }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn levels(counts: &[(u32, u32)]) -> Vec<Level> {
        counts.iter().map(|&(healthy, total)| Level { total, healthy }).collect()
    }

    fn policy(panic_threshold_percent: f64) -> LocalityPolicy {
        LocalityPolicy { panic_threshold_percent, ..LocalityPolicy::default() }
    }

    #[track_caller]
    fn check(counts: &[(u32, u32)], threshold: f64, load: &[u32], panic: &[bool]) {
        let loads = Loads::new(&levels(counts), &policy(threshold));
        assert_eq!((&*loads.load, &*loads.panic), (load, panic), "{counts:?} at {threshold} %");
    }

    #[test]
    fn the_first_priority_has_everything_while_it_is_healthy_enough() {
        check(&[(10, 10), (10, 10)], 50.0, &[100, 0], &[false, false]);
        check(&[(8, 10), (10, 10)], 50.0, &[100, 0], &[false, false]);
        check(&[(72, 100), (100, 100)], 50.0, &[100, 0], &[false, false]);
        check(&[(71, 100), (100, 100)], 50.0, &[99, 1], &[false, false]);
        check(&[(50, 100), (100, 100)], 50.0, &[70, 30], &[false, false]);
        check(&[(0, 100), (100, 100)], 50.0, &[0, 100], &[false, false]);
    }

    #[test]
    fn shares_are_scaled_up_when_all_together_are_not_enough() {
        // The table of Envoy's documentation of priority levels.
        check(&[(25, 100), (25, 100)], 0.0, &[50, 50], &[false, false]);
        check(&[(5, 100), (0, 100), (5, 100)], 0.0, &[50, 0, 50], &[false; 3]);
        check(&[(1, 7), (1, 7), (1, 7)], 0.0, &[34, 33, 33], &[false; 3]);
    }

    #[test]
    fn a_priority_panics_only_while_all_together_cannot_take_everything() {
        check(&[(20, 100), (100, 100)], 50.0, &[28, 72], &[false, false]);
        check(&[(20, 100), (49, 100)], 50.0, &[50, 50], &[true, true]);
        check(&[(10, 100), (60, 100)], 50.0, &[15, 85], &[true, false]);
        check(&[(10, 100), (40, 100)], 50.0, &[50, 50], &[true, true]);
        check(&[(0, 100), (0, 300)], 50.0, &[25, 75], &[true, true]);
        check(&[(0, 1), (0, 1), (0, 1)], 50.0, &[34, 33, 33], &[true; 3]);
    }

    #[test]
    fn without_a_threshold_nothing_panics() {
        check(&[(0, 3)], 0.0, &[100], &[false]);
        check(&[(0, 3), (0, 3)], 0.0, &[100, 0], &[false, false]);
        check(&[(1, 100)], 0.0, &[100], &[false]);
    }

    #[test]
    fn empty_priorities_get_nothing_unless_all_are_empty() {
        check(&[(0, 0), (3, 3)], 50.0, &[0, 100], &[false, false]);
        check(&[(0, 0)], 50.0, &[100], &[true]);
        check(&[(0, 0), (0, 2)], 50.0, &[0, 100], &[true, true]);
        check(&[], 50.0, &[], &[]);
    }

    #[test]
    fn excluded_priorities_leave_their_share_to_the_others() {
        let loads = Loads::new(&levels(&[(10, 10), (5, 10), (10, 10)]), &policy(50.0));
        assert_eq!(loads.without(|level| level == 0), Some(vec![0, 70, 30]));
        assert_eq!(loads.without(|_| true), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_a_hundred_and_every_draw_falls_on_one(
            counts in prop::collection::vec((0_u32..20, 0_u32..20), 1..6),
            threshold in 0.0_f64..=100.0,
        ) {
            let counts: Vec<_> = counts.into_iter().map(|(healthy, more)| (healthy, healthy + more)).collect();
            let loads = Loads::new(&levels(&counts), &policy(threshold));
            prop_assert_eq!(loads.load.iter().sum::<u32>(), 100);
            let mut drawn = vec![0; counts.len()];
            for random in 0..100 {
                drawn[loads.choose(random)] += 1;
            }
            prop_assert_eq!(drawn, loads.load);
        }
    }
}
