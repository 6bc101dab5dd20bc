//! The proxy as a whole: worker threads, and the models of the workloads that they serve.

mod sockets;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serin_routing::Model;
use serin_routing::compiled::Sharing;
use serin_telemetry::Workload;
use serin_telemetry::access_log::AccessLog;
use serin_telemetry::customization::Customizations;
use serin_telemetry::trace::Tracing;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{self, Clock};
use crate::core::{self, Command, Publish};
use crate::observe::{InForce, Observer, Workloads};
use crate::publication::{Publication, Published};
use crate::settings::Settings;
use crate::snapshot::{EndpointSets, Maker, Snapshot};
use crate::tls::Certificates;

pub use sockets::Sockets;
use sockets::{Bindings, Failed, NewSockets};

/// The key of the workload that is the proxy itself, as a gateway is.
pub(crate) const OWN: &str = "";

/// A running proxy. Dropping it ends its threads without draining.
pub struct Proxy {
    settings: Settings,
    workers: Vec<WorkerHandle>,
    workloads: BTreeMap<Arc<str>, Seat>,
    certificates: Certificates,
    draining: bool,
    /// What becomes of the proxy's own next model.
    own: Publication,
    /// What workloads have in common.
    sharing: Sharing,
    endpoint_sets: Arc<EndpointSets>,
    /// For observers.
    in_force: Arc<Mutex<Workloads>>,
}

/// A workload that is served.
#[derive(Default)]
struct Seat {
    bindings: Bindings,
    current: Option<Arc<Snapshot>>,
    publication: Publication,
}

