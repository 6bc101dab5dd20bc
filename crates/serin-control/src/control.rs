//! The control plane as the rest of the process sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serin_api::ObjectRef;
use serin_routing::model::{EndpointAddress, Health};
use serin_translate::Snapshot;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cache::{Cache, Changes, Key, Written};
use crate::models::Push;
use crate::progress::{Live, Progress};
use crate::proxy::ProxyId;
use crate::publisher::{Problem, Publisher};
use crate::push::Loop;
use crate::settings::Settings;
use crate::{status, upkeep};

/// A running control plane. It ends when it is dropped.
pub struct Control {
    shared: Arc<Shared>,
    /// Dropped with this, which ends them.
    _tasks: JoinSet<()>,
}

/// What the tasks of a control plane share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Changes whenever the state does.
    moved: watch::Sender<u64>,
    /// Whether what comes from outside is let in, where that is held.
    open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    push: Option<Arc<Push>>,
    /// Objects whose written form has changed since it was asked last; none for those that are gone.
    written: BTreeMap<Key, Option<Written>>,
}

/// An object does not decide everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLive {
    /// How far it is; `None` if no such object was pushed.
    pub live: Option<Live>,
}

impl fmt::Display for NotLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.live {
            None => f.write_str(
                "the object was not given to proxies: it is not there, or it is refused",
            ),
            Some(live) => write!(
                f,
                "generation {} is live on {} of {} proxies; waiting for {}",
                live.generation,
                live.live,
                live.proxies,
                listed(&live.waiting),
            ),
        }
    }
}

impl std::error::Error for NotLive {}

/// Proxies may still send connections to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRemoved {
    /// The proxies that have not taken the removal; `None` while the address is an endpoint of a Service.
    pub senders: Option<Vec<ProxyId>>,
}

impl fmt::Display for NotRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.senders {
            None => f.write_str("the address is still an endpoint of a Service"),
            Some(senders) => write!(f, "proxies have not taken the removal: {}", listed(senders)),
        }
    }
}

impl std::error::Error for NotRemoved {}

