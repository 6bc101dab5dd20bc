//! The proxies of this machine as the control plane reaches them: one [`Proxy`] that serves every pod, the gateway and the node.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serin_control::{Ack, Problem, ProxyId, PublishError, Publisher, Role, Workload};
use serin_proxy::{Observer, Proxy, Publication, Published};
use serin_routing::Model;
use serin_routing::model::Listener;
use serin_telemetry::Workload as Named;
use serin_translate::{Snapshot, key_sources};

use super::networks::PodNetworks;
use super::told::Told;
use crate::gateway::certificates;
use crate::keys::Fetcher;

/// What metrics call the cluster of this machine (Istio's default).
const CLUSTER: &str = "Kubernetes";

/// Models by their proxies, each with the workload that it is for.
type Given = BTreeMap<ProxyId, (Arc<Model>, Arc<Workload>)>;

/// The proxies. Clones are the same.
#[derive(Clone)]
pub(super) struct Fleet {
    proxy: Arc<Mutex<Proxy>>,
    networks: Arc<PodNetworks>,
    trust_domain: Arc<Mutex<Arc<str>>>,
    told: Arc<Mutex<Told>>,
    keys: Arc<Fetcher>,
    /// What each proxy of the mesh was given last.
    given: Arc<Mutex<Given>>,
    /// Ports below 1024 that cannot be had, and those in their place.
    ports: Arc<BTreeMap<u16, u16>>,
}

