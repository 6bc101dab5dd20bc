//! A workload on one core: the model in force for it, and the clusters that it uses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::core::Core;
use crate::observe::ClusterStats;
use crate::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::upstream::{Upstream, Upstreams};

/// What all tasks of a workload on one core share. What is the core's own, and the same for all its workloads, is found
/// through it.
pub(crate) struct Worker {
    core: Rc<Core>,
    #[expect(
        clippy::redundant_allocation,
        reason = "cores count references apart, not on one shared counter"
    )]
    snapshot: RefCell<Rc<Arc<Snapshot>>>,
    pub(crate) upstreams: Upstreams,
    pub(crate) telemetry: Telemetry,
}

impl Deref for Worker {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Worker {
    /// A workload without a model.
    pub(crate) fn new(core: &Rc<Core>, key: &Arc<str>) -> Self {
        Self {
            snapshot: RefCell::default(),
            upstreams: Upstreams::new(core),
            telemetry: Telemetry::new(key, Rc::clone(&core.counters)),
            core: Rc::clone(core),
        }
    }

    /// The core it is on.
    pub(crate) const fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// The model in force. Requests hold on to the one they began with.
    #[expect(
        clippy::redundant_allocation,
        reason = "cores count references apart, not on one shared counter"
    )]
    pub(crate) fn snapshot(&self) -> Rc<Arc<Snapshot>> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// Takes over a new version of the model. What is under way goes on.
    pub(crate) fn take(&self, snapshot: Arc<Snapshot>) {
        self.telemetry.take(&snapshot);
        self.upstreams.update(&self.snapshot.borrow(), &snapshot, &self.core);
        *self.snapshot.borrow_mut() = Rc::new(snapshot);
    }

    /// A cluster of the model in force. Made ready at its first use: most workloads use few of those that they know.
    pub(crate) fn upstream(&self, name: &str) -> Option<Rc<Upstream>> {
        if let Some(known) = self.upstreams.get(name) {
            return Some(known);
        }
        let shared = self.snapshot.borrow().clusters.get(name)?;
        Some(self.upstreams.add(shared, &self.core))
    }

    /// How the clusters of the model do, also those that were never used.
    pub(crate) fn cluster_stats(&self) -> BTreeMap<Arc<str>, ClusterStats> {
        self.upstreams.stats(self.snapshot.borrow().compiled.model())
    }
}
