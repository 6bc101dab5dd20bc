//! What all pages are made from, and the loop that looks at the mesh once a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::access::Access;
use crate::history::History;
use crate::mesh::Mesh;
use crate::objects::Objects;
use crate::releases::Release;
use crate::traffic::{Looks, Window};

/// The stretch of time that tables tell of.
pub(crate) const LATELY: Duration = Duration::from_secs(30);
/// How often the mesh is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What pages are made from.
pub(crate) struct World {
    pub(crate) client: kube::Client,
    pub(crate) mesh: Arc<dyn Mesh>,
    pub(crate) access: Access,
    pub(crate) objects: Arc<Objects>,
    /// Those who may follow a page at the same time.
    pub(crate) followers: Arc<Semaphore>,
    looks: Mutex<Looks>,
    history: Mutex<History>,
    /// Why traffic is not known at present.
    unknown: Mutex<Option<String>>,
    tick: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(
        client: kube::Client,
        mesh: Arc<dyn Mesh>,
        access: Access,
        followers: usize,
    ) -> Self {
        Self {
            client,
            mesh,
            access,
            objects: Arc::default(),
            followers: Arc::new(Semaphore::new(followers)),
            looks: Mutex::default(),
            history: Mutex::default(),
            unknown: Mutex::default(),
            tick: watch::Sender::new(0),
        }
    }

    /// Looks at the mesh until the task ends.
    pub(crate) async fn look(&self) {
        let mut clock = tokio::time::interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let traffic = self.mesh.traffic().await;
            match &traffic {
                Ok(traffic) => self.looks().add(Instant::now(), traffic),
                Err(_) => *self.looks() = Looks::default(),
            }
            *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = traffic.err();
            let recent = self.looks().last(crate::history::WINDOW);
            let releases = Release::all(&self.objects);
            self.history().add(Timestamp::now(), &releases, &recent);
            self.tick.send_modify(|count| *count += 1);
        }
    }

    /// Changes whenever the mesh was looked at.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.tick.subscribe()
    }

    /// The traffic of the last seconds.
    pub(crate) fn lately(&self) -> Window {
        self.looks().last(LATELY)
    }

    /// Why traffic is not known, if it is not.
    pub(crate) fn unknown(&self) -> Option<String> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
