//! The endpoints of a cluster by identity, over all the sets of endpoints that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::time::Instant;

/// An endpoint of a [`ClusterState`](super::ClusterState), for as long as it is in the cluster: numbers change with every set of endpoints,
/// this does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId {
    slot: u32,
    generation: u32,
}

/// The endpoints by identity, and where they are in the set.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// The slot of each endpoint of the set.
    of_index: Vec<u32>,
    free: Vec<u32>,
}

/// What is kept of an endpoint.
#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    /// The number in the set; `None` if the slot is free.
    pub(super) index: Option<u32>,
    active: Arc<AtomicU32>,
    /// When the endpoint joined the cluster or became ready.
    pub(super) joined_at: Instant,
}

/// A request under way at an endpoint, until this is dropped.
#[derive(Debug)]
#[must_use = "a request that is dropped has ended"]
pub struct Active(Arc<AtomicU32>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    /// Requests under way.
    pub(super) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one more request as under way.
    pub(super) fn begin(&self) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(&self.active))
    }
}

impl Slots {
    fn at(&self, index: u32) -> Option<&Slot> {
        self.slots.get(*self.of_index.get(index as usize)? as usize)
    }

    pub(super) fn find(&self, id: EndpointId) -> Option<&Slot> {
        self.slots
            .get(id.slot as usize)
            .filter(|slot| slot.generation == id.generation && slot.index.is_some())
    }

    pub(super) fn id(&self, index: u32) -> Option<EndpointId> {
        let slot = *self.of_index.get(index as usize)?;
        self.slots.get(slot as usize).map(|found| EndpointId { slot, generation: found.generation })
    }

    pub(super) fn active(&self, index: u32) -> u32 {
        self.at(index).map_or(0, Slot::active)
    }

    pub(super) fn joined_at(&self, index: u32) -> Instant {
        self.at(index).map_or(Instant::ZERO, |slot| slot.joined_at)
    }

    /// The slot of an endpoint that joins.
    pub(super) fn take(&mut self, index: u32, now: Instant) -> u32 {
        let fresh = |generation| Slot {
            generation,
            index: Some(index),
            active: Arc::default(),
            joined_at: now,
        };
        match self.free.pop() {
            Some(free) => {
                let slot = &mut self.slots[free as usize];
                *slot = fresh(slot.generation.wrapping_add(1));
                free
            }
            None => {
                self.slots.push(fresh(0));
                self.slots.len() as u32 - 1
            }
        }
    }

    /// The slot of each endpoint of the set, by number.
    pub(super) fn of_set(&self) -> &[u32] {
        &self.of_index
    }

    /// Goes on with another set of endpoints, of which each has a slot.
    pub(super) fn renumber(&mut self, of_index: Vec<u32>) {
        self.of_index = of_index;
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)
    }

    /// Frees the slot of an endpoint that leaves.
    pub(super) fn release(&mut self, slot: u32) {
        if let Some(released) = self.slots.get_mut(slot as usize) {
            released.index = None;
            self.free.push(slot);
        }
    }
}
