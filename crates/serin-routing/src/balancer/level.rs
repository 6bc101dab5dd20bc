//! The endpoints of one priority that may be chosen at the moment.

use std::sync::Arc;

use rand_core::Rng;

use super::pool::{Pool, Weigher};
use super::schedule::Schedule;
use super::table::Table;

/// What requests choose from within a priority.
#[derive(Debug)]
pub(super) struct LevelState {
    /// The healthy endpoints; in panic, all.
    everywhere: Pool,
    /// The healthy endpoints by place, where places have weights.
    places: Option<Places>,
    table: Option<Arc<Table>>,
}

/// Places that take turns by their weight.
#[derive(Debug)]
struct Places {
    schedule: Schedule,
    weights: Vec<f64>,
    /// The pool of each entry of the schedule.
    pools: Vec<Pool>,
}

impl LevelState {
    pub(super) fn new(
        level: usize,
        panic: bool,
        usable: &dyn Fn(u32) -> bool,
        weigher: &Weigher<'_>,
        previous: Option<&Self>,
        seed: u64,
    ) -> Self {
        let set = weigher.set;
        let members = &set.levels[level];
        let taking: Vec<u32> =
            members.members.iter().copied().filter(|&index| panic || usable(index)).collect();
        let as_prepared =
            |index: u32| set.members[index as usize].healthy == (panic || usable(index));
        let table = match &members.table {
            Some(table) if members.members.iter().all(|&index| as_prepared(index)) => {
                Some(Arc::clone(table))
            }
            Some(_) => set.table(level, |index| panic || usable(index)).map(Arc::new),
            None => None,
        };
        let hashes = table.is_some();
        // Places do not count in panic, nor for hashes, whose table weighs them.
        let places = (set.locality.weighted && !panic && !hashes)
            .then(|| {
                Places::new(
                    level,
                    usable,
                    weigher,
                    previous.and_then(|state| state.places.as_ref()),
                    seed,
                )
            })
            .flatten();
        let cursor = previous.map_or(seed, |state| state.everywhere.cursor());
        Self { everywhere: Pool::new(taking, cursor, weigher), places, table }
    }

    pub(super) fn by_hash(&self, hash: u64, attempt: u32) -> Option<u32> {
        self.table.as_ref()?.choose(hash, attempt)
    }

    pub(super) fn take_turn(&mut self, weigher: &Weigher<'_>, rng: &mut impl Rng) -> Option<u32> {
        let pool = match &mut self.places {
            Some(places) => places.take_turn()?,
            None => &mut self.everywhere,
        };
        pool.choose(weigher, rng)
    }
}

impl Places {
    /// The places of a priority that have weight and a healthy endpoint; `None` if there is no such place.
    fn new(
        level: usize,
        usable: &dyn Fn(u32) -> bool,
        weigher: &Weigher<'_>,
        previous: Option<&Self>,
        seed: u64,
    ) -> Option<Self> {
        let set = weigher.set;
        let overprovisioning = f64::from(set.locality.overprovisioning_percent) / 100.0;
        let (mut weights, mut pools) = (Vec::new(), Vec::<Pool>::new());
        for group in &set.levels[level].groups {
            let taking: Vec<u32> =
                group.members.iter().copied().filter(|&index| usable(index)).collect();
            // A place that has lost endpoints takes less, unless it lost few.
            let healthy = taking.len() as f64 / group.members.len().max(1) as f64;
            let weight = f64::from(group.weight) * (overprovisioning * healthy).min(1.0);
            if weight > 0.0 {
                let cursor = previous
                    .and_then(|places| places.pools.get(pools.len()))
                    .map_or(seed, Pool::cursor);
                weights.push(weight);
                pools.push(Pool::new(taking, cursor, weigher));
            }
        }
        if pools.is_empty() {
            return None;
        }
        let schedule =
            Schedule::new(pools.len() as u32, seed as u32, |entry| weights[entry as usize]);
        Some(Self { schedule, weights, pools })
    }

    fn take_turn(&mut self) -> Option<&mut Pool> {
        let weights = &self.weights;
        let place = self.schedule.next(|entry| weights[entry as usize])?;
        self.pools.get_mut(place as usize)
    }
}
