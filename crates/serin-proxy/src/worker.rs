//! One core: its runtime's main task, its listeners and its connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serin_routing::Scratch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::connection;
use crate::io::BufferPool;
use crate::observe::CoreStats;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::telemetry::{Seen, Telemetry};
use crate::upstream::Upstreams;

/// How often idle connections and ejected endpoints are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What a worker is told.
pub(crate) enum Command {
    /// A new model is in force.
    Publish {
        snapshot: Arc<Snapshot>,
        /// Sockets of listeners that are new.
        sockets: Vec<(Arc<str>, Vec<std::net::TcpListener>)>,
        done: oneshot::Sender<()>,
    },
    /// No more connections, and on those there are no more requests than are under way.
    Drain { done: oneshot::Sender<()> },
    /// Tell when all connections have ended, or the drain time is over.
    WaitClosed { done: oneshot::Sender<()> },
    /// Tell what was counted.
    Stats { answer: oneshot::Sender<CoreStats> },
    /// Tell the latest requests.
    Sample { answer: oneshot::Sender<Vec<Seen>> },
}

/// What all tasks of a core share.
pub(crate) struct Worker {
    pub(crate) settings: Settings,
    #[expect(
        clippy::redundant_allocation,
        reason = "cores count references apart, not on one shared counter"
    )]
    snapshot: RefCell<Rc<Arc<Snapshot>>>,
    pub(crate) clock: Clock,
    pub(crate) upstreams: Upstreams,
    pub(crate) buffers: BufferPool,
    /// Room for one decision at a time.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) random: RefCell<Random>,
    pub(crate) telemetry: Telemetry,
    /// Leave to handshake.
    pub(crate) handshakes: Semaphore,
    connections: Cell<usize>,
    idle: Notify,
}

/// A core's source of randomness: fast, and good enough to share load by.
pub(crate) type Random = rand::rngs::SmallRng;

/// A listener as a core serves it.
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    /// It accepts no more connections, and those it has end after their request.
    pub(crate) draining: Drain,
}

/// Whether connections are to end after their request.
#[derive(Default)]
pub(crate) struct Drain {
    started: Cell<bool>,
    notify: Notify,
}

impl Drain {
    /// Whether it has started.
    pub(crate) const fn has_started(&self) -> bool {
        self.started.get()
    }

    /// Waits until it starts.
    pub(crate) async fn started(&self) {
        while !self.started.get() {
            self.notify.notified().await;
        }
    }

    fn start(&self) {
        self.started.set(true);
        self.notify.notify_waiters();
    }
}

impl Worker {
    /// The model in force. Requests hold on to the one they began with.
    #[expect(
        clippy::redundant_allocation,
        reason = "cores count references apart, not on one shared counter"
    )]
    pub(crate) fn snapshot(&self) -> Rc<Arc<Snapshot>> {
        Rc::clone(&self.snapshot.borrow())
    }

    fn opened(self: &Rc<Self>) -> Open {
        let accepted = &self.telemetry.accepted;
        accepted.set(accepted.get() + 1);
        self.connections.set(self.connections.get() + 1);
        Open(Rc::clone(self))
    }
}

impl Worker {
    fn stats(&self) -> CoreStats {
        CoreStats {
            metrics: self.telemetry.metrics.borrow().clone(),
            downstream_active: self.connections.get(),
            downstream_total: self.telemetry.accepted.get(),
            mirrors_dropped: self.telemetry.mirrors_dropped.get(),
            clusters: self.upstreams.stats(),
        }
    }
}

/// A connection counts as open while this lives.
struct Open(Rc<Worker>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.idle.notify_waiters();
    }
}

