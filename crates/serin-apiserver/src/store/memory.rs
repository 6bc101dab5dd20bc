//! All current objects and the recent changes, in memory.
//!
//! Readers take a short shared lock and clone pointers. History is kept as one window over all resources, bounded in bytes;
//! what falls out of it is remembered per resource, so that a busy resource does not end the watches of a quiet one.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::{Object, Page, TooOld};

/// What one event of history costs besides the object's bytes; an estimate.
const EVENT_COST: usize = 160;

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object was not there before.
    Created,
    /// The object was there before.
    Updated,
    /// The object is gone.
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// The revision the change made.
    pub revision: u64,
    /// `namespace/name`, or the name alone.
    pub name: Arc<str>,
    /// The object before the change.
    pub before: Option<Object>,
    /// The object after the change; for a deletion, its last state under the revision of the deletion.
    pub object: Object,
    /// What happened.
    pub change: Change,
}

impl Event {
    pub(super) fn new(
        revision: u64,
        name: Arc<str>,
        change: Change,
        before: Option<Object>,
        object: Object,
    ) -> Self {
        Self { revision, name, before, object, change }
    }
}

/// The objects of one resource, and its part of the window.
struct Collection {
    objects: BTreeMap<Arc<str>, Object>,
    window: VecDeque<Arc<Event>>,
    /// The revision of the newest event that fell out of the window: history is whole from here on.
    forgotten: u64,
    changed: watch::Sender<u64>,
}

impl Collection {
    fn new(forgotten: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            window: VecDeque::new(),
            forgotten,
            changed: watch::Sender::new(0),
        }
    }
}

/// Where an object is: its resource and its name.
type Key = (Arc<str>, Arc<str>);

/// The state of the store at one revision.
pub(super) struct Memory {
    revision: u64,
    /// The revision with which the process began: older history is on no one's mind.
    start: u64,
    collections: HashMap<Arc<str>, Collection>,
    /// Which objects name an object as their owner, by its uid: resource and name.
    owned: HashMap<Box<str>, BTreeSet<Key>>,
    /// The resources of all events in the windows, oldest first, with their costs.
    order: VecDeque<(Arc<str>, usize)>,
    cost: usize,
    budget: usize,
}

