//! One core: what all workloads that it serves share, and its runtime's main task.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::Scratch;
use serin_telemetry::focus::{Focus, Sight};
use serin_telemetry::{Rule, Traffic};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::io::BufferPool;
use crate::listening::{Listening, close};
use crate::observe::CoreStats;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::telemetry::{Counters, Seen};
use crate::under_way::UnderWay;
use crate::worker::Worker;

/// How often idle connections and ejected endpoints are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What a core is told.
pub(crate) enum Command {
    /// A new model of a workload is in force.
    Publish(Publish),
    /// A workload is gone. No more connections, and on those there are no more requests than are under way.
    Remove { key: Arc<str>, done: oneshot::Sender<()> },
    /// The same for all workloads, whose models stay.
    Drain { done: oneshot::Sender<()> },
    /// Tell when all connections have ended, or the drain time is over.
    WaitClosed { done: oneshot::Sender<()> },
    /// Tell what was counted, and how clusters of a workload do.
    Stats { key: Arc<str>, answer: oneshot::Sender<CoreStats> },
    /// Tell what went where.
    Traffic { answer: oneshot::Sender<Vec<Traffic>> },
    /// Tell what was seen of what is looked at closer, since the last time.
    Look { focus: Arc<Focus>, answer: oneshot::Sender<Sight> },
    /// Tell when nothing is under way to a pod any more.
    WhenOver { address: IpAddr, done: oneshot::Sender<()> },
    /// Tell the latest requests.
    Sample { answer: oneshot::Sender<Vec<Seen>> },
    /// Tell how often each rule took a request.
    Hits { answer: oneshot::Sender<BTreeMap<Rule, u64>> },
}

/// A new model of a workload.
pub(crate) struct Publish {
    pub(crate) key: Arc<str>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Sockets of listeners that are new.
    pub(crate) sockets: Vec<(Arc<str>, Vec<std::net::TcpListener>)>,
    pub(crate) done: oneshot::Sender<()>,
}

/// What all tasks of a core share, whichever workload they are for.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) buffers: BufferPool,
    /// Room for one decision at a time.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) random: RefCell<Random>,
    pub(crate) counters: Rc<Counters>,
    /// Tries that are under way to pods.
    pub(crate) under_way: Rc<UnderWay>,
    /// Leave to handshake.
    pub(crate) handshakes: Semaphore,
    connections: Cell<usize>,
    idle: Notify,
}

/// A core's source of randomness: fast, and good enough to share load by.
pub(crate) type Random = rand::rngs::SmallRng;

impl Core {
    fn new(settings: Settings, clock: Clock) -> Self {
        Self {
            handshakes: Semaphore::new(settings.handshakes_per_worker),
            counters: Rc::new(Counters::new(&settings)),
            settings,
            clock,
            buffers: BufferPool::default(),
            scratch: RefCell::default(),
            random: RefCell::new(rand::make_rng()),
            under_way: Rc::default(),
            connections: Cell::new(0),
            idle: Notify::new(),
        }
    }

    /// A connection is open for as long as what this gives lives.
    pub(crate) fn opened(self: &Rc<Self>) -> Open {
        let accepted = &self.counters.accepted;
        accepted.set(accepted.get() + 1);
        self.connections.set(self.connections.get() + 1);
        Open(Rc::clone(self))
    }

    /// Whether no more connections can be taken.
    pub(crate) const fn is_full(&self) -> bool {
        self.connections.get() >= self.settings.connections_per_worker
    }

    /// Waits until a connection has ended.
    pub(crate) async fn closed(&self) {
        self.idle.notified().await;
    }

    async fn all_closed(&self) {
        while self.connections.get() > 0 {
            self.closed().await;
        }
    }
}

/// A connection counts as open while this lives.
pub(crate) struct Open(Rc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.idle.notify_waiters();
    }
}

/// The workloads of a core.
type Workers = Rc<RefCell<HashMap<Arc<str>, Rc<Worker>>>>;

