//! What runs: the registry through which logs, exec, probes, usage and the proxy find pods and containers.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;

use crate::dns::Served;
use crate::logs::Log;
use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::streams::Io;

/// A pod whose sandbox is there.
#[derive(Clone, Debug)]
pub(crate) struct LivePod {
    /// Its object, as it was then.
    pub pod: Arc<Pod>,
    /// Its namespaces.
    pub sandbox: Sandbox,
    /// Its DNS; none on the network of the host.
    #[expect(dead_code, reason = "it is held: its sockets close with it")]
    pub dns: Option<Arc<Served>>,
}

/// A container that runs.
#[derive(Clone, Debug)]
pub(crate) struct LiveContainer {
    /// Its first process.
    pub process: Process,
    /// Its log.
    pub log: Log,
    /// Its standard input and terminal.
    pub io: Arc<Io>,
    /// Its environment.
    pub environment: Arc<Vec<(String, String)>>,
    /// Its user.
    pub user: String,
    /// Its working directory.
    pub folder: String,
    /// The capabilities that it keeps.
    pub capabilities: Option<u64>,
    /// Its control groups.
    pub cgroups: Vec<PathBuf>,
    /// The same, to be asked for usage.
    pub group: crate::cgroups::Group,
}

/// Where something can be run: a container that runs, in its pod.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The pod's namespaces.
    pub sandbox: Sandbox,
    /// The container.
    pub container: LiveContainer,
}

#[derive(Debug)]
struct Entry {
    pod: LivePod,
    containers: BTreeMap<String, LiveContainer>,
}

/// All that runs.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pods: Mutex<HashMap<String, Entry>>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox is there.
    pub(crate) fn insert(&self, pod: LivePod) {
        let uid = pod.pod.metadata.uid.clone().unwrap_or_default();
        self.lock().insert(uid, Entry { pod, containers: BTreeMap::new() });
    }

    /// A container runs.
    pub(crate) fn add(&self, uid: &str, name: &str, container: LiveContainer) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.containers.insert(name.to_owned(), container);
        }
    }

    /// A container has ended.
    pub(crate) fn remove_container(&self, uid: &str, name: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.containers.remove(name);
        }
    }

    /// A pod has ended.
    pub(crate) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Where a container runs.
    pub(crate) fn place(&self, uid: &str, container: &str) -> Option<Place> {
        let pods = self.lock();
        let entry = pods.get(uid)?;
        let container = entry.containers.get(container)?.clone();
        Some(Place { sandbox: entry.pod.sandbox.clone(), container })
    }

    /// The containers of a pod that run.
    pub(crate) fn containers(&self, uid: &str) -> Vec<String> {
        let pods = self.lock();
        pods.get(uid).map(|entry| entry.containers.keys().cloned().collect()).unwrap_or_default()
    }

    /// The namespaces of a pod.
    pub(crate) fn sandbox(&self, uid: &str) -> Option<Sandbox> {
        self.lock().get(uid).map(|entry| entry.pod.sandbox.clone())
    }

    /// The network of the pod with an address.
    pub(crate) fn network_of(&self, address: Ipv4Addr) -> Option<Arc<OwnedFd>> {
        let pods = self.lock();
        let mut sandboxes = pods.values().map(|entry| &entry.pod.sandbox);
        sandboxes.find(|sandbox| sandbox.address() == Some(address)).map(Sandbox::network)
    }

    /// The address and the network of a pod that has a network of its own.
    pub(crate) fn network_of_pod(&self, uid: &str) -> Option<(Ipv4Addr, Arc<OwnedFd>)> {
        let sandbox = self.sandbox(uid)?;
        Some((sandbox.address()?, sandbox.network()))
    }

    /// Every pod with its containers that run.
    pub(crate) fn all(&self) -> Vec<(LivePod, BTreeMap<String, LiveContainer>)> {
        self.lock().values().map(|entry| (entry.pod.clone(), entry.containers.clone())).collect()
    }
}
