//! Where the tries of one request have been, and what follows for the next one.

use super::EndpointId;
use super::priority::Loads;
use crate::retry;

/// After so many tries, and each time so many more, the priorities tried are left out (Istio's configuration of Envoy's
/// previous-priorities plugin).
const TRIES_PER_PRIORITY: usize = 2;

/// The tries of one request.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// Where the last try went, and those before it: most requests are tried once.
    last: Option<EndpointId>,
    earlier: Vec<EndpointId>,
    avoid_tried: bool,
    reselections: u32,
    remote_localities: bool,
    /// The tries since everything was tried.
    round: Vec<EndpointId>,
    /// Priorities that are left out.
    excluded: Vec<bool>,
    /// Shares of the priorities, once some are left out.
    load: Option<Vec<u32>>,
}

impl Attempts {
    /// No try yet.
    pub fn new(policy: Option<&retry::Policy>) -> Self {
        policy.map_or_else(Self::default, |policy| Self {
            avoid_tried: policy.avoid_previous_hosts,
            reselections: policy.host_selection_attempts,
            remote_localities: policy.remote_localities,
            ..Self::default()
        })
    }

    /// Notes where a try goes.
    pub fn record(&mut self, id: EndpointId) {
        self.earlier.extend(self.last.replace(id));
        if self.remote_localities {
            self.round.push(id);
        }
    }

    /// How often another endpoint may be drawn. The first try takes what comes.
    pub(super) fn reselections(&self) -> u32 {
        if self.last.is_none() { 0 } else { self.reselections }
    }

    /// Whether another endpoint should be drawn in place of this one.
    pub(super) fn avoids(&self, id: EndpointId) -> bool {
        self.avoid_tried && (self.last == Some(id) || self.earlier.contains(&id))
    }

    /// The shares of the priorities for the next try; `None` for the usual ones.
    pub(super) fn adjusted_load(
        &mut self,
        loads: &Loads,
        level_of: impl Fn(EndpointId) -> Option<u32>,
    ) -> Option<&[u32]> {
        if self.round.len() < TRIES_PER_PRIORITY {
            return None;
        }
        if self.round.len().is_multiple_of(TRIES_PER_PRIORITY) {
            for level in self.round.iter().filter_map(|id| level_of(*id)) {
                let level = level as usize;
                if self.excluded.len() <= level {
                    self.excluded.resize(level + 1, false);
                }
                self.excluded[level] = true;
            }
            let excluded = |level: usize| self.excluded.get(level).copied().unwrap_or(false);
            self.load = loads.without(excluded);
            if self.load.is_none() {
                // Everything was tried: begin again.
                self.excluded.clear();
                self.round.clear();
                self.load = loads.without(|_| false);
            }
        }
        self.load.as_deref()
    }
}