struct WorkerHandle {
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
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
            workloads: BTreeMap::new(),
            certificates: Certificates::default(),
            draining: false,
            own: Publication::default(),
            sharing: Sharing::default(),
            endpoint_sets: Arc::default(),
            in_force: Arc::default(),
        })
    }

    /// Puts a model of the proxy's own in force, as a gateway's: its listeners are the host's.
    pub async fn publish(&mut self, model: Model) -> Published {
        let publication = Publication { model: Arc::new(model), ..self.own.clone() };
        self.publish_to(OWN, publication).await
    }

    /// Puts a model in force for a workload on every worker; what it gives is ready when each has taken it. It need not be
    /// waited for before the next is published. Connections stay open; requests under way end under the model they began with.
    /// From the acknowledgement on no try goes to an endpoint that the model has no more.
    pub fn publish_to(
        &mut self,
        key: &str,
        publication: Publication,
    ) -> impl Future<Output = Published> + Send + use<> {
        let key: Arc<str> = key.into();
        let seat = self.workloads.entry(Arc::clone(&key)).or_default();
        let version = seat.current.as_ref().map_or(0, |current| current.version) + 1;
        let (model, network) = (&publication.model, publication.network.as_ref());
        let mut failed = Failed::new();
        let sockets = if self.draining {
            NewSockets::new()
        } else {
            seat.bindings.follow(model, network, &self.settings, &mut failed)
        };
        let maker = Maker {
            certificates: &mut self.certificates,
            sharing: &mut self.sharing,
            endpoint_sets: &self.endpoint_sets,
            has_networks: self.settings.networks.is_some(),
        };
        let (snapshot, tls) = maker.make(version, &publication, seat.current.as_deref());
        let listening = seat.bindings.listening();
        let in_force = InForce { version, model: Arc::clone(model), listening: listening.clone() };
        let snapshot = Arc::new(snapshot);
        seat.current = Some(Arc::clone(&snapshot));
        seat.publication = publication;
        self.lock_in_force().insert(Arc::clone(&key), in_force);
        let acks = self.send_publication(&key, &snapshot, sockets);
        async move {
            acked(acks).await;
            Published { version, failed, listening, tls }
        }
    }

    /// Ends a workload: its listeners close, what is under way goes on. What it gives is ready when no worker accepts any more.
    pub fn remove(&mut self, key: &str) -> impl Future<Output = ()> + Send + use<> {
        self.workloads.remove(key);
        self.lock_in_force().remove(key);
        let key: Arc<str> = key.into();
        acked(self.tell_all(|done| Command::Remove { key: Arc::clone(&key), done }))
    }

    /// The certificates it may use. Changes are in force from the next publication or refresh on.
    pub const fn certificates(&mut self) -> &mut Certificates {
        &mut self.certificates
    }

    /// Reads certificates again and puts those that changed in force, in a new version of each workload's model.
    pub async fn refresh(&mut self) -> Vec<(Arc<str>, Published)> {
        if !self.certificates.have_changed() {
            return Vec::new();
        }
        let all: Vec<_> = self
            .workloads
            .iter()
            .map(|(key, seat)| (Arc::clone(key), seat.publication.clone()))
            .collect();
        let pending: Vec<_> = all
            .into_iter()
            .map(|(key, publication)| (Arc::clone(&key), self.publish_to(&key, publication)))
            .collect();
        let mut refreshed = Vec::new();
        for (key, published) in pending {
            refreshed.push((key, published.await));
        }
        refreshed
    }

    /// Closes the listeners. Requests under way and those that arrive on open connections are answered, and each connection is
    /// closed after its next answer. Models that are published from here on open no listener.
    pub async fn stop_accepting(&mut self) {
        self.draining = true;
        self.workloads.values_mut().for_each(|seat| seat.bindings.forget_sockets());
        acked(self.tell_all(|done| Command::Drain { done })).await;
    }

    /// The sockets of all listeners of the proxy's own, for the next process to accept from. This one goes on until it is told
    /// to stop.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn sockets(&self) -> io::Result<Vec<Sockets>> {
        self.workloads.get(OWN).map_or_else(|| Ok(Vec::new()), |seat| seat.bindings.copies())
    }

    /// Sockets of the process before, which the proxy's own first publication uses instead of opening others. Those that it has
    /// no use for are closed.
    pub fn inherit(&mut self, sockets: Vec<Sockets>) {
        self.workloads.entry(OWN.into()).or_default().bindings.inherited = sockets;
    }

    /// Where requests of the proxy's own are logged from the next publication on; nowhere if `None`.
    pub fn set_access_log(&mut self, log: Option<Arc<AccessLog>>) {
        self.own.access_log = log;
    }

    /// How requests of the proxy's own are traced from the next publication on; not at all if `None`, then contexts pass through
    /// as they came.
    pub fn set_tracing(&mut self, tracing: Option<Arc<Tracing>>) {
        self.own.tracing = tracing;
    }

    /// How the proxy's own metrics differ from Istio's from the next publication on.
    pub fn customize_metrics(&mut self, customizations: Customizations) {
        self.own.customizations = customizations;
    }

    /// What metrics call the proxy itself from the next publication on.
    pub fn set_workload(&mut self, workload: Workload) {
        self.own.workload = workload;
    }

    /// Looks at the proxy from elsewhere.
    pub fn observer(&self) -> Observer {
        let commands = self.workers.iter().filter_map(|worker| worker.commands.as_ref());
        Observer::new(commands.map(|it| it.downgrade()).collect(), Arc::clone(&self.in_force))
    }

    /// Stops accepting, waits for at most the drain time until all connections have ended, then ends the threads.
    pub async fn drain(mut self) {
        self.stop_accepting().await;
        acked(self.tell_all(|done| Command::WaitClosed { done })).await;
        self.stop();
    }

    fn lock_in_force(&self) -> std::sync::MutexGuard<'_, Workloads> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_publication(
        &self,
        key: &Arc<str>,
        snapshot: &Arc<Snapshot>,
        mut sockets: NewSockets,
    ) -> Vec<oneshot::Receiver<()>> {
        let mut index = 0;
        self.tell_all(|done| {
            let sockets = sockets.iter_mut().map(|(name, sockets)| {
                let own = sockets.get_mut(index).map(std::mem::take);
                (Arc::clone(name), own.unwrap_or_default())
            });
            let sockets = sockets.collect();
            index += 1;
            let (key, snapshot) = (Arc::clone(key), Arc::clone(snapshot));
            Command::Publish(Publish { key, snapshot, sockets, done })
        })
    }

    /// Sends a command to every worker, and gives what each acknowledges it by.
    fn tell_all(
        &self,
        mut command: impl FnMut(oneshot::Sender<()>) -> Command,
    ) -> Vec<oneshot::Receiver<()>> {
        let tell = |worker: &WorkerHandle| {
            let (done, ack) = oneshot::channel();
            worker.send(command(done));
            ack
        };
        self.workers.iter().map(tell).collect()
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

/// Waits until a command is carried out everywhere.
async fn acked(acks: Vec<oneshot::Receiver<()>>) {
    for ack in acks {
        // A worker that is gone has nothing to carry out.
        let _ = ack.await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl WorkerHandle {
    fn start(index: usize, settings: Settings, clock: Clock) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        // What belongs to one thread only is made on it; that there is room for it is known before.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().on_thread_unpark(clock::begin_turn);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let run = move || match builder.build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = ready.send(Ok(()));
                runtime.block_on(core::run(settings, clock, inbox));
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        is_ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A worker that is gone reads no commands.
            let _ = commands.send(command);
        }
    }
}
