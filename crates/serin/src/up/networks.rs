//! The networks of pods, as the proxy makes sockets in them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serin_node::Node;
use serin_proxy::{Namespace, Network, Networks};
use serin_routing::Model;
use serin_routing::model::EndpointAddress;
use socket2::{Domain, Protocol, Socket, Type};

/// A namespace, and the network that it is to the proxy.
type Known = (Arc<OwnedFd>, Arc<dyn Network>);

/// Finds the network of a pod by its address.
#[derive(Debug)]
pub(super) struct PodNetworks {
    node: OnceLock<Node>,
    /// Makes sockets for those who may not come back from a pod's network; `None` if every thread may.
    maker: Option<Maker>,
    /// One network is one object.
    known: Mutex<HashMap<IpAddr, Known>>,
    /// How workloads outside of the mesh reach Services.
    services: ArcSwap<Model>,
    /// Counts connections to Services, so that each goes to the next endpoint.
    turn: AtomicUsize,
}

impl PodNetworks {
    /// `is_root`: whether threads may enter the host's network again.
    pub(super) fn new(is_root: bool) -> io::Result<Self> {
        let maker = if is_root { None } else { Some(Maker::start()?) };
        Ok(Self {
            node: OnceLock::new(),
            maker,
            known: Mutex::default(),
            services: ArcSwap::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The node is there.
    pub(super) fn set(&self, node: Node) {
        // There is one.
        let _ = self.node.set(node);
    }

    /// Services are reached by another model from now on.
    pub(super) fn set_services(&self, plain: Arc<Model>) {
        self.services.store(plain);
    }

    /// The network of a pod, by its UID. An address tells another pod's while objects are behind.
    pub(super) fn of_pod(&self, uid: &str) -> Option<Arc<dyn Network>> {
        let (address, namespace) = self.node.get()?.network_of_pod(uid)?;
        self.known(address, namespace)
    }

    /// The network that a namespace is to the proxy.
    fn known(&self, address: IpAddr, namespace: Arc<OwnedFd>) -> Option<Arc<dyn Network>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&address) {
            Some((before, network)) if Arc::ptr_eq(before, &namespace) => Some(Arc::clone(network)),
            _ => {
                let network = self.network(Arc::clone(&namespace)).ok()?;
                known.insert(address, (namespace, Arc::clone(&network)));
                Some(network)
            }
        }
    }

    fn network(&self, namespace: Arc<OwnedFd>) -> io::Result<Arc<dyn Network>> {
        Ok(match &self.maker {
            Some(maker) => Arc::new(Remote { maker: maker.clone(), namespace }),
            None => Arc::new(Namespace::from(namespace.try_clone()?)),
        })
    }
}

impl Networks for PodNetworks {
    fn network_of(&self, address: IpAddr) -> Option<Arc<dyn Network>> {
        let Some(namespace) = self.node.get()?.network_of(address) else {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
            return None;
        };
        self.known(address, namespace)
    }

    fn owns(&self, address: IpAddr) -> bool {
        match address {
            // Pods and Services.
            IpAddr::V4(address) => {
                is_pod(address) || matches!(address.octets(), [10, 96..=111, ..])
            }
            IpAddr::V6(_) => false,
        }
    }

    fn behind(&self, service: &EndpointAddress) -> Option<SocketAddr> {
        // Nearly everything goes to pods, which is seen at once.
        if matches!(service, EndpointAddress::Socket(IpAddr::V4(address), _) if is_pod(*address)) {
            return None;
        }
        serin_control::behind(&self.services.load(), service, self.turn.fetch_add(1, Relaxed))
    }
}

/// Whether an address is one that pods get.
const fn is_pod(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [10, 244, ..])
}

/// A thread that goes from one pod's network to the next and never comes back: in a user namespace, the host's network is one
/// that nobody may enter.
#[derive(Clone)]
struct Maker(Sender<Wanted>);

struct Wanted {
    namespace: Arc<OwnedFd>,
    domain: Domain,
    answer: SyncSender<io::Result<OwnedFd>>,
}

impl Maker {
    fn start() -> io::Result<Self> {
        let (orders, wanted) = channel::<Wanted>();
        std::thread::Builder::new().name("pod-sockets".to_owned()).spawn(move || {
            for Wanted { namespace, domain, answer } in wanted {
                // Whoever asked waits.
                let _ = answer.send(make(&namespace, domain));
            }
        })?;
        Ok(Self(orders))
    }
}

fn make(namespace: &OwnedFd, domain: Domain) -> io::Result<OwnedFd> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?.into())
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

/// A pod's network, whose sockets are made by the thread.
#[derive(Debug)]
struct Remote {
    maker: Maker,
    namespace: Arc<OwnedFd>,
}

impl Network for Remote {
    fn socket(&self, domain: Domain) -> io::Result<OwnedFd> {
        let gone = |_| io::Error::other("the thread that makes sockets has ended");
        let (answer, made) = sync_channel(1);
        let wanted = Wanted { namespace: Arc::clone(&self.namespace), domain, answer };
        self.maker.0.send(wanted).map_err(|_| io::Error::other("no thread makes sockets"))?;
        made.recv().map_err(gone)?
    }
}
