//! What changes from request to request: whose turn it is, what is under way where, who is ejected.

use std::collections::HashMap;
use std::sync::Arc;

use rand_core::Rng;

use super::attempts::Attempts;
use super::level::LevelState;
use super::pool::Weigher;
use super::priority::{Level, Loads, choose};
use super::slots::{Active, EndpointId, Slot, Slots};
use super::{EndpointSet, Policy};
use crate::model::EndpointAddress;
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

/// The changing state of a cluster. Each core has one of its own, so nothing here locks or waits; the set of endpoints
/// is shared.
///
/// Errors in a row are counted by each core; an ejection is made known to the others by
/// [`follow_ejection`](Self::follow_ejection).
#[derive(Debug)]
pub struct ClusterState {
    set: Arc<EndpointSet>,
    slots: Slots,
    detector: Option<Detector>,
    loads: Loads,
    levels: Vec<LevelState>,
    /// Where turns start.
    seed: u64,
}

impl ClusterState {
    /// The state of a cluster that has had no request.
    pub fn new(set: Arc<EndpointSet>, now: Instant, rng: &mut impl Rng) -> Self {
        let mut state = Self {
            detector: None,
            set: Arc::clone(&set),
            slots: Slots::default(),
            loads: Loads::default(),
            levels: Vec::new(),
            seed: rng.next_u64(),
        };
        state.adopt(set, now);
        state
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &Arc<EndpointSet> {
        &self.set
    }

    /// The endpoints' numbers in the set, with what they are reported by.
    pub fn ids(&self) -> impl Iterator<Item = (usize, EndpointId)> {
        (0..self.set.len()).filter_map(|index| Some((index, self.slots.id(index as u32)?)))
    }

    /// Goes on with another set of endpoints. Those of the same address keep what is under way and their ejection.
    pub fn update(&mut self, set: Arc<EndpointSet>, now: Instant) {
        self.adopt(set, now);
    }

    fn adopt(&mut self, set: Arc<EndpointSet>, now: Instant) {
        let old = std::mem::replace(&mut self.set, Arc::clone(&set));
        if old.outlier != set.outlier || self.detector.is_none() {
            self.restart_detection(now);
        }
        let mut known: HashMap<&EndpointAddress, Vec<u32>> = HashMap::new();
        // Reversed, since the last is taken first: of endpoints with one address the order is kept.
        for (index, &slot) in self.slots.of_set().iter().enumerate().rev() {
            if let Some(endpoint) = old.endpoint(index) {
                known.entry(&endpoint.address).or_default().push(slot);
            }
        }
        let mut of_index = Vec::with_capacity(set.len());
        for index in 0..set.len() {
            let slot =
                set.endpoint(index).and_then(|endpoint| known.get_mut(&endpoint.address)?.pop());
            let slot = match slot {
                Some(kept) => {
                    self.keep(kept, index, &old, now);
                    kept
                }
                None => {
                    let monitor = self.detector.as_mut().map(Detector::join).unwrap_or_default();
                    self.slots.take(index as u32, monitor, now)
                }
            };
            of_index.push(slot);
        }
        let mut gone: Vec<u32> = known.into_values().flatten().collect();
        gone.sort_unstable();
        for slot in gone {
            let monitor = self.slots.release(slot);
            if let (Some(detector), Some(monitor)) = (&mut self.detector, monitor) {
                detector.leave(&monitor);
            }
        }
        self.slots.renumber(of_index);
        self.rebuild(now);
    }

    /// Moves an endpoint to its number in the new set. One that has become ready starts slowly like a new one.
    fn keep(&mut self, slot: u32, index: usize, old: &EndpointSet, now: Instant) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        let healthy = |set: &EndpointSet, index: usize| {
            set.members.get(index).is_some_and(|member| member.healthy)
        };
        let was_healthy = slot.index.is_some_and(|index| healthy(old, index as usize));
        if !was_healthy && healthy(&self.set, index) {
            slot.joined_at = now;
        }
        slot.index = Some(index as u32);
    }

    fn restart_detection(&mut self, now: Instant) {
        self.detector = self.set.outlier.clone().map(|config| Detector::new(config, now));
        for (_, slot) in self.slots.occupied() {
            slot.monitor = self.detector.as_mut().map(Detector::join).unwrap_or_default();
        }
    }

    /// Recomputes everything that follows from who is healthy.
    fn rebuild(&mut self, now: Instant) {
        let Self { set, slots, levels, loads, seed, .. } = self;
        let usable = |index: u32| set.members[index as usize].healthy && !slots.is_ejected(index);
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

    /// Chooses where a request, or another try of it, goes. `hash` is that of the request, for policies that hash; a
    /// request that has none goes anywhere.
    pub fn choose(
        &mut self,
        hash: Option<u64>,
        attempts: &mut Attempts,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Choice {
        if self.set.policy == Policy::Passthrough {
            return Choice::OriginalDestination;
        }
        // Of policies that hash, a request without a hash goes anywhere, but on all draws to the same table.
        let hashes = matches!(self.set.policy, Policy::RingHash { .. } | Policy::Maglev { .. });
        let hash = hashes.then(|| hash.unwrap_or_else(|| rng.next_u64()));
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
        let Self { set, slots, levels, loads, .. } = self;
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
        self.slots.find(id).is_some_and(|slot| slot.monitor.is_ejected())
    }

    /// Reports what became of a request. An ejection counts at once.
    pub fn report(&mut self, id: EndpointId, outcome: Outcome, now: Instant) -> Option<Detection> {
        let slot = self.slots.find_mut(id)?;
        let detection = self.detector.as_mut()?.report(&mut slot.monitor, outcome, now);
        if let Some(Detection::Ejected { .. }) = detection {
            self.rebuild(now);
        }
        detection
    }

    /// Ejects the endpoint of an address, which another core has ejected; it returns by this core's own sweeps.
    pub fn follow_ejection(&mut self, address: &EndpointAddress, now: Instant) {
        let Some(detector) = &mut self.detector else { return };
        for (_, slot) in self.slots.occupied() {
            let endpoint = slot.index.and_then(|index| self.set.endpoint(index as usize));
            if endpoint.is_some_and(|endpoint| endpoint.address == *address) {
                detector.follow(&mut slot.monitor, now);
            }
        }
        self.rebuild(now);
    }

    /// When [`sweep`](Self::sweep) is due; `None` without outlier detection.
    pub fn next_sweep(&self) -> Option<Instant> {
        self.detector.as_ref().map(Detector::next_sweep)
    }

    /// Returns endpoints whose ejection is over; gives those.
    pub fn sweep(&mut self, now: Instant) -> Vec<EndpointId> {
        let Some(detector) = &mut self.detector else { return Vec::new() };
        let monitors = self.slots.occupied().map(|(id, slot)| (id, &mut slot.monitor));
        let returned = detector.sweep(monitors, now);
        if !returned.is_empty() {
            self.rebuild(now);
        }
        returned
    }
}

#[cfg(test)]
mod tests;
