//! How far the proxies are: which generation of which object decides where, and which endpoints nobody is sent to any more.
//!
//! Pushes are numbered. A proxy has reached a push when it decides by the model that the push has for it; where a push leaves a model as
//! it was, its proxy reaches it without doing anything. An object is live where the push that brought its generation is reached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serin_routing::model::{EndpointAddress, Health};
use serin_translate::Snapshot;

use crate::cache::Key;
use crate::proxy::ProxyId;
use crate::publisher::Problem;

/// Where an object decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The generation that proxies are given.
    pub generation: i64,
    /// The proxies of the mesh that decide by it.
    pub live: usize,
    /// All proxies of the mesh that decide by anything.
    pub proxies: usize,
    /// Those that do not decide by it yet.
    pub waiting: Vec<ProxyId>,
}

impl Live {
    /// Whether every proxy decides by it.
    pub const fn is_everywhere(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How far one proxy is.
#[derive(Clone, Copy, Debug)]
struct Reached {
    /// The last push that it has reached.
    push: u64,
    is_in_mesh: bool,
}

/// How far all are.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last push.
    push: u64,
    /// Proxies that decide by some model.
    proxies: BTreeMap<ProxyId, Reached>,
    /// What proxies could not take of their models.
    problems: BTreeMap<ProxyId, Vec<Problem>>,
    /// The generation of each object, and the push that brought it.
    objects: BTreeMap<Key, (i64, u64)>,
    /// Addresses that take connections as endpoints of Services, in the last push.
    serving: BTreeSet<IpAddr>,
    /// Addresses that did so before, and the push that took them out; only while some proxy has not reached it.
    gone: HashMap<IpAddr, u64>,
    /// The snapshot that `serving` was read from.
    snapshot: Option<Arc<Snapshot>>,
}

impl Progress {
    /// A push begins, with these objects new in it; none stands for an object that is gone.
    pub(crate) fn begin(
        &mut self,
        push: u64,
        snapshot: &Arc<Snapshot>,
        objects: BTreeMap<Key, Option<i64>>,
    ) {
        self.push = push;
        for (key, generation) in objects {
            match generation {
                Some(generation) => self.objects.insert(key, (generation, push)),
                None => self.objects.remove(&key),
            };
        }
        let registry = |it: &Arc<Snapshot>| std::ptr::from_ref(it.registry());
        if self.snapshot.as_ref().map(registry) != Some(registry(snapshot)) {
            let serving = serving(snapshot);
            let gone = self.serving.difference(&serving).map(|it| (*it, push)).collect::<Vec<_>>();
            self.gone.extend(gone);
            self.gone.retain(|address, _| !serving.contains(address));
            self.serving = serving;
        }
        self.snapshot = Some(Arc::clone(snapshot));
    }

    /// A proxy decides by what a push has for it.
    pub(crate) fn reach(&mut self, proxy: &ProxyId, push: u64, is_in_mesh: bool) {
        let reached = Reached { push, is_in_mesh };
        let of_proxy = self.proxies.entry(proxy.clone()).or_insert(reached);
        *of_proxy = Reached { push: of_proxy.push.max(push), is_in_mesh };
        self.forget();
    }

    /// This is what a proxy could not take of its model.
    pub(crate) fn lack(&mut self, proxy: &ProxyId, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.problems.remove(proxy);
        } else {
            self.problems.insert(proxy.clone(), problems);
        }
    }

    /// What proxies could not take of their models.
    pub(crate) const fn problems(&self) -> &BTreeMap<ProxyId, Vec<Problem>> {
        &self.problems
    }

    /// A proxy is gone.
    pub(crate) fn retire(&mut self, proxy: &ProxyId) {
        self.proxies.remove(proxy);
        self.problems.remove(proxy);
        self.forget();
    }

    fn forget(&mut self) {
        if !self.gone.is_empty() {
            let all = self.proxies.values().map(|it| it.push).min().unwrap_or(self.push);
            self.gone.retain(|_, push| *push > all);
        }
    }

    /// Where an object decides; `None` for one that no push has brought.
    pub(crate) fn live(&self, key: &Key) -> Option<Live> {
        let (generation, push) = *self.objects.get(key)?;
        let in_mesh = || self.proxies.iter().filter(|(_, it)| it.is_in_mesh);
        let waiting = in_mesh().filter(|(_, it)| it.push < push).map(|(id, _)| id.clone());
        let waiting: Vec<ProxyId> = waiting.collect();
        let proxies = in_mesh().count();
        Some(Live { generation, live: proxies - waiting.len(), proxies, waiting })
    }

    /// The last push that every proxy of the mesh has reached.
    pub(crate) fn everywhere(&self) -> u64 {
        let in_mesh = self.proxies.values().filter(|it| it.is_in_mesh);
        in_mesh.map(|it| it.push).min().unwrap_or(self.push)
    }

    /// The generation of an object that was pushed, and the push that brought it.
    pub(crate) fn brought(&self, key: &Key) -> Option<(i64, u64)> {
        self.objects.get(key).copied()
    }

    /// The proxies that may still send connections to an address as an endpoint of a Service; `None` if objects say that it
    /// is one.
    pub(crate) fn senders(&self, address: IpAddr) -> Option<Vec<ProxyId>> {
        if self.serving.contains(&address) {
            return None;
        }
        let push = self.gone.get(&address).copied().unwrap_or(0);
        let behind = self.proxies.iter().filter(|(_, it)| it.push < push);
        Some(behind.map(|(id, _)| id.clone()).collect())
    }

    /// Every proxy that decides by a model, and the push that it has reached.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = (&ProxyId, u64)> {
        self.proxies.iter().map(|(id, it)| (id, it.push))
    }

    /// The number of the last push.
    pub(crate) const fn push(&self) -> u64 {
        self.push
    }
}

/// The addresses that take connections as endpoints.
fn serving(snapshot: &Snapshot) -> BTreeSet<IpAddr> {
    let registry = snapshot.registry();
    let mut serving = BTreeSet::new();
    for service in registry.services() {
        for endpoint in registry.endpoints(service) {
            if let EndpointAddress::Socket(address, _) = endpoint.address
                && (endpoint.health == Health::Healthy || service.publish_not_ready)
            {
                serving.insert(address);
            }
        }
    }
    serving
}

#[cfg(test)]
mod tests;
