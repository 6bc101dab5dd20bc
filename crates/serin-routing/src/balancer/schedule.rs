//! Earliest deadline first: weighted round robin without bursts, for weights that may change between picks.
//!
//! Each entry is due one over its weight after its last turn; the one that is due first is next. This is Envoy's
//! scheduler, ties broken in the order of entry.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A weight of zero would never be due.
const LEAST_WEIGHT: f64 = 1e-9;

/// The turns of entries numbered from 0.
#[derive(Debug)]
pub(super) struct Schedule {
    queue: BinaryHeap<Turn>,
    now: f64,
    turns: u64,
}

#[derive(Debug)]
struct Turn {
    deadline: f64,
    order: u64,
    entry: u32,
}

impl Ord for Turn {
    // The earliest is the greatest, as the queue wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

fn positive(weight: f64) -> f64 {
    if weight.is_finite() { weight.max(LEAST_WEIGHT) } else { LEAST_WEIGHT }
}

impl Schedule {
    /// A schedule of `entries` entries as it stands after `skip` turns, so that proxies do not all start alike.
    pub(super) fn new(entries: u32, skip: u32, weight: impl Fn(u32) -> f64) -> Self {
        // Far fewer turns than make a difference to where it starts are enough to spread them.
        let skip = f64::from(skip % 65_536);
        let total: f64 = (0..entries).map(|entry| positive(weight(entry))).sum();
        let mut done = 0.0;
        let mut now = 0.0_f64;
        let turn = |entry| {
            let weight = positive(weight(entry));
            // An entry has at least this many of the turns to skip; the rest are taken one by one below.
            let turns = (skip * weight / total - 1e-9).floor().max(0.0);
            done += turns;
            now = now.max(turns / weight);
            Turn { deadline: (turns + 1.0) / weight, order: u64::from(entry), entry }
        };
        let queue = (0..entries).map(turn).collect();
        let mut schedule = Self { queue, now, turns: u64::from(entries) };
        while done < skip {
            schedule.next(&weight);
            done += 1.0;
        }
        schedule
    }

    /// The entry that is due next, which is put back by the weight it has at this moment.
    pub(super) fn next(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let mut first = self.queue.peek_mut()?;
        let entry = first.entry;
        self.now = self.now.max(first.deadline);
        first.deadline = self.now + 1.0 / positive(weight(entry));
        first.order = self.turns;
        self.turns += 1;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(weights: &[f64], skip: u32, count: usize) -> Vec<u32> {
        let weight = |entry: u32| weights[entry as usize];
        let mut schedule = Schedule::new(weights.len() as u32, skip, weight);
        (0..count).map_while(|_| schedule.next(weight)).collect()
    }

    #[test]
    fn turns_are_in_proportion_and_without_bursts() {
        assert_eq!(turns(&[1.0, 2.0, 1.0], 0, 8), [1, 0, 2, 1, 1, 0, 2, 1]);
        assert_eq!(turns(&[1.0, 1.0, 1.0], 0, 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(turns(&[3.0], 0, 2), [0, 0]);
        assert!(turns(&[], 7, 2).is_empty());
    }

    #[test]
    fn a_weight_that_changes_counts_from_the_next_turn() {
        let mut schedule = Schedule::new(2, 0, |_| 1.0);
        let heavy = |entry: u32| if entry == 0 { 4.0 } else { 1.0 };
        let turns: Vec<_> = (0..6).map_while(|_| schedule.next(heavy)).collect();
        assert_eq!(turns, [0, 1, 0, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn skipping_is_as_good_as_taking_turns(weights in prop::collection::vec(1_u32..20, 1..8), skip in 0_u32..500) {
            // Weights that are no multiples of each other have no ties.
            let roots = [2.0_f64, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0].map(f64::sqrt);
            let weights: Vec<f64> =
                weights.iter().zip(roots).map(|(&weight, root)| f64::from(weight) + root / 100.0).collect();
            let whole = turns(&weights, 0, skip as usize + 20);
            prop_assert_eq!(turns(&weights, skip, 20), &whole[skip as usize..]);
        }

        #[test]
        fn over_a_round_every_entry_has_as_many_turns_as_its_weight(weights in prop::collection::vec(1_u32..10, 1..8)) {
            let total: u32 = weights.iter().sum();
            let floats: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
            let mut counts = vec![0; weights.len()];
            for entry in turns(&floats, 0, 10 * total as usize) {
                counts[entry as usize] += 1_u32;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                prop_assert!(count.abs_diff(10 * weight) <= 1);
            }
        }

        #[test]
        fn no_weight_stops_the_schedule(weights in prop::collection::vec(any::<f64>(), 1..5)) {
            prop_assert_eq!(turns(&weights, 3, 10).len(), 10);
        }
    }
}
