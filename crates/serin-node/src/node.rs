//! The node: it watches all pods, gives each of its own a task, and says that it lives.

pub(crate) mod heartbeat;
mod sources;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::addresses::Addresses;
use crate::cgroups::Groups;
use crate::dns::Dns;
use crate::events::Events;
use crate::images::Images;
use crate::kubelet::Kubelet;
use crate::pod::worker::{Worker, former_address};
use crate::running::Registry;
use crate::schedule;
use crate::settings::Settings;
use crate::usage::{self, Looks};

/// How long pods that are to end with the node may take, whatever they ask for.
const LONGEST_STOP: Duration = Duration::from_secs(60);

/// What a pod's task is told.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// This is what the pod is to be.
    Be(Arc<Pod>),
    /// The node ends: stop, and leave the object.
    Leave,
    /// The object is gone.
    Gone,
}

/// What all parts of a node share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub events: Events,
    pub images: Images,
    pub running: Registry,
    pub groups: Groups,
    pub dns: Arc<Dns>,
    pub usage: Looks,
    addresses: Mutex<Addresses>,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its folder.
    #[error("cannot use the folder {folder} for pods: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A node that runs. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    orders: mpsc::Sender<oneshot::Sender<()>>,
}

impl Node {
    /// Ends what an earlier node left in the same folder, and begins to run the pods of this one. Needs a tokio runtime.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub async fn start(settings: Settings) -> Result<Self, NodeError> {
        let folder = settings.data_dir.clone();
        fs::create_dir_all(folder.join("pods"))
            .map_err(|source| NodeError::Folder { folder: folder.clone(), source })?;
        let shared = Arc::new(Shared {
            events: Events::start(settings.client.clone(), settings.name.clone()),
            images: Images::new(&settings),
            running: Registry::default(),
            groups: Groups::find(&group_name(&folder)),
            dns: Dns::start(&settings.client, &settings.domain),
            usage: Looks::default(),
            addresses: Mutex::new(Addresses::new(settings.pods)),
            settings,
        });
        shared.settings.kubelet.begin(&shared);
        usage::start(&shared);
        heartbeat::start(Arc::clone(&shared));
        let (orders, stops) = mpsc::channel(1);
        tokio::spawn(run(Arc::clone(&shared), stops));
        Ok(Self { shared, orders })
    }

    /// The network namespace of the pod with an address.
    pub fn network_of(&self, address: IpAddr) -> Option<Arc<OwnedFd>> {
        match address {
            IpAddr::V4(address) => self.shared.running.network_of(address),
            IpAddr::V6(_) => None,
        }
    }

    /// The network namespace of a pod, by its UID, and its address there; none on the network of the host.
    pub fn network_of_pod(&self, uid: &str) -> Option<(IpAddr, Arc<OwnedFd>)> {
        self.shared.running.network_of_pod(uid).map(|(address, network)| (address.into(), network))
    }

    /// Its services: logs, exec, attach, port forwarding, usage.
    pub fn kubelet(&self) -> Kubelet {
        self.shared.settings.kubelet.clone()
    }

    /// Whether processor and memory of containers can be limited on this machine.
    pub fn can_limit(&self) -> bool {
        self.shared.groups.can_limit()
    }

    /// Stops all pods in order and leaves their objects; then the node does nothing more.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.orders.send(done).await.is_ok() {
            // The other side ends only with the runtime.
            let _ = stopped.await;
        }
        self.shared.groups.remove();
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// Nodes with different folders do not meet.
fn group_name(folder: &std::path::Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("serin-{hex}")
}

impl Shared {
    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address that no pod has.
    pub(crate) fn take_address(&self) -> Option<Ipv4Addr> {
        self.addresses().take()
    }

    /// The address that a pod had with a node before this one, if nobody else has it.
    pub(crate) fn take_former_address(&self, former: Ipv4Addr) -> Option<Ipv4Addr> {
        self.addresses().take_former(former).then_some(former)
    }

    pub(crate) fn give_back(&self, address: Ipv4Addr) {
        self.addresses().give_back(address);
    }

