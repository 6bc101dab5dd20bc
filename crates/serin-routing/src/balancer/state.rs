//! What changes from request to request: whose turn it is, what is under way where.

use std::sync::Arc;

use rand_core::Rng;

use super::attempts::Attempts;
use super::level::LevelState;
use super::observed::Observed;
use super::pool::Weigher;
use super::priority::{Level, Loads, choose};
use super::slots::{Active, EndpointId, Slot, Slots};
use super::{EndpointSet, Policy};
use crate::model::Endpoint;
use crate::outlier::{Detection, Detector, Outcome};
use crate::time::Instant;

/// What a request is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This endpoint.
    Endpoint {
        /// To report on it.
        id: EndpointId,
        /// To look it up in [`ClusterState::endpoints`].
        index: usize,
    },
    /// The address that the downstream connection was meant for.
    OriginalDestination,
    /// There is none: 503 with the response flag `UH`.
    NoHealthyEndpoint,
}

/// The changing state of a cluster. Each core has one of its own; what is shared is [`Observed`].
#[derive(Debug)]
pub struct ClusterState {
    observed: Observed,
    /// The version of the ejections that the rest follows from.
    seen: u32,
    slots: Slots,
    loads: Loads,
    levels: Vec<LevelState>,
    /// Where turns start.
    seed: u64,
}

impl ClusterState {
    /// The state of a cluster that has had no request.
    pub fn new(observed: Observed, now: Instant, rng: &mut impl Rng) -> Self {
        let mut state = Self {
            observed: Observed::default(),
            seen: 0,
            slots: Slots::default(),
            loads: Loads::default(),
            levels: Vec::new(),
            seed: rng.next_u64(),
        };
        state.update(observed, now);
        state
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &Arc<EndpointSet> {
        self.observed.set()
    }

    /// The endpoints' numbers in the set, with what they are reported by.
    pub fn ids(&self) -> impl Iterator<Item = (usize, EndpointId)> {
        let numbers = 0..self.observed.set().len();
        numbers.filter_map(|index| Some((index, self.slots.id(index as u32)?)))
    }

    /// Goes on with another set of endpoints. Those of the same address keep what is under way.
    pub fn update(&mut self, observed: Observed, now: Instant) {
        let old = std::mem::replace(&mut self.observed, observed);
        let numbers_before = self.observed.set().numbers_in(old.set());
        let mut gone: Vec<Option<u32>> = self.slots.of_set().iter().copied().map(Some).collect();
        let mut of_index = Vec::with_capacity(numbers_before.len());
        for (index, before) in numbers_before.into_iter().enumerate() {
            let slot = before.and_then(|before| gone.get_mut(before)?.take());
            let slot = match slot {
                Some(kept) => {
                    self.keep(kept, index, old.set(), now);
                    kept
                }
                None => self.slots.take(index as u32, now),
            };
            of_index.push(slot);
        }
        for slot in gone.into_iter().flatten() {
            self.slots.release(slot);
        }
        self.slots.renumber(of_index);
        self.seen = self.observed.version();
        self.rebuild(now);
    }

    /// Moves an endpoint to its number in the new set. One that has become ready starts slowly like a new one.
    fn keep(&mut self, slot: u32, index: usize, old: &EndpointSet, now: Instant) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        let healthy = |set: &EndpointSet, index: usize| {
            set.members.get(index).is_some_and(|member| member.healthy)
        };
        let was_healthy = slot.index.is_some_and(|index| healthy(old, index as usize));
        if !was_healthy && healthy(self.observed.set(), index) {
            slot.joined_at = now;
        }
        slot.index = Some(index as u32);
    }

    /// Recomputes everything that follows from who is healthy.
    fn rebuild(&mut self, now: Instant) {
        let Self { observed, slots, levels, loads, seed, .. } = self;
        let set = observed.set();
        let usable = |index: u32| {
            set.members[index as usize].healthy && !observed.is_ejected(index as usize)
        };
        let counts: Vec<Level> = set
            .levels
            .iter()
            .map(|level| Level {
                total: level.members.len() as u32,
                healthy: level.members.iter().filter(|&&index| usable(index)).count() as u32,
            })
            .collect();
        *loads = Loads::new(&counts, &set.locality);
        let (active, joined_at) = (|index| slots.active(index), |index| slots.joined_at(index));
        let weigher = Weigher { set, now, active: &active, joined_at: &joined_at };
        let previous = std::mem::take(levels);
        *levels = (0..set.levels.len())
            .map(|level| {
                LevelState::new(
                    level,
                    loads.is_in_panic(level),
                    &usable,
                    &weigher,
                    previous.get(level),
                    *seed,
                )
            })
            .collect();
    }

