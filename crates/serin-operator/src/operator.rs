//! All releases of a cluster, each in a task of its own, while this controller is the one that acts.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

use crate::json;
use crate::kind::Kind;
use crate::lease::{self, Leadership};
use crate::release::{Name, Release, Turn};
use crate::settings::Settings;
use crate::shared::Shared;

/// From one turn of a release to the next.
const PACE: Duration = Duration::from_secs(1);
/// After a turn that failed, twice as long each time.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The canary controller.
pub struct Operator {
    shared: Arc<Shared>,
}

impl Operator {
    /// The controller of a cluster.
    pub fn new(client: kube::Client, settings: Settings) -> Self {
        Self { shared: Arc::new(Shared::new(client, settings)) }
    }

    /// What the releases share, for metrics.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Works until `stop` is over. A release that is stopped in the middle of a turn goes on with the next one, here or at
    /// another controller.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let lease = self.shared.settings.lease.as_ref().map(|lease| {
            let client = self.shared.cluster.client().clone();
            Leadership::new(client, lease, &self.shared.settings.identity)
        });
        let Some(mut leadership) = lease else {
            tokio::select! {
                () = stop => {}
                () = self.shared.cluster.follow() => {}
                () = self.work() => {}
            }
            return;
        };
        tokio::select! {
            () = stop => {}
            () = self.shared.cluster.follow() => {}
            () = self.work_while_held(&mut leadership) => {}
        }
        leadership.release().await;
    }

    /// Works while the Lease is held, and stops at once when it is not.
    async fn work_while_held(&self, leadership: &mut Leadership) {
        loop {
            leadership.attempt(Instant::now()).await;
            if leadership.is_held(Instant::now()) {
                tracing::info!(identity = self.shared.settings.identity, "this controller acts");
                tokio::select! {
                    () = self.work() => {}
                    () = keep(leadership) => tracing::warn!("the Lease is lost; this controller does nothing"),
                }
            }
            tokio::time::sleep(lease::PACE).await;
        }
    }

    async fn work(&self) {
        let mut releases = JoinSet::new();
        let mut running: BTreeMap<Name, AbortHandle> = BTreeMap::new();
        loop {
            let changed = self.shared.cluster.changes.notified();
            if self.shared.cluster.is_known() {
                running.retain(|_, task| !task.is_finished());
                for name in self.names() {
                    let shared = Arc::clone(&self.shared);
                    running
                        .entry(name.clone())
                        .or_insert_with(|| releases.spawn(look_after(Release::new(shared, name))));
                }
            }
            while releases.try_join_next().is_some() {}
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }

    fn names(&self) -> BTreeSet<Name> {
        let flaggers = (!self.shared.settings.leaves_flagger).then_some(Kind::FlaggerCanary);
        iter::once(Kind::Canary)
            .chain(flaggers)
            .flat_map(|kind| {
                self.shared.cluster.all(kind).into_iter().map(move |it| Name {
                    kind,
                    namespace: json::namespace(&it).to_owned(),
                    name: json::name(&it).to_owned(),
                })
            })
            .collect()
    }
}

/// Renews the Lease until it is lost.
async fn keep(leadership: &mut Leadership) {
    loop {
        tokio::time::sleep(lease::PACE).await;
        // A call that hangs must not keep this controller acting.
        let attempt = leadership.attempt(Instant::now());
        if tokio::time::timeout(lease::PACE, attempt).await.is_err() {
            tracing::warn!("the Lease cannot be renewed: no answer");
        }
        if !leadership.is_held(Instant::now()) {
            return;
        }
    }
}

/// Gives a release its turns until its object is gone.
async fn look_after(mut release: Release) {
    let mut pause = PACE;
    loop {
        let now = (release.clock())();
        match release.turn(now).await {
            Ok(Turn::Gone) => return,
            Ok(Turn::Done) => pause = PACE,
            Err(error) => {
                tracing::warn!(release = release.full_name(), %error, "a turn failed and is tried again");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        release.wait(pause).await;
    }
}
