//! The proxy as a whole: worker threads, and the models they are given.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serin_routing::Model;
use serin_routing::model::{Bind, Listener};
use serin_telemetry::access_log::AccessLog;
use serin_telemetry::trace::Tracing;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::observe::{InForce, Observer};
use crate::settings::Settings;
use crate::snapshot::{Snapshot, TlsProblem};
use crate::socket;
use crate::tls::Certificates;
use crate::worker::{self, Command};

/// A running proxy. Dropping it ends its threads without draining.
pub struct Proxy {
    settings: Settings,
    workers: Vec<WorkerHandle>,
    bound: BTreeMap<Arc<str>, Bound>,
    current: Option<Arc<Snapshot>>,
    model: Arc<Model>,
    certificates: Certificates,
    draining: bool,
    /// Sockets of a process before this one, for listeners that are to come.
    inherited: Vec<Sockets>,
    access_log: Option<Arc<AccessLog>>,
    tracing: Option<Arc<Tracing>>,
    /// For observers.
    in_force: Arc<Mutex<InForce>>,
}

/// The address of a listener that is open.
#[derive(Debug)]
struct Bound {
    /// As it was asked for: port 0 is any.
    wanted: SocketAddr,
    /// As it is.
    actual: SocketAddr,
    /// The workers' sockets once more, to be handed over.
    sockets: Vec<TcpListener>,
}

/// The sockets of a listener, on their way from one process to the next.
#[derive(Debug)]
pub struct Sockets {
    /// The listener.
    pub listener: Arc<str>,
    /// The address it asked for; port 0 is any.
    pub wanted: SocketAddr,
    /// All sockets that connections may come to: somebody has to accept from each of them.
    pub sockets: Vec<TcpListener>,
}