/// Carries out commands until there can be no more.
pub(crate) async fn run(
    settings: Settings,
    clock: Clock,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let telemetry = Telemetry::new();
    let upstreams = Upstreams::new(Rc::clone(&telemetry.metrics), Arc::clone(&settings.cluster_id));
    let worker = Rc::new(Worker {
        handshakes: Semaphore::new(settings.handshakes_per_worker),
        settings,
        snapshot: RefCell::default(),
        clock,
        upstreams,
        telemetry,
        buffers: BufferPool::default(),
        scratch: RefCell::default(),
        random: RefCell::new(rand::make_rng()),
        connections: Cell::new(0),
        idle: Notify::new(),
    });
    let sweeper = spawn_local(sweep(Rc::clone(&worker)));
    let mut listeners: BTreeMap<Arc<str>, Listening> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Publish { snapshot, sockets, done } => {
                let is_gone = |name: &Arc<str>, _: &mut Listening| !snapshot.has_listener(name);
                let mut gone: Vec<_> =
                    listeners.extract_if(.., is_gone).map(|(_, listening)| listening).collect();
                worker.upstreams.update(&snapshot, clock, &mut worker.random.borrow_mut());
                worker.telemetry.set_log(snapshot.access_log.as_ref());
                worker.telemetry.set_tracing(snapshot.tracing.clone());
                *worker.snapshot.borrow_mut() = Rc::new(snapshot);
                for (name, sockets) in sockets {
                    let listening = Listening::start(&worker, &name, sockets);
                    gone.extend(listeners.insert(name, listening));
                }
                close(gone).await;
                let _ = done.send(());
            }
            Command::Drain { done } => {
                close(std::mem::take(&mut listeners).into_values()).await;
                let _ = done.send(());
            }
            Command::Stats { answer } => {
                let _ = answer.send(worker.stats());
            }
            Command::Sample { answer } => {
                let _ = answer.send(worker.telemetry.sampled());
            }
            Command::WaitClosed { done } => {
                tokio::select! {
                    _ = timeout(worker.settings.drain_time, all_closed(&worker)) => {}
                    // Nobody waits for it any more.
                    _ = commands.recv() => {}
                }
                let _ = done.send(());
            }
        }
    }
    worker.telemetry.flush();
    sweeper.abort();
}

/// Work that comes round whether or not there is traffic.
async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        worker.upstreams.sweep(worker.clock.now());
        worker.telemetry.flush();
    }
}

/// A listener, and the tasks that accept its connections.
struct Listening {
    served: Rc<Served>,
    acceptors: Vec<JoinHandle<()>>,
}

impl Listening {
    fn start(worker: &Rc<Worker>, name: &Arc<str>, sockets: Vec<std::net::TcpListener>) -> Self {
        let served = Rc::new(Served { name: Arc::clone(name), draining: Drain::default() });
        let start = |socket| spawn_local(accept(Rc::clone(worker), Rc::clone(&served), socket));
        let acceptors = sockets.into_iter().map(start).collect();
        Self { served, acceptors }
    }
}

/// Lets listeners drain, and waits until their sockets are closed.
async fn close(listeners: impl IntoIterator<Item = Listening>) {
    let mut acceptors = Vec::new();
    for listening in listeners {
        listening.served.draining.start();
        acceptors.extend(listening.acceptors);
    }
    for acceptor in acceptors {
        // One that has ended is what is waited for.
        let _ = acceptor.await;
    }
}

async fn all_closed(worker: &Worker) {
    while worker.connections.get() > 0 {
        worker.idle.notified().await;
    }
}

/// Accepts connections of a listener until it is to drain, and those that the system has accepted by then.
async fn accept(worker: Rc<Worker>, served: Rc<Served>, socket: std::net::TcpListener) {
    let listener = &served.name;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            return tracing::error!(%listener, %error, "the listener's socket cannot be used");
        }
    };
    while !served.draining.has_started() {
        let is_full = worker.connections.get() >= worker.settings.connections_per_worker;
        let accepted = tokio::select! {
            biased;
            () = served.draining.started() => break,
            () = worker.idle.notified(), if is_full => continue,
            accepted = socket.accept(), if !is_full => accepted,
        };
        match accepted {
            Ok((stream, peer)) => serve(&worker, &served, stream, peer),
            Err(error) => {
                // Out of descriptors or a connection that is gone already: what is open goes on, and accepting is tried again.
                tracing::warn!(%listener, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    while let Some((stream, peer)) = accept_waiting(&socket).await {
        serve(&worker, &served, stream, peer);
    }
}

/// A connection that is there already.
async fn accept_waiting(socket: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|context| match socket.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn serve(worker: &Rc<Worker>, served: &Rc<Served>, stream: TcpStream, peer: SocketAddr) {
    let open = worker.opened();
    let serve = connection::serve(Rc::clone(worker), Rc::clone(served), stream, peer);
    spawn_local(async move {
        serve.await;
        drop(open);
    });
}