    /// A number that nobody else has.
    pub(crate) fn random(&self) -> u128 {
        use std::hash::{BuildHasher as _, RandomState};
        let half = || u128::from(RandomState::new().hash_one(jiff::Timestamp::now()));
        half() << 64 | half()
    }
}

/// A pod's task, as the node sees it.
struct Handle {
    orders: watch::Sender<Order>,
    task: JoinHandle<()>,
}

async fn run(shared: Arc<Shared>, mut stops: mpsc::Receiver<oneshot::Sender<()>>) {
    let api: Api<Pod> = Api::all(shared.settings.client.clone());
    let mut pods = Box::pin(watcher(api, watcher::Config::default()));
    let mut tasks: HashMap<String, Handle> = HashMap::new();
    let scheduler = schedule::start(Arc::clone(&shared));
    let mut listed: Vec<String> = Vec::new();
    // Pods of the first list wait for its end: the addresses that they had are theirs before a pod without one gets any.
    let mut first = Some(Vec::new());
    loop {
        tokio::select! {
            stop = stops.recv() => {
                leave(tasks).await;
                if let Some(done) = stop {
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                return;
            }
            event = pods.next() => match event {
                Some(Ok(Event::Init)) => {
                    listed.clear();
                    first.iter_mut().for_each(Vec::clear);
                }
                Some(Ok(Event::InitApply(pod))) => {
                    listed.extend(pod.metadata.uid.clone());
                    match &mut first {
                        Some(first) => first.push(pod),
                        None => take(&shared, &scheduler, &mut tasks, pod),
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    tasks.retain(|uid, handle| listed.contains(uid) || !told_gone(handle));
                    if let Some(mut first) = first.take() {
                        forget_others(&shared, &listed);
                        first.sort_by_key(|pod| former_address(pod).is_none());
                        for pod in first {
                            take(&shared, &scheduler, &mut tasks, pod);
                        }
                    }
                }
                Some(Ok(Event::Apply(pod))) => take(&shared, &scheduler, &mut tasks, pod),
                Some(Ok(Event::Delete(pod))) => {
                    let uid = pod.metadata.uid.clone().unwrap_or_default();
                    if let Some(handle) = tasks.remove(&uid) {
                        told_gone(&handle);
                    }
                    // Nobody schedules after the node has ended.
                    let _ = scheduler.send(schedule::Change::Gone(Box::new(pod)));
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "the watch of pods broke");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                None => return,
            },
        }
    }
}

/// Tells a task that its pod is gone.
fn told_gone(handle: &Handle) -> bool {
    handle.orders.send(Order::Gone).is_ok() || handle.task.is_finished()
}

/// Takes a pod as it is.
fn take(
    shared: &Arc<Shared>,
    scheduler: &mpsc::UnboundedSender<schedule::Change>,
    tasks: &mut HashMap<String, Handle>,
    pod: Pod,
) {
    let pod = Arc::new(pod);
    // Nobody schedules after the node has ended.
    let _ = scheduler.send(schedule::Change::Is(Arc::clone(&pod)));
    let ours = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
        == Some(shared.settings.name.as_str());
    let Some(uid) = pod.metadata.uid.clone().filter(|_| ours) else { return };
    if let Some(handle) = tasks.get(&uid) {
        handle.orders.send_replace(Order::Be(pod));
        return;
    }
    let (orders, receiver) = watch::channel(Order::Be(Arc::clone(&pod)));
    let worker = Worker::new(Arc::clone(shared), pod, receiver);
    let task = tokio::spawn(worker.run());
    tasks.insert(uid, Handle { orders, task });
}

/// Stops all pods, and waits until they have.
async fn leave(tasks: HashMap<String, Handle>) {
    for handle in tasks.values() {
        handle.orders.send_replace(Order::Leave);
    }
    let ends = tasks.into_values().map(|handle| async move {
        let abort = handle.task.abort_handle();
        if tokio::time::timeout(LONGEST_STOP, handle.task).await.is_err() {
            abort.abort();
        }
    });
    futures_util::future::join_all(ends).await;
}

/// Removes files of pods that are no more.
fn forget_others(shared: &Shared, listed: &[String]) {
    let folder = shared.settings.data_dir.join("pods");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !listed.contains(&name)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "files of a pod are left");
        }
    }
}
