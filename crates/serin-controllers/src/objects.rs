//! The objects of one kind: what is known of them, and every write to them.
//!
//! A watch feeds the cache. Own writes enter it with the API's answer, so that whoever decides next never decides by a state
//! older than what was done already: this is what makes a second creation of the same pod impossible. Each change is told
//! once to the routes, which say who has to look.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::{Stream, StreamExt as _};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::error::Error;

/// Who writes, as the field manager of the objects.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// How many ends are remembered: more than there can be answers under way.
const ENDED: usize = 64;

/// Where an object is: its namespace (empty where it has none) and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(object: &impl Resource<DynamicType = ()>) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

/// A kind that can be kept.
pub(crate) trait Object:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

/// What is told of a change: the object as it was known and as it is.
pub(crate) type Route<K> = Box<dyn Fn(Option<&K>, Option<&K>) + Send + Sync>;

/// All objects of a kind.
pub(crate) struct Objects<K> {
    client: Client,
    known: Mutex<Known<K>>,
    /// Words to find an object by; each begins with what kind of word it is.
    tags: fn(&K) -> Vec<String>,
    route: OnceLock<Route<K>>,
    complete: watch::Sender<bool>,
}

struct Known<K> {
    objects: BTreeMap<Key, Arc<K>>,
    tagged: HashMap<String, BTreeSet<Key>>,
    /// Uids of objects that were deleted by us and of whose end the watch has not told yet.
    gone: HashSet<String>,
    /// Uids of the last objects of whose end the watch told: an answer that was under way must not bring them back.
    ended: VecDeque<String>,
    /// While the watch tells what exists: what it told, and what was written meanwhile.
    listing: Option<HashSet<Key>>,
}

/// An object before and after.
type Change<K> = (Option<Arc<K>>, Option<Arc<K>>);
type Changes<K> = Vec<Change<K>>;

impl<K: Object> Objects<K> {
    pub(crate) fn new(client: &Client, tags: fn(&K) -> Vec<String>) -> Self {
        let known = Known {
            objects: BTreeMap::new(),
            tagged: HashMap::new(),
            gone: HashSet::new(),
            ended: VecDeque::new(),
            listing: None,
        };
        Self {
            client: client.clone(),
            known: Mutex::new(known),
            tags,
            route: OnceLock::new(),
            complete: watch::Sender::new(false),
        }
    }

    /// Says who looks at changes. To be called once, before the watch begins.
    pub(crate) fn route(&self, route: impl Fn(Option<&K>, Option<&K>) + Send + Sync + 'static) {
        drop(self.route.set(Box::new(route)));
    }