struct WorkerHandle {
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of a model that was published.
#[derive(Debug, Default)]
pub struct Published {
    /// Its version, counted from 1.
    pub version: u64,
    /// Listeners that could not be opened; everything else is in force.
    pub failed: Vec<(Arc<str>, SocketAddr, io::Error)>,
    /// Where each listener with a socket listens.
    pub listening: BTreeMap<Arc<str>, SocketAddr>,
    /// TLS that is not what was asked for.
    pub tls: Vec<TlsProblem>,
}

impl Proxy {
    /// Starts the worker threads, without listeners.
    ///
    /// # Errors
    /// A thread or its runtime cannot be made.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let clock = Clock::new();
        let workers = (0..settings.workers.max(1))
            .map(|index| WorkerHandle::start(index, settings.clone(), clock));
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Self {
            settings,
            workers,
            bound: BTreeMap::new(),
            current: None,
            model: Arc::default(),
            certificates: Certificates::default(),
            draining: false,
            inherited: Vec::new(),
            access_log: None,
            tracing: None,
            in_force: Arc::default(),
        })
    }

    /// Puts a model in force on every worker and waits until each has taken it. Connections stay open; requests under way
    /// end under the model they began with.
    pub async fn publish(&mut self, model: Model) -> Published {
        self.publish_shared(Arc::new(model)).await
    }

    /// The certificates it may use. Changes are in force from the next publication or refresh on.
    pub const fn certificates(&mut self) -> &mut Certificates {
        &mut self.certificates
    }

    /// Reads certificates again and puts those that changed in force, in a new version of the same model; `None` if none
    /// has changed.
    pub async fn refresh(&mut self) -> Option<Published> {
        if !self.certificates.have_changed() {
            return None;
        }
        Some(self.publish_shared(Arc::clone(&self.model)).await)
    }

    async fn publish_shared(&mut self, model: Arc<Model>) -> Published {
        let version = self.current.as_ref().map_or(0, |current| current.version) + 1;
        let mut published = Published { version, ..Published::default() };
        let mut sockets = self.open_sockets(&model, &mut published.failed);
        self.inherited.clear();
        self.bound.retain(|name, _| model.listeners.contains_key(name));
        let listening = self.bound.iter().map(|(name, bound)| (Arc::clone(name), bound.actual));
        published.listening = listening.collect();
        self.model = Arc::clone(&model);
        let (mut snapshot, problems) =
            Snapshot::new(version, model, &mut self.certificates, self.current.as_deref());
        published.tls = problems;
        snapshot.access_log.clone_from(&self.access_log);
        snapshot.tracing.clone_from(&self.tracing);
        let in_force = InForce {
            version,
            model: Arc::clone(&self.model),
            listening: published.listening.clone(),
        };
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = in_force;
        let snapshot = Arc::new(snapshot);
        self.current = Some(Arc::clone(&snapshot));
        let acks: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .map(|(index, worker)| {
                let (done, ack) = oneshot::channel();
                let sockets = sockets.iter_mut().map(|(name, sockets)| {
                    let own = sockets.get_mut(index).map(std::mem::take);
                    (Arc::clone(name), own.unwrap_or_default())
                });
                let sockets = sockets.collect();
                worker.send(Command::Publish { snapshot: Arc::clone(&snapshot), sockets, done });
                ack
            })
            .collect();
        for ack in acks {
            // A worker that is gone has nothing to acknowledge.
            let _ = ack.await;
        }
        published
    }

    /// Closes the listeners. Requests under way and those that arrive on open connections are answered, and each connection is
    /// closed after its next answer. Models that are published from here on open no listener.
    pub async fn stop_accepting(&mut self) {
        self.draining = true;
        // What nobody accepts from must not be open.
        self.bound.values_mut().for_each(|bound| bound.sockets.clear());
        self.tell_all(|done| Command::Drain { done }).await;
    }

    /// The sockets of all listeners, for the next process to accept from. This one goes on until it is told to stop.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn sockets(&self) -> io::Result<Vec<Sockets>> {
        let sockets = self.bound.iter().map(|(name, bound)| {
            let copies = bound.sockets.iter().map(TcpListener::try_clone);
            Ok(Sockets {
                listener: Arc::clone(name),
                wanted: bound.wanted,
                sockets: copies.collect::<io::Result<_>>()?,
            })
        });
        sockets.collect()
    }

    /// Sockets of the process before, which the first publication uses instead of opening its own. Those that it has no use
    /// for are closed.
    pub fn inherit(&mut self, sockets: Vec<Sockets>) {
        self.inherited = sockets;
    }

    /// Where requests are logged from the next publication on; nowhere if `None`.
    pub fn set_access_log(&mut self, log: Option<Arc<AccessLog>>) {
        self.access_log = log;
    }

    /// How requests are traced from the next publication on; not at all if `None`, then contexts pass through as they came.
    pub fn set_tracing(&mut self, tracing: Option<Arc<Tracing>>) {
        self.tracing = tracing;
    }

    /// Looks at the proxy from elsewhere.
    pub fn observer(&self) -> Observer {
        let commands = self.workers.iter().filter_map(|worker| worker.commands.as_ref());
        Observer::new(commands.map(|it| it.downgrade()).collect(), Arc::clone(&self.in_force))
    }

    /// Stops accepting, waits for at most the drain time until all connections have ended, then ends the threads.
    pub async fn drain(mut self) {
        self.stop_accepting().await;
        self.tell_all(|done| Command::WaitClosed { done }).await;
        self.stop();
    }

    /// Sends a command to every worker and waits until each has carried it out.
    async fn tell_all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        let tell = |worker: &WorkerHandle| {
            let (done, ack) = oneshot::channel();
            worker.send(command(done));
            ack
        };
        let acks: Vec<_> = self.workers.iter().map(tell).collect();
        for ack in acks {
            // A worker that is gone has nothing to carry out.
            let _ = ack.await;
        }
    }

    fn open_sockets(
        &mut self,
        model: &Model,
        failed: &mut Vec<(Arc<str>, SocketAddr, io::Error)>,
    ) -> NewSockets {
        let mut opened = Vec::new();
        if self.draining {
            return opened;
        }
        for (name, listener) in &model.listeners {
            let wanted = self.address_of(listener);
            let is_open = self.bound.get(name).is_some_and(|it| it.wanted == wanted);
            if listener.bind == Bind::Captured || is_open {
                continue;
            }
            let inherited =
                self.inherited.iter().position(|it| it.listener == *name && it.wanted == wanted);
            let inherited = inherited.map(|at| self.inherited.swap_remove(at).sockets);
            // The port may be that of a listener of ours that this one takes the place of.
            let shared = self.bound.values().any(|it| it.actual.port() == wanted.port());
            let count = self.workers.len();
            match socket::bind(wanted, count, shared, inherited.unwrap_or_default()) {
                Ok(sockets) => {
                    let first = sockets.first().and_then(|socket| socket.local_addr().ok());
                    let actual = first.unwrap_or(wanted);
                    // Without copies the listener serves all the same, but cannot be handed over.
                    let copies = sockets.iter().map(TcpListener::try_clone);
                    let copies = copies.collect::<io::Result<_>>().unwrap_or_default();
                    let bound = Bound { wanted, actual, sockets: copies };
                    self.bound.insert(Arc::clone(name), bound);
                    opened.push((Arc::clone(name), shared_out(sockets, count)));
                }
                Err(error) => failed.push((Arc::clone(name), wanted, error)),
            }
        }
        opened
    }

    fn address_of(&self, listener: &Listener) -> SocketAddr {
        let address = if listener.address.is_unspecified() {
            self.settings.wildcard_address
        } else {
            listener.address
        };
        let port = self.settings.ports.get(&listener.port).copied().unwrap_or(listener.port);
        SocketAddr::new(address, port)
    }

    fn stop(&mut self) {
        for worker in &mut self.workers {
            worker.commands = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

/// Sockets by listener and worker.
type NewSockets = Vec<(Arc<str>, Vec<Vec<TcpListener>>)>;

/// Shares sockets out among workers. There may be more of them than workers, if they are inherited.
fn shared_out(sockets: Vec<TcpListener>, workers: usize) -> Vec<Vec<TcpListener>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, socket) in sockets.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % workers.max(1)) {
            share.push(socket);
        }
    }
    shares
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl WorkerHandle {
    fn start(index: usize, settings: Settings, clock: Clock) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            tokio::task::LocalSet::new().block_on(&runtime, worker::run(settings, clock, inbox))
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A worker that is gone reads no commands.
            let _ = commands.send(command);
        }
    }
}
