//! Bringing publications to proxies: to each one after the other, to all at the same time.
//!
//! A proxy that is slow or refuses holds up nobody else: it gets what is newest when it is done with what it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::models::Publication;
use crate::proxy::ProxyId;
use crate::publisher::{Ack, Problem, PublishError, Publisher};

/// The first pause before a proxy that refused is tried again; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause before listeners that could not be opened are tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// Something that a proxy has done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It decides by what a push has for it.
    Reached { proxy: ProxyId, push: u64, is_in_mesh: bool },
    /// This is what it could not take of its model: something else than before.
    Lacks { proxy: ProxyId, problems: Vec<Problem> },
    /// It gets nothing any more.
    Retired(ProxyId),
    /// It did not take what it got, and gets it again.
    Failed,
}

/// What is on its way.
struct Running {
    proxy: ProxyId,
    what: Outcome,
}

enum Outcome {
    Published(Publication, Result<Ack, PublishError>),
    Retired,
}

/// One proxy.
struct Slot {
    /// What it is to get; `None` once it is gone.
    wanted: Option<Publication>,
    /// The last push that wants this.
    push: u64,
    /// What it has.
    taken: Option<Publication>,
    /// What it could not take of that, as it was told.
    problems: Vec<Problem>,
    /// Something is on its way to it.
    is_busy: bool,
    /// The pause after the next failure.
    pause: Duration,
}

/// All proxies.
pub(crate) struct Delivery<P> {
    publisher: Arc<P>,
    slots: BTreeMap<ProxyId, Slot>,
    running: FuturesUnordered<BoxFuture<'static, Running>>,
    /// When listeners that could not be opened are tried again.
    reopen: Option<Instant>,
    /// Whether proxies that let in what comes from outside get nothing yet.
    holds: bool,
}

impl<P: Publisher> Delivery<P> {
    /// `holds`: proxies that let in what comes from outside get nothing before [`Self::open`].
    pub(crate) fn new(publisher: Arc<P>, holds: bool) -> Self {
        let (slots, running) = (BTreeMap::new(), FuturesUnordered::new());
        Self { publisher, slots, running, reopen: None, holds }
    }

    /// Brings what is newest to those that were held.
    pub(crate) fn open(&mut self) -> Vec<Done> {
        self.holds = false;
        self.advance_all()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Begins to bring each proxy what a push has for it. Tells of those that have it already.
    pub(crate) fn push(&mut self, push: u64, proxies: BTreeMap<ProxyId, Publication>) -> Vec<Done> {
        for (proxy, slot) in &mut self.slots {
            if !proxies.contains_key(proxy) {
                slot.wanted = None;
            }
        }
        for (proxy, publication) in proxies {
            let slot = self.slots.entry(proxy).or_insert_with(|| Slot {
                wanted: None,
                push,
                taken: None,
                problems: Vec::new(),
                is_busy: false,
                pause: PAUSE,
            });
            slot.wanted = Some(publication);
            slot.push = push;
        }
        self.advance_all()
    }

    fn advance_all(&mut self) -> Vec<Done> {
        let all: Vec<ProxyId> = self.slots.keys().cloned().collect();
        all.iter().filter_map(|proxy| self.advance(proxy, Duration::ZERO)).collect()
    }

    /// Waits until a proxy has done something. Only while something is on its way.
    pub(crate) async fn next(&mut self) -> Vec<Done> {
        let Some(Running { proxy, what }) = self.running.next().await else { return Vec::new() };
        let Some(slot) = self.slots.get_mut(&proxy) else { return Vec::new() };
        slot.is_busy = false;
        let mut done = Vec::new();
        let mut pause = Duration::ZERO;
        match what {
            Outcome::Retired => {
                if slot.wanted.is_none() {
                    self.slots.remove(&proxy);
                    return vec![Done::Retired(proxy)];
                }
                slot.taken = None;
            }
            Outcome::Published(publication, Ok(ack)) => {
                for problem in ack.problems.iter().filter(|it| !slot.problems.contains(it)) {
                    let problem = &problem.message;
                    tracing::warn!(%proxy, problem, "a proxy could not take everything");
                }
                if ack.problems.iter().any(|it| it.listener.is_some()) {
                    self.reopen.get_or_insert_with(|| Instant::now() + REOPEN);
                }
                if slot.problems != ack.problems {
                    let problems = ack.problems.clone();
                    done.push(Done::Lacks { proxy: proxy.clone(), problems });
                }
                slot.problems = ack.problems;
                slot.taken = Some(publication);
                slot.pause = PAUSE;
            }
            Outcome::Published(_, Err(error)) => {
                // A pod that starts or ends has no proxy for a moment.
                if slot.pause < LONGEST_PAUSE {
                    tracing::debug!(%proxy, %error, "a proxy is given its model again soon");
                } else {
                    tracing::warn!(%proxy, %error, "a proxy goes on with what it had");
                }
                pause = slot.pause;
                slot.pause = (slot.pause * 2).min(LONGEST_PAUSE);
                done.push(Done::Failed);
            }
        }
        done.extend(self.advance(&proxy, pause));
        done
    }

    /// When [`Self::open_again`] is to be called, if it is.
    pub(crate) const fn reopens_at(&self) -> Option<Instant> {
        self.reopen
    }

    /// Brings their models once more to proxies that could not open a listener.
    pub(crate) fn open_again(&mut self) -> Vec<Done> {
        self.reopen = None;
        let lacking = self.slots.iter_mut().filter(|(_, slot)| {
            !slot.is_busy && slot.problems.iter().any(|it| it.listener.is_some())
        });
        let lacking: Vec<ProxyId> = lacking
            .map(|(proxy, slot)| {
                slot.taken = None;
                proxy.clone()
            })
            .collect();
        lacking.iter().filter_map(|proxy| self.advance(proxy, Duration::ZERO)).collect()
    }

    /// Starts what is to be done for a proxy next, after a pause.
    fn advance(&mut self, proxy: &ProxyId, pause: Duration) -> Option<Done> {
        let slot = self.slots.get_mut(proxy)?;
        let is_held = |it: &Publication| self.holds && it.workload.role.lets_in();
        if slot.is_busy || slot.wanted.as_ref().is_some_and(is_held) {
            return None;
        }
        let publisher = Arc::clone(&self.publisher);
        let id = proxy.clone();
        let Some(wanted) = slot.wanted.clone() else {
            slot.is_busy = true;
            self.running.push(Box::pin(async move {
                publisher.retire(&id).await;
                Running { proxy: id, what: Outcome::Retired }
            }));
            return None;
        };
        if slot.taken.as_ref().is_some_and(|taken| taken.is(&wanted)) {
            let is_in_mesh = wanted.workload.role.is_in_mesh();
            return Some(Done::Reached { proxy: id, push: slot.push, is_in_mesh });
        }
        slot.is_busy = true;
        self.running.push(Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let Publication { model, workload } = wanted.clone();
            let result = publisher.publish(&id, model, workload).await;
            Running { proxy: id, what: Outcome::Published(wanted, result) }
        }));
        None
    }
}

#[cfg(test)]
mod tests;