impl Fleet {
    pub(super) fn new(
        proxy: Proxy,
        networks: Arc<PodNetworks>,
        ports: BTreeMap<u16, u16>,
        (told, keys): (Told, Fetcher),
    ) -> Self {
        Self {
            proxy: Arc::new(Mutex::new(proxy)),
            networks,
            trust_domain: Arc::new(Mutex::new("cluster.local".into())),
            told: Arc::new(Mutex::new(told)),
            keys: Arc::new(keys),
            given: Arc::default(),
            ports: Arc::new(ports),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Proxy> {
        self.proxy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the proxies.
    pub(super) fn observer(&self) -> Observer {
        self.lock().observer()
    }

    fn publication(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        workload: &Workload,
    ) -> Result<Publication, PublishError> {
        let network = match proxy {
            ProxyId::Pod { uid, .. } => {
                let gone = || PublishError { reason: "its pod has no network".to_owned() };
                Some(self.networks.of_pod(uid).ok_or_else(gone)?)
            }
            // They listen on the host.
            ProxyId::Gateway { .. } | ProxyId::Node { .. } => None,
        };
        let mut named = Named::new(&workload.identity, CLUSTER);
        if workload.role.is_in_mesh() {
            let trust_domain = self.trust_domain.lock().unwrap_or_else(PoisonError::into_inner);
            named = named.in_mesh(&trust_domain, &workload.identity.service_account);
        }
        let model = match workload.role {
            Role::Gateway => Arc::new(self.placed(&model, workload)),
            Role::Node if !self.ports.is_empty() => Arc::new(self.above_low_ports(&model)),
            _ => model,
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (access_log, tracing, customizations) = told.of(&key(proxy), workload);
        Ok(Publication { model, network, workload: named, access_log, tracing, customizations })
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives every proxy of the mesh what it has once more, because it is to tell something else of requests.
    fn give_again(&self) {
        let given = self.given().clone();
        for (proxy, (model, workload)) in given {
            // One whose pod is gone is retired soon.
            if let Ok(publication) = self.publication(&proxy, model, &workload) {
                // Nobody waits for logs to be in force.
                drop(self.lock().publish_to(&key(&proxy), publication));
            }
        }
    }

    /// The model with listeners on other ports in the place of those that cannot be had.
    fn above_low_ports(&self, model: &Model) -> Model {
        let mut placed = model.clone();
        for (name, listener) in &model.listeners {
            if let Some(&port) = self.ports.get(&listener.port) {
                let listener = Listener { port, ..(**listener).clone() };
                placed.listeners.insert(Arc::clone(name), Arc::new(listener));
            }
        }
        placed
    }

    /// The model with its listeners where the workload is to be reached: one that has several places becomes several.
    fn placed(&self, model: &Model, workload: &Workload) -> Model {
        let mut placed = model.clone();
        for (name, listener) in &model.listeners {
            let at = (listener.address, listener.port);
            let places = workload.sockets.iter();
            let places: Vec<_> = places
                .filter(|socket| (socket.listener.ip(), socket.listener.port()) == at)
                .collect();
            if places.is_empty() {
                continue;
            }
            placed.listeners.remove(name);
            for socket in places {
                let port = socket.address.port();
                let port = self.ports.get(&port).copied().unwrap_or(port);
                let address = socket.address.ip();
                if let Some(own) = model.authorization.get(&listener.port) {
                    placed.authorization.insert(port, Arc::clone(own));
                }
                let name: Arc<str> = format!("{name}{AT}{address}:{port}").into();
                let listener =
                    Listener { name: Arc::clone(&name), address, port, ..(**listener).clone() };
                placed.listeners.insert(name, Arc::new(listener));
            }
        }
        placed
    }
}

/// The proxy's name for a workload: two pods of one name, one after the other, are not the same.
pub(super) fn key(proxy: &ProxyId) -> String {
    match proxy {
        ProxyId::Pod { uid, .. } => format!("{proxy}/{uid}"),
        ProxyId::Gateway { .. } | ProxyId::Node { .. } => proxy.to_string(),
    }
}

impl Publisher for Fleet {
    fn prepare(&self, snapshot: &Arc<Snapshot>, plain: &Arc<Model>) {
        self.networks.set_services(Arc::clone(plain));
        let held = certificates::of_snapshot(snapshot.objects());
        self.lock().certificates().set_objects(held);
        self.keys.follow(key_sources(snapshot.objects()));
        let domain = snapshot.settings().mesh.trust_domain.as_str().into();
        *self.trust_domain.lock().unwrap_or_else(PoisonError::into_inner) = domain;
        let is_told_otherwise =
            self.told.lock().unwrap_or_else(PoisonError::into_inner).follow(snapshot);
        if is_told_otherwise {
            self.give_again();
        }
    }

    async fn publish(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        workload: Arc<Workload>,
    ) -> Result<Ack, PublishError> {
        let publication = self.publication(proxy, Arc::clone(&model), &workload)?;
        let taken = self.lock().publish_to(&key(proxy), publication);
        if workload.role.is_in_mesh() {
            self.given().insert(proxy.clone(), (Arc::clone(&model), workload));
        }
        Ok(Ack { problems: problems(&taken.await, &model) })
    }

    async fn retire(&self, proxy: &ProxyId) {
        self.given().remove(proxy);
        let key = key(proxy);
        let removed = self.lock().remove(&key);
        removed.await;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).forget(&key);
    }
}

/// Between a listener's name and the address of one of its places.
const AT: &str = " at ";

/// What of `model` is not in force.
fn problems(published: &Published, model: &Model) -> Vec<Problem> {
    let ports = published.failed.iter().map(|(name, address, error)| {
        let name = name.split_once(AT).map_or(&**name, |(name, _)| name);
        let listener = model.listeners.get(name).map(|it| SocketAddr::new(it.address, it.port));
        let help = match error.kind() {
            io::ErrorKind::AddrInUse => {
                let port = address.port();
                format!(
                    "something else listens there (`ss -ltnp sport = :{port}` tells what): end it, and the port is opened within seconds, or \
                     start the cluster with another --gateway-address"
                )
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are root's: use a higher one, or start the cluster as root".to_owned()
            }
            _ => "it is tried again every few seconds".to_owned(),
        };
        let message = format!("cannot listen on {address}: {error}; {help}");
        Problem { listener, message }
    });
    // What comes to a pod comes through a proxy of this process, which needs no listener of the pod's.
    let tls = published.tls.iter().filter(|problem| &*problem.subject != "virtualInbound");
    let tls = tls.map(|problem| {
        let effect = if problem.serves { "served nevertheless" } else { "connections are refused" };
        let message = format!("TLS of {}: {}; {effect}", problem.subject, problem.reason);
        Problem { listener: None, message }
    });
    ports.chain(tls).collect()
}