/// Carries out commands until there can be no more.
pub(crate) async fn run(
    settings: Settings,
    clock: Clock,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let core = Rc::new(Core::new(settings, clock));
    let workers = Workers::default();
    let sweeper = spawn_local(sweep(Rc::clone(&core), Rc::clone(&workers)));
    let mut seats = Seats { core: Rc::clone(&core), workers, listeners: HashMap::new() };
    while let Some(command) = commands.recv().await {
        match command {
            Command::Publish(publish) => seats.publish(publish).await,
            Command::Remove { key, done } => {
                seats.remove(&key).await;
                let _ = done.send(());
            }
            Command::Drain { done } => {
                let all = std::mem::take(&mut seats.listeners);
                close(all.into_values().flat_map(BTreeMap::into_values)).await;
                let _ = done.send(());
            }
            Command::Stats { key, answer } => {
                let _ = answer.send(seats.stats(&key));
            }
            Command::Traffic { answer } => {
                let _ = answer.send(Traffic::of_core(&core.counters.metrics.borrow()));
            }
            Command::Look { focus, answer } => {
                let _ = answer.send(core.counters.look(&focus, core.clock.now()));
            }
            Command::WhenOver { address, done } => core.under_way.tell_when_over(address, done),
            Command::Sample { answer } => {
                let _ = answer.send(core.counters.sampled());
            }
            Command::Hits { answer } => {
                let _ = answer.send(core.counters.hits.borrow_mut().by_rule());
            }
            Command::WaitClosed { done } => {
                tokio::select! {
                    _ = timeout(core.settings.drain_time, core.all_closed()) => {}
                    // Nobody waits for it any more.
                    _ = commands.recv() => {}
                }
                let _ = done.send(());
            }
        }
    }
    sweeper.abort();
    seats.workers.borrow().values().for_each(|worker| worker.telemetry.flush());
}

/// Work that comes round whether or not there is traffic.
async fn sweep(core: Rc<Core>, workers: Workers) {
    loop {
        tokio::time::sleep(SWEEP).await;
        for worker in workers.borrow().values() {
            worker.upstreams.sweep(worker.clock.now());
            worker.telemetry.flush();
        }
        core.under_way.tidy();
        core.counters.tidy(core.clock.now());
    }
}

/// The workloads of a core, and their listeners.
struct Seats {
    core: Rc<Core>,
    workers: Workers,
    listeners: HashMap<Arc<str>, BTreeMap<Arc<str>, Listening>>,
}

impl Seats {
    async fn publish(&mut self, Publish { key, snapshot, sockets, done }: Publish) {
        let known = self.workers.borrow().get(&key).cloned();
        let worker = known.unwrap_or_else(|| {
            let new = Rc::new(Worker::new(&self.core, &key));
            self.workers.borrow_mut().insert(Arc::clone(&key), Rc::clone(&new));
            new
        });
        let listeners = self.listeners.entry(key).or_default();
        let is_gone = |name: &Arc<str>, _: &mut Listening| !snapshot.has_listener(name);
        let mut gone: Vec<_> =
            listeners.extract_if(.., is_gone).map(|(_, listening)| listening).collect();
        worker.take(snapshot);
        for (name, sockets) in sockets {
            let listening = Listening::start(&worker, &name, sockets);
            gone.extend(listeners.insert(name, listening));
        }
        close(gone).await;
        let _ = done.send(());
    }

    /// Connections that are open hold on to the worker until they end.
    async fn remove(&mut self, key: &str) {
        close(self.listeners.remove(key).unwrap_or_default().into_values()).await;
        let worker = self.workers.borrow_mut().remove(key);
        if let Some(worker) = worker {
            worker.upstreams.clear();
            worker.telemetry.flush();
        }
    }

    fn stats(&self, key: &str) -> CoreStats {
        let counters = &self.core.counters;
        let worker = self.workers.borrow().get(key).cloned();
        CoreStats {
            metrics: counters.metrics.borrow().clone(),
            downstream_active: self.core.connections.get(),
            downstream_total: counters.accepted.get(),
            mirrors_dropped: counters.mirrors_dropped.get(),
            clusters: worker.map(|worker| worker.cluster_stats()).unwrap_or_default(),
        }
    }
}