    /// Takes notice of what any core has found out about endpoints.
    fn follow_ejections(&mut self, now: Instant) {
        let version = self.observed.version();
        if version != self.seen {
            self.seen = version;
            self.rebuild(now);
        }
    }

    /// Chooses where a request, or another try of it, goes. `hash` is that of the request, for policies that hash; a
    /// request that has none goes anywhere.
    pub fn choose(
        &mut self,
        hash: Option<u64>,
        attempts: &mut Attempts,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Choice {
        let policy = &self.observed.set().policy;
        if *policy == Policy::Passthrough {
            return Choice::OriginalDestination;
        }
        // Of policies that hash, a request without a hash goes anywhere, but on all draws to the same table.
        let hashes = matches!(policy, Policy::RingHash { .. } | Policy::Maglev { .. });
        let hash = hashes.then(|| hash.unwrap_or_else(|| rng.next_u64()));
        self.follow_ejections(now);
        let mut choice = Choice::NoHealthyEndpoint;
        for attempt in 0..=attempts.reselections() {
            let Some((index, id)) = self.choose_once(hash, attempt, attempts, now, rng) else {
                return Choice::NoHealthyEndpoint;
            };
            choice = Choice::Endpoint { id, index: index as usize };
            if !attempts.avoids(id) {
                break;
            }
        }
        choice
    }

    fn choose_once(
        &mut self,
        hash: Option<u64>,
        attempt: u32,
        attempts: &mut Attempts,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<(u32, EndpointId)> {
        let Self { observed, slots, levels, loads, .. } = self;
        let set = observed.set();
        let index = if let Some(hash) = hash {
            levels.get(loads.choose(hash))?.by_hash(hash, attempt)
        } else {
            let level_of = |id| {
                slots.find(id).and_then(|slot| Some(set.members.get(slot.index? as usize)?.level))
            };
            let random = rng.next_u64();
            let level = match attempts.adjusted_load(loads, level_of) {
                Some(load) => choose(load, random),
                None => loads.choose(random),
            };
            let (active, joined_at) = (|index| slots.active(index), |index| slots.joined_at(index));
            let weigher = Weigher { set, now, active: &active, joined_at: &joined_at };
            levels.get_mut(level)?.take_turn(&weigher, rng)
        }?;
        Some((index, slots.id(index)?))
    }

    /// Counts a request as under way at an endpoint; `None` if that has left the cluster.
    pub fn begin(&self, id: EndpointId) -> Option<Active> {
        self.slots.find(id).map(Slot::begin)
    }

    /// Requests under way at an endpoint; 0 if it has left the cluster.
    pub fn active(&self, id: EndpointId) -> u32 {
        self.slots.find(id).map_or(0, Slot::active)
    }

    /// Whether an endpoint is ejected.
    pub fn is_ejected(&self, id: EndpointId) -> bool {
        self.number(id).is_some_and(|number| self.observed.is_ejected(number))
    }

    /// The endpoints that are ejected.
    pub fn ejected(&self) -> impl Iterator<Item = &Endpoint> {
        let set = self.observed.set();
        let ejected = self.observed.detector().map(Detector::all_ejected);
        ejected.into_iter().flatten().filter_map(|number| set.endpoint(number))
    }

    /// Whether reports count: there is outlier detection.
    pub fn detects(&self) -> bool {
        self.observed.detector().is_some()
    }

    /// Reports what became of a request. An ejection counts at once, on all cores.
    pub fn report(&self, id: EndpointId, outcome: Outcome, now: Instant) -> Option<Detection> {
        self.observed.detector()?.report(self.number(id)?, outcome, now)
    }

    /// Returns endpoints whose ejection is over, if it is time to look; gives those.
    pub fn sweep(&self, now: Instant) -> Vec<EndpointId> {
        let returned = self.observed.detector().map(|detector| detector.sweep(now));
        let numbers = returned.unwrap_or_default().into_iter();
        numbers.filter_map(|number| self.slots.id(number as u32)).collect()
    }

    fn number(&self, id: EndpointId) -> Option<usize> {
        Some(self.slots.find(id)?.index? as usize)
    }
}

#[cfg(test)]
mod tests;