/// The first few proxies by name.
pub(crate) fn listed(proxies: &[ProxyId]) -> String {
    let names: Vec<String> = proxies.iter().take(3).map(ToString::to_string).collect();
    match proxies.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

impl Control {
    /// Starts a control plane on the present tokio runtime.
    pub fn start<P: Publisher>(client: kube::Client, publisher: P, settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            moved: watch::Sender::new(0),
            open: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        if settings.writes_status {
            let parts = || (client.clone(), Arc::clone(&settings), Arc::clone(&shared));
            let (client, settings, shared) = parts();
            tasks.spawn(status::run(client, settings, shared));
            let (client, settings, shared) = parts();
            tasks.spawn(upkeep::run(client, settings, shared));
        }
        let pushes = Loop::new(settings, Arc::clone(&shared), Arc::new(publisher));
        tasks.spawn(pushes.run(client));
        Self { shared, _tasks: tasks }
    }

    /// The snapshot of the last push; `None` before the first.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.lock().push.as_ref().map(|push| Arc::clone(&push.snapshot))
    }

    /// Where an object decides; `None` for one that was not pushed.
    pub fn live(&self, object: &ObjectRef) -> Option<Live> {
        let key = Key::of(object)?;
        self.shared.live(&key)
    }

    /// Every proxy that decides by a model, and the number of the last push that it has reached.
    pub fn proxies(&self) -> Vec<(ProxyId, u64)> {
        self.shared.lock().progress.proxies().map(|(id, push)| (id.clone(), push)).collect()
    }

    /// The number of the last push.
    pub fn push(&self) -> u64 {
        self.shared.lock().progress.push()
    }

    /// Waits until a proxy decides by a model, so that its workload may start.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub async fn await_proxy(&self, proxy: &ProxyId, limit: Duration) -> Result<(), NotLive> {
        let has_model = || {
            let state = self.shared.lock();
            state.progress.proxies().any(|(id, _)| id == proxy)
        };
        let is_there = || if has_model() { Ok(()) } else { Err(NotLive { live: None }) };
        self.until(limit, is_there).await
    }

    /// Waits until every proxy decides by an object of at least this generation.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub async fn await_live(
        &self,
        object: &ObjectRef,
        generation: i64,
        limit: Duration,
    ) -> Result<Live, NotLive> {
        let is_live = || match self.live(object) {
            Some(live) if live.generation >= generation && live.is_everywhere() => Ok(live),
            live => Err(NotLive { live }),
        };
        self.until(limit, is_live).await
    }

    /// Waits until no proxy sends connections to an address as an endpoint of a Service: a pod that is to be stopped is out of all
    /// endpoints, and every proxy has taken that.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub async fn await_removed(&self, address: IpAddr, limit: Duration) -> Result<(), NotRemoved> {
        let is_removed = || match self.shared.lock().progress.senders(address) {
            Some(senders) if senders.is_empty() => Ok(()),
            senders => Err(NotRemoved { senders }),
        };
        self.until(limit, is_removed).await
    }

    /// Waits until no endpoint at these addresses is passed over for not being ready, by what was pushed last.
    ///
    /// # Errors
    /// It takes longer than `limit`: the addresses that are.
    pub async fn await_healthy(
        &self,
        addresses: &BTreeSet<IpAddr>,
        limit: Duration,
    ) -> Result<(), BTreeSet<IpAddr>> {
        let are_healthy = || {
            let Some(snapshot) = self.snapshot() else { return Err(addresses.clone()) };
            let registry = snapshot.registry();
            let endpoints = registry.services().iter().flat_map(|it| registry.endpoints(it));
            let unhealthy = endpoints.filter(|it| it.health == Health::Unhealthy);
            let left: BTreeSet<IpAddr> = unhealthy
                .filter_map(|it| match it.address {
                    EndpointAddress::Socket(address, _) => Some(address),
                    EndpointAddress::Name(..) | EndpointAddress::Unix(_) => None,
                })
                .filter(|it| addresses.contains(it))
                .collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        };
        self.until(limit, are_healthy).await
    }

    /// Lets in what comes from outside, where [`Settings::holds`] it back.
    pub fn open(&self) {
        self.shared.open.send_replace(true);
    }

    /// Asks again whenever something has moved, until the answer is good or the time is over.
    async fn until<T, E>(&self, limit: Duration, ask: impl Fn() -> Result<T, E>) -> Result<T, E> {
        let mut moved = self.shared.moved.subscribe();
        let good = async {
            loop {
                moved.mark_unchanged();
                if let Ok(good) = ask() {
                    return good;
                }
                if moved.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match timeout(limit, good).await {
            Ok(good) => Ok(good),
            Err(_) => ask(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how far proxies are.
    pub(crate) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock().progress);
        self.move_on();
    }

    /// A push begins.
    pub(crate) fn begin(&self, push: Push, objects: BTreeMap<Key, Option<i64>>) {
        let mut state = self.lock();
        state.progress.begin(push.number, &push.snapshot, objects);
        state.push = Some(Arc::new(push));
        drop(state);
        self.move_on();
    }

    /// Keeps what has changed of the objects for the writer of statuses.
    pub(crate) fn tell_written(&self, changes: &Changes, cache: &Cache) {
        let mut state = self.lock();
        let keys = changes.objects.keys().chain(&changes.statuses);
        for key in keys.filter(|key| status::is_written_for(key)) {
            state.written.insert(key.clone(), cache.written(key));
        }
        drop(state);
        self.move_on();
    }

    /// What has changed of the objects since this was asked last.
    pub(crate) fn take_written(&self) -> BTreeMap<Key, Option<Written>> {
        std::mem::take(&mut self.lock().written)
    }

    /// The last push.
    pub(crate) fn last_push(&self) -> Option<Arc<Push>> {
        self.lock().push.clone()
    }

    /// The generation of an object that was pushed, and the push that brought it.
    pub(crate) fn brought(&self, key: &Key) -> Option<(i64, u64)> {
        self.lock().progress.brought(key)
    }

    /// Where an object decides.
    pub(crate) fn live(&self, key: &Key) -> Option<Live> {
        self.lock().progress.live(key)
    }

    /// The last push that every proxy of the mesh has reached.
    pub(crate) fn everywhere(&self) -> u64 {
        self.lock().progress.everywhere()
    }

    /// What a proxy could not take of its model.
    pub(crate) fn problems(&self, proxy: &ProxyId) -> Vec<Problem> {
        self.lock().progress.problems().get(proxy).cloned().unwrap_or_default()
    }

    /// Tells when what comes from outside is let in.
    pub(crate) fn opening(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Tells when something has moved.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn move_on(&self) {
        self.moved.send_modify(|count| *count += 1);
    }
}