    /// Waits until everything that existed at the start is known.
    pub(crate) async fn complete(&self) {
        // The sender lives as long as `self`, so this ends by the value only.
        drop(self.complete.subscribe().wait_for(|complete| *complete).await);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.lock().objects.get(key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.lock().objects.values().cloned().collect()
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let known = self.lock();
        let from = Key::new(namespace, "");
        let inside = known.objects.range(from..).take_while(|(key, _)| key.namespace == namespace);
        inside.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The objects with a tag, by name.
    pub(crate) fn tagged(&self, tag: &str) -> Vec<Arc<K>> {
        let known = self.lock();
        let keys = known.tagged.get(tag).into_iter().flatten();
        keys.filter_map(|key| known.objects.get(key).cloned()).collect()
    }

    /// Follows the API until the future is dropped.
    pub(crate) async fn follow(&self) {
        let api: Api<K> = Api::all(self.client.clone());
        let config = watcher::Config::default().streaming_lists();
        self.follow_events(watcher(api, config)).await;
    }

    async fn follow_events(&self, events: impl Stream<Item = watcher::Result<watcher::Event<K>>>) {
        let mut events = std::pin::pin!(events);
        let mut pause = crate::queue::Backoff::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    pause.reset();
                    self.event(event);
                }
                Err(problem) => {
                    let kind = K::kind(&());
                    tracing::debug!(%kind, %problem, "a watch is begun again");
                    tokio::time::sleep(pause.next()).await;
                }
            }
        }
    }

    /// Takes in what the watch told.
    fn event(&self, event: watcher::Event<K>) {
        let mut known = self.lock();
        let changes = match event {
            watcher::Event::Init => {
                known.listing = Some(HashSet::new());
                Vec::new()
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                known.put(object, self.tags).into_iter().collect()
            }
            watcher::Event::InitDone => known.end_listing(self.tags),
            watcher::Event::Delete(object) => {
                known.end(object.meta().uid.as_deref().unwrap_or_default());
                known.take(&object, self.tags).into_iter().collect()
            }
        };
        let complete = known.listing.is_none();
        drop(known);
        self.tell(changes);
        if complete {
            self.complete.send_if_modified(|it| !std::mem::replace(it, true));
        }
    }

    fn tell(&self, changes: Changes<K>) {
        if let Some(route) = self.route.get() {
            for (before, after) in changes {
                route(before.as_deref(), after.as_deref());
            }
        }
    }

    fn written(&self, object: K) -> Arc<K> {
        let key = Key::of(&object);
        let answer = Arc::new(object);
        let mut known = self.lock();
        let change = known.put(K::clone(&answer), self.tags);
        let current = known.objects.get(&key).cloned();
        drop(known);
        self.tell(change.into_iter().collect());
        current.unwrap_or(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parameters of every write.
pub(crate) fn posting() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// The parameters of every patch.
pub(crate) fn patching() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

impl<K: Object + Resource<Scope = NamespaceResourceScope>> Objects<K> {
    fn api(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The object as the API has it at this moment.
    pub(crate) async fn fetch(&self, key: &Key) -> Result<Option<Arc<K>>, Error> {
        let found = self.api(&key.namespace).get_opt(&key.name).await;
        let found = found.map_err(|source| Error::new::<K>("read", key, source))?;
        Ok(found.map(|object| self.written(object)))
    }

    pub(crate) async fn create(&self, namespace: &str, object: &K) -> Result<Arc<K>, Error> {
        let created = self.api(namespace).create(&posting(), object).await;
        let name = object.meta().name.clone().or_else(|| object.meta().generate_name.clone());
        let key = Key::new(namespace, name.unwrap_or_default());
        Ok(self.written(created.map_err(|source| Error::new::<K>("create", &key, source))?))
    }

    /// Writes the status, and whatever else the kind lets a writer of the status change.
    pub(crate) async fn put_status(&self, object: &K) -> Result<Arc<K>, Error> {
        let key = Key::of(object);
        let put = self.api(&key.namespace).replace_status(&key.name, &posting(), object).await;
        Ok(self
            .written(put.map_err(|source| Error::new::<K>("update the status of", &key, source))?))
    }

    /// Writes the whole object: for kinds of which we write every field.
    pub(crate) async fn put(&self, object: &K) -> Result<Arc<K>, Error> {
        let key = Key::of(object);
        let put = self.api(&key.namespace).replace(&key.name, &posting(), object).await;
        Ok(self.written(put.map_err(|source| Error::new::<K>("update", &key, source))?))
    }

    /// Changes some fields of the object as it is known: nothing happens if it changed meanwhile.
    pub(crate) async fn merge(
        &self,
        object: &K,
        mut change: serde_json::Value,
    ) -> Result<Arc<K>, Error> {
        let key = Key::of(object);
        change["metadata"]["resourceVersion"] = object.resource_version().into();
        let patch = Patch::Merge(change);
        let patched = self.api(&key.namespace).patch(&key.name, &patching(), &patch).await;
        Ok(self.written(patched.map_err(|source| Error::new::<K>("change", &key, source))?))
    }

    /// Deletes the object that is known, not one that has its name by now. What is gone already is no problem.
    pub(crate) async fn delete(&self, object: &K) -> Result<(), Error> {
        let key = Key::of(object);
        let uid = object.uid();
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: uid.clone(), resource_version: None }),
            ..DeleteParams::background()
        };
        let change = match self.api(&key.namespace).delete(&key.name, &parameters).await {
            Ok(answer) => {
                // An object that is only marked waits for its finalizers, or for its node.
                let marked = answer.left().filter(|it| it.meta().deletion_timestamp.is_some());
                if let Some(marked) = marked {
                    self.written(marked);
                    return Ok(());
                }
                let mut known = self.lock();
                // Only what the watch will still tell the end of is remembered.
                let current = known.objects.get(&key).is_some_and(|it| it.meta().uid == uid);
                if current {
                    known.gone.extend(uid);
                }
                known.take(object, self.tags)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.lock().take(object, self.tags)
            }
            Err(source) => return Err(Error::new::<K>("delete", &key, source)),
        };
        self.tell(change.into_iter().collect());
        Ok(())
    }
}

impl<K: Object> Known<K> {
    /// Takes an object in unless what is known is as new.
    fn put(&mut self, mut object: K, tags: fn(&K) -> Vec<String>) -> Option<Change<K>> {
        if let Some(listing) = &mut self.listing {
            listing.insert(Key::of(&object));
        }
        let uid = object.meta().uid.clone().unwrap_or_default();
        if self.gone.contains(&uid) || self.ended.contains(&uid) {
            return None;
        }
        object.meta_mut().managed_fields = None;
        let key = Key::of(&object);
        let old = self.objects.get(&key).cloned();
        if old.as_deref().is_some_and(|old| version(old) >= version(&object) && version(old) > 0) {
            return None;
        }
        let object = Arc::new(object);
        for tag in old.as_deref().map(tags).into_iter().flatten() {
            self.untag(&tag, &key);
        }
        for tag in tags(&object) {
            self.tagged.entry(tag).or_default().insert(key.clone());
        }
        self.objects.insert(key, Arc::clone(&object));
        Some((old, Some(object)))
    }

    /// Forgets an object, if it is the one that is known.
    fn take(&mut self, object: &K, tags: fn(&K) -> Vec<String>) -> Option<Change<K>> {
        let key = Key::of(object);
        let known = self.objects.get(&key)?;
        if known.meta().uid != object.meta().uid {
            return None;
        }
        let old = self.objects.remove(&key)?;
        for tag in tags(&old) {
            self.untag(&tag, &key);
        }
        Some((Some(old), None))
    }

    fn end(&mut self, uid: &str) {
        self.gone.remove(uid);
        if self.ended.len() == ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(uid.to_owned());
    }

    fn untag(&mut self, tag: &str, key: &Key) {
        if let Some(keys) = self.tagged.get_mut(tag) {
            keys.remove(key);
            if keys.is_empty() {
                self.tagged.remove(tag);
            }
        }
    }

    /// What was neither told nor written since the list began does not exist.
    fn end_listing(&mut self, tags: fn(&K) -> Vec<String>) -> Changes<K> {
        let Some(listing) = self.listing.take() else { return Vec::new() };
        self.gone.clear();
        let objects = self.objects.iter();
        let lost: Vec<_> = objects
            .filter(|(key, _)| !listing.contains(key))
            .map(|(_, object)| Arc::clone(object))
            .collect();
        lost.iter().filter_map(|object| self.take(object, tags)).collect()
    }
}

/// How new an object is: resource versions of the server are numbers that grow.
fn version<K: Object>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
