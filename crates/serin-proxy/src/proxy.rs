//! The proxy as a whole: worker threads, and the models they are given.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serin_routing::Model;
use serin_routing::model::{Bind, Listener};
use serin_telemetry::access_log::AccessLog;
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
    access_log: Option<Arc<AccessLog>>,
    /// For observers.
    in_force: Arc<Mutex<InForce>>,
}

/// The address of a listener that is open.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// As it was asked for: port 0 is any.
    wanted: SocketAddr,
    /// As it is.
    actual: SocketAddr,
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
            access_log: None,
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
        self.bound.retain(|name, _| model.listeners.contains_key(name));
        let listening = self.bound.iter().map(|(name, bound)| (Arc::clone(name), bound.actual));
        published.listening = listening.collect();
        self.model = Arc::clone(&model);
        let (mut snapshot, problems) =
            Snapshot::new(version, model, &mut self.certificates, self.current.as_deref());
        published.tls = problems;
        snapshot.access_log.clone_from(&self.access_log);
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
                let sockets = sockets.iter_mut().filter_map(|(name, sockets)| {
                    Some((name.clone(), sockets.get_mut(index)?.take()?))
                });
                worker.send(Command::Publish {
                    snapshot: Arc::clone(&snapshot),
                    sockets: sockets.collect(),
                    done,
                });
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
        self.tell_all(|done| Command::Drain { done }).await;
    }

    /// Where requests are logged from the next publication on; nowhere if `None`.
    pub fn set_access_log(&mut self, log: Option<Arc<AccessLog>>) {
        self.access_log = log;
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
            let before = self.bound.get(name).copied();
            if listener.bind == Bind::Captured || before.is_some_and(|it| it.wanted == wanted) {
                continue;
            }
            // The port may be that of a listener of ours that this one takes the place of.
            let shared = self.bound.values().any(|it| it.actual.port() == wanted.port());
            match socket::bind(wanted, self.workers.len(), shared) {
                Ok(sockets) => {
                    let first = sockets.first().and_then(|socket| socket.local_addr().ok());
                    let bound = Bound { wanted, actual: first.unwrap_or(wanted) };
                    self.bound.insert(Arc::clone(name), bound);
                    opened.push((Arc::clone(name), sockets.into_iter().map(Some).collect()));
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

type NewSockets = Vec<(Arc<str>, Vec<Option<std::net::TcpListener>>)>;

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
