//! The listening sockets of one workload: opened, kept, handed over.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serin_routing::Model;
use serin_routing::model::{Bind, ByName, Direction, Listener};

use crate::network::{self, Network};
use crate::settings::Settings;

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

/// The listeners of a workload that are open.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    bound: BTreeMap<Arc<str>, Bound>,
    network: Option<Arc<dyn Network>>,
    /// Those that were followed last, unless some of them could not be opened.
    followed: Option<ByName<Listener>>,
    /// Sockets of a process before this one, for listeners that are to come.
    pub(super) inherited: Vec<Sockets>,
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

/// Sockets by listener and worker.
pub(super) type NewSockets = Vec<(Arc<str>, Vec<Vec<TcpListener>>)>;

/// Listeners that could not be opened.
pub(super) type Failed = Vec<(Arc<str>, SocketAddr, io::Error)>;

impl Bindings {
    /// Opens what a model has and is not open yet, and forgets what it has no more.
    pub(super) fn follow(
        &mut self,
        model: &Model,
        network: Option<&Arc<dyn Network>>,
        settings: &Settings,
        failed: &mut Failed,
    ) -> NewSockets {
        if !is_same(self.network.as_ref(), network) {
            // Sockets stay where they were made.
            self.bound.clear();
            self.network = network.cloned();
            self.followed = None;
        }
        if self.followed.as_ref().is_some_and(|followed| followed.is(&model.listeners)) {
            return NewSockets::new();
        }
        let opened = self.open(model, settings, failed);
        self.followed = failed.is_empty().then(|| model.listeners.clone());
        self.inherited.clear();
        self.bound.retain(|name, _| model.listeners.contains_key(name));
        opened
    }

    /// Where each listener listens.
    pub(super) fn listening(&self) -> BTreeMap<Arc<str>, SocketAddr> {
        self.bound.iter().map(|(name, bound)| (Arc::clone(name), bound.actual)).collect()
    }

    /// Nothing is handed over any more: what nobody accepts from must not be open.
    pub(super) fn forget_sockets(&mut self) {
        self.bound.values_mut().for_each(|bound| bound.sockets.clear());
    }

    /// The sockets of all listeners once more.
    pub(super) fn copies(&self) -> io::Result<Vec<Sockets>> {
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

    fn open(&mut self, model: &Model, settings: &Settings, failed: &mut Failed) -> NewSockets {
        let mut opened = Vec::new();
        let count = settings.workers.max(1);
        for (name, listener) in &model.listeners {
            if !self.has_socket(listener) {
                continue;
            }
            let wanted = self.address_of(listener, settings);
            if self.bound.get(name).is_some_and(|it| it.wanted == wanted) {
                continue;
            }
            let inherited =
                self.inherited.iter().position(|it| it.listener == *name && it.wanted == wanted);
            let inherited = inherited.map(|at| self.inherited.swap_remove(at).sockets);
            // The port may be that of a listener of ours that this one takes the place of.
            let shared = self.bound.values().any(|it| it.actual.port() == wanted.port());
            let place = (self.network.as_deref(), count);
            match network::bind(wanted, place, shared, inherited.unwrap_or_default()) {
                Ok(sockets) => {
                    let first = sockets.first().and_then(|socket| socket.local_addr().ok());
                    let actual = first.unwrap_or(wanted);
                    let bound = Bound { wanted, actual, sockets: self.kept(&sockets) };
                    self.bound.insert(Arc::clone(name), bound);
                    opened.push((Arc::clone(name), shared_out(sockets, count)));
                }
                Err(error) => failed.push((Arc::clone(name), wanted, error)),
            }
        }
        opened
    }

    /// Copies to be handed over. Without them a listener serves all the same. Those of a pod are not: the next process finds
    /// its pods by itself, and opens its own.
    fn kept(&self, sockets: &[TcpListener]) -> Vec<TcpListener> {
        if self.network.is_some() {
            return Vec::new();
        }
        sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>().unwrap_or_default()
    }

    fn has_socket(&self, listener: &Listener) -> bool {
        let is_needless = self.network.is_some() && listener.direction == Direction::Inbound;
        listener.bind != Bind::Captured && !is_needless
    }

    fn address_of(&self, listener: &Listener, settings: &Settings) -> SocketAddr {
        if self.network.is_some() {
            return SocketAddr::new(listener.address, listener.port);
        }
        let address = if listener.address.is_unspecified() {
            settings.wildcard_address
        } else {
            listener.address
        };
        let port = settings.ports.get(&listener.port).copied().unwrap_or(listener.port);
        SocketAddr::new(address, port)
    }
}

fn is_same(one: Option<&Arc<dyn Network>>, other: Option<&Arc<dyn Network>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

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
