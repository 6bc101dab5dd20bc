//! The loop of pushes: changes gather, become models, and go out to the proxies.
//!
//! When nothing is under way a change begins a push at once. While models are made, or proxies still take the push before, further
//! changes gather, but not for long. Making models runs beside the loop, which goes on listening.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch as changes;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::cache::{Cache, Event, Key};
use crate::control::Shared;
use crate::delivery::{Delivery, Done};
use crate::models::{Models, Push};
use crate::publisher::Publisher;
use crate::settings::Settings;
use crate::{gateway, kinds, watch};

/// Events that wait to be read; watches pause when there are more.
const EVENTS: usize = 1_024;

/// The state of the loop.
pub(crate) struct Loop<P> {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    publisher: Arc<P>,
    cache: Cache,
    delivery: Delivery<P>,
    /// Tells when what comes from outside is let in; none once it is.
    opening: Option<changes::Receiver<bool>>,
    /// Taken while a push is being made.
    models: Option<Models>,
    making: Option<JoinHandle<(Models, Push)>>,
    /// What the push that is being made brings.
    bringing: BTreeMap<Key, Option<i64>>,
    /// What the next one will bring, and since when.
    gathered: BTreeMap<Key, Option<i64>>,
    since: Option<Instant>,
    /// When the last push began.
    last: Option<Instant>,
    number: u64,
}

impl<P: Publisher> Loop<P> {
    pub(crate) fn new(settings: Arc<Settings>, shared: Arc<Shared>, publisher: Arc<P>) -> Self {
        let pods = settings.gateway.iter().map(|it| gateway::pod(it, &settings));
        Self {
            cache: Cache::new(&settings.root_namespace, pods),
            delivery: Delivery::new(Arc::clone(&publisher), settings.holds),
            opening: settings.holds.then(|| shared.opening()),
            models: Some(Models::new(Arc::clone(&settings))),
            making: None,
            bringing: BTreeMap::new(),
            gathered: BTreeMap::new(),
            since: None,
            last: None,
            number: 0,
            settings,
            shared,
            publisher,
        }
    }

    /// Runs until the task is ended.
    pub(crate) async fn run(mut self, client: kube::Client) {
        let (send, mut events) = mpsc::channel(EVENTS);
        // Dropped with this future, which ends the watches.
        let mut watches = JoinSet::new();
        for kind in kinds::watched() {
            watches.spawn(watch::watch(client.clone(), kind, send.clone()));
        }
        drop(send);
        loop {
            self.turn(&mut events).await;
            self.begin_if_due();
        }
    }

    /// Waits for one thing to happen.
    async fn turn(&mut self, events: &mut Receiver<Event>) {
        let (due, reopens) = (self.due(), self.delivery.reopens_at());
        let mut read = Vec::new();
        tokio::select! {
            count = events.recv_many(&mut read, EVENTS) => {
                if count == 0 {
                    // Watches never end by themselves.
                    std::future::pending::<()>().await;
                }
                self.take(read);
            }
            done = self.delivery.next(), if !self.delivery.is_idle() => self.done(done),
            made = made(&mut self.making), if self.making.is_some() => self.made(made),
            () = sleep_until(reopens), if reopens.is_some() => {
                let done = self.delivery.open_again();
                self.done(done);
            }
            () = opened(&mut self.opening), if self.opening.is_some() => {
                self.opening = None;
                let done = self.delivery.open();
                self.done(done);
            }
            () = sleep_until(due), if due.is_some() => {}
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            self.cache.take(event);
        }
        let changes = self.cache.changes();
        if !changes.is_empty() {
            self.shared.tell_written(&changes, &self.cache);
        }
        if !changes.objects.is_empty() {
            self.gathered.extend(changes.objects);
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// When the next push begins, if it is known.
    fn due(&self) -> Option<Instant> {
        let is_first = self.last.is_none() && self.cache.is_complete();
        let since = self.since.or_else(|| is_first.then(Instant::now))?;
        if self.models.is_none() || !self.cache.is_complete() {
            return None;
        }
        let earliest = self.last.map_or(since, |last| last + self.settings.quiet);
        let gathered = if self.delivery.is_idle() { since } else { since + self.settings.gather };
        Some(earliest.max(gathered))
    }

    fn begin_if_due(&mut self) {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some(mut models) = self.models.take() else { return };
        self.bringing = std::mem::take(&mut self.gathered);
        self.since = None;
        self.last = Some(Instant::now());
        self.number += 1;
        let (objects, mesh) = (self.cache.objects().clone(), Arc::clone(self.cache.mesh()));
        let (number, publisher) = (self.number, Arc::clone(&self.publisher));
        self.making = Some(tokio::task::spawn_blocking(move || {
            let push = models.next(number, objects, &mesh);
            publisher.prepare(&push.snapshot, &push.plain);
            (models, push)
        }));
    }

    fn made(&mut self, made: Result<(Models, Push), tokio::task::JoinError>) {
        self.making = None;
        let (models, push) = match made {
            Ok(made) => made,
            // The program ends.
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                // Proxies keep what they have; the next change is tried from the beginning, and brings what this one would have.
                tracing::error!(%error, "models could not be made");
                let mut lost = std::mem::take(&mut self.bringing);
                lost.append(&mut self.gathered);
                self.gathered = lost;
                self.models = Some(Models::new(Arc::clone(&self.settings)));
                return;
            }
        };
        self.models = Some(models);
        let objects = std::mem::take(&mut self.bringing);
        let proxies = push.proxies.clone();
        self.shared.begin(push, objects);
        let done = self.delivery.push(self.number, proxies);
        self.done(done);
    }

    fn done(&self, done: Vec<Done>) {
        self.shared.progress(|progress| {
            for done in done {
                match done {
                    Done::Reached { proxy, push, is_in_mesh } => {
                        progress.reach(&proxy, push, is_in_mesh);
                    }
                    Done::Lacks { proxy, problems } => progress.lack(&proxy, problems),
                    Done::Retired(proxy) => progress.retire(&proxy),
                    Done::Failed => {}
                }
            }
        });
    }
}

async fn made(
    making: &mut Option<JoinHandle<(Models, Push)>>,
) -> Result<(Models, Push), tokio::task::JoinError> {
    match making {
        Some(making) => making.await,
        None => std::future::pending().await,
    }
}

async fn opened(opening: &mut Option<changes::Receiver<bool>>) {
    match opening {
        // Nobody can open any more when the sender is gone, and with it this loop.
        Some(opening) => drop(opening.wait_for(|is_open| *is_open).await),
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