impl Memory {
    /// An empty state whose history begins at `revision`.
    pub(super) fn new(revision: u64, budget: usize) -> Self {
        Self {
            revision,
            start: revision,
            collections: HashMap::new(),
            owned: HashMap::new(),
            order: VecDeque::new(),
            cost: 0,
            budget,
        }
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Puts an object that was there before the process began.
    pub(super) fn load(&mut self, resource: &str, name: &str, object: Object) {
        let name: Arc<str> = name.into();
        self.own(&resource.into(), &name, &object);
        self.collection(resource).objects.insert(name, object);
    }

    pub(super) fn object(&self, resource: &str, name: &str) -> Option<Object> {
        self.collections.get(resource)?.objects.get(name).cloned()
    }

    pub(super) fn resources(&self) -> Vec<(Arc<str>, usize)> {
        self.collections.iter().map(|(name, c)| (Arc::clone(name), c.objects.len())).collect()
    }

    /// The objects of a resource in order of their names, whose names begin with `prefix` and come after `after`.
    pub(super) fn range(
        &self,
        resource: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> Vec<(Arc<str>, Object)> {
        let Some(collection) = self.collections.get(resource) else { return Vec::new() };
        between(&collection.objects, prefix, after)
            .map(|(name, object)| (Arc::clone(name), object.clone()))
            .collect()
    }

    /// The first `limit` of these objects, and how many come after them. `place` is how the names begin and after which they
    /// come.
    pub(super) fn page(
        &self,
        resource: &str,
        (prefix, after): (&str, Option<&str>),
        at: Option<u64>,
        limit: usize,
    ) -> Result<(Page, usize), TooOld> {
        if let Some(revision) = at.filter(|at| *at < self.last_change(resource)) {
            let mut all = self.range_at(resource, prefix, after, revision)?;
            let left = all.len().saturating_sub(limit);
            all.truncate(limit);
            return Ok((all, left));
        }
        let Some(collection) = self.collections.get(resource) else {
            return Ok((Vec::new(), 0));
        };
        let mut all = between(&collection.objects, prefix, after);
        let page = all.by_ref().take(limit).map(|(n, o)| (Arc::clone(n), o.clone())).collect();
        Ok((page, all.count()))
    }

    /// The same as they were at an earlier revision: the changes since are taken back.
    pub(super) fn range_at(
        &self,
        resource: &str,
        prefix: &str,
        after: Option<&str>,
        revision: u64,
    ) -> Result<Vec<(Arc<str>, Object)>, TooOld> {
        let Some(collection) = self.collections.get(resource) else {
            return if revision < self.start {
                Err(TooOld { oldest: self.start })
            } else {
                Ok(Vec::new())
            };
        };
        if revision < collection.forgotten {
            return Err(TooOld { oldest: collection.forgotten });
        }
        // Most lists that continue find nothing changed since they began.
        if collection.window.back().is_none_or(|event| event.revision <= revision) {
            return Ok(self.range(resource, prefix, after));
        }
        let mut objects: BTreeMap<Arc<str>, Object> =
            self.range(resource, prefix, after).into_iter().collect();
        for event in collection.window.iter().rev().take_while(|event| event.revision > revision) {
            match &event.before {
                Some(before) => objects.insert(Arc::clone(&event.name), before.clone()),
                None => objects.remove(&event.name),
            };
        }
        Ok(between(&objects, prefix, after).map(|(n, o)| (Arc::clone(n), o.clone())).collect())
    }

    /// The changes of a resource after `revision`, oldest first, at most `limit`; with the revision up to which they tell
    /// everything.
    pub(super) fn events(
        &self,
        resource: &str,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), TooOld> {
        let Some(collection) = self.collections.get(resource) else {
            return if revision < self.start {
                Err(TooOld { oldest: self.start })
            } else {
                Ok((Vec::new(), self.revision))
            };
        };
        if revision < collection.forgotten {
            return Err(TooOld { oldest: collection.forgotten });
        }
        let first = collection.window.partition_point(|event| event.revision <= revision);
        let events: Vec<_> = collection.window.range(first..).take(limit).cloned().collect();
        let whole = first + events.len() == collection.window.len();
        let upto = match events.last() {
            Some(last) if !whole => last.revision,
            _ => self.revision,
        };
        Ok((events, upto))
    }

    /// The revision of the last change of a resource; where it has not changed since the start, that of the start.
    pub(super) fn last_change(&self, resource: &str) -> u64 {
        self.collections.get(resource).map_or(self.start, |c| (*c.changed.borrow()).max(self.start))
    }

    /// Wakes when the resource changes.
    pub(super) fn subscribe(&mut self, resource: &str) -> watch::Receiver<u64> {
        self.collection(resource).changed.subscribe()
    }

    /// Makes changes that are durable visible. Their revisions follow the present one.
    pub(super) fn publish(&mut self, changes: Vec<(Arc<str>, Event)>) -> Vec<Arc<Event>> {
        let mut events = Vec::with_capacity(changes.len());
        for (resource, event) in changes {
            debug_assert!(event.revision > self.revision, "revisions grow");
            self.revision = event.revision;
            let cost = EVENT_COST + event.object.bytes().len();
            let event = Arc::new(event);
            if let Some(before) = &event.before {
                self.disown(&resource, &event.name, before);
            }
            if event.change != Change::Deleted {
                self.own(&resource, &event.name, &event.object);
            }
            let collection = self.collection(&resource);
            match event.change {
                Change::Deleted => collection.objects.remove(&event.name),
                Change::Created | Change::Updated => {
                    collection.objects.insert(Arc::clone(&event.name), event.object.clone())
                }
            };
            collection.window.push_back(Arc::clone(&event));
            collection.changed.send_replace(event.revision);
            self.order.push_back((resource, cost));
            self.cost += cost;
            events.push(event);
        }
        self.forget();
        events
    }

    /// The objects that name this uid as their owner's.
    pub(super) fn owned_by(&self, uid: &str) -> Vec<(Arc<str>, Arc<str>, Object)> {
        let all = self.owned.get(uid).into_iter().flatten();
        all.filter_map(|(resource, name)| {
            let object = self.object(resource, name)?;
            Some((Arc::clone(resource), Arc::clone(name), object))
        })
        .collect()
    }

    fn own(&mut self, resource: &Arc<str>, name: &Arc<str>, object: &Object) {
        for uid in object.owners() {
            let all = self.owned.entry(uid.clone()).or_default();
            all.insert((Arc::clone(resource), Arc::clone(name)));
        }
    }

    fn disown(&mut self, resource: &Arc<str>, name: &Arc<str>, object: &Object) {
        let key = (Arc::clone(resource), Arc::clone(name));
        for uid in object.owners() {
            if let Some(all) = self.owned.get_mut(uid) {
                all.remove(&key);
                if all.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
    }

    /// Drops the oldest history until the window fits.
    fn forget(&mut self) {
        while self.cost > self.budget {
            let Some((resource, cost)) = self.order.pop_front() else { break };
            self.cost -= cost;
            if let Some(collection) = self.collections.get_mut(&resource)
                && let Some(event) = collection.window.pop_front()
            {
                collection.forgotten = event.revision;
            }
        }
    }

    fn collection(&mut self, resource: &str) -> &mut Collection {
        if !self.collections.contains_key(resource) {
            self.collections.insert(resource.into(), Collection::new(self.start));
        }
        #[expect(clippy::expect_used, reason = "inserted above where it was missing")]
        self.collections.get_mut(resource).expect("the collection was just made")
    }
}

/// The objects whose names begin with `prefix` and come after `after`.
fn between<'m>(
    objects: &'m BTreeMap<Arc<str>, Object>,
    prefix: &'m str,
    after: Option<&'m str>,
) -> impl Iterator<Item = (&'m Arc<str>, &'m Object)> {
    use std::ops::Bound;
    let lower = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    objects
        .range::<str, _>((lower, Bound::Unbounded))
        .take_while(move |(name, _)| name.starts_with(prefix))
}
