//! Which statuses are to be looked at, and which wait for something.
//!
//! An object is looked at when it has changed, and again when what it waits for has happened, or when it has waited for too long.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Key;

/// What an object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Proxies take a push.
    Proxies,
    /// Somebody looks at all objects together.
    Analysis,
}

/// Objects, each with the time since which its status may be out of date.
#[derive(Debug, Default)]
pub(super) struct Queue {
    due: BTreeMap<Key, Instant>,
    for_proxies: BTreeMap<Key, Instant>,
    for_analysis: BTreeMap<Key, Instant>,
    /// When those that wait are looked at though nothing has happened.
    next_look: Option<Instant>,
}

impl Queue {
    /// The object has changed.
    pub(super) fn add(&mut self, key: Key, now: Instant) {
        self.remove(&key);
        self.due.insert(key, now);
    }

    /// The object is to be looked at later.
    pub(super) fn retry(&mut self, key: Key, at: Instant) {
        self.remove(&key);
        self.due.insert(key, at);
    }

    /// The object is gone, or its status is as it should be.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Instant> {
        let lists = [&mut self.due, &mut self.for_proxies, &mut self.for_analysis];
        lists.into_iter().filter_map(|list| list.remove(key)).min()
    }

    /// The object has nothing to say before something happens.
    pub(super) fn wait(&mut self, key: &Key, what: For, patience: Duration) {
        let Some(since) = self.remove(key) else { return };
        self.list(what).insert(key.clone(), since);
        let look = Instant::now() + patience;
        self.next_look.get_or_insert(look);
    }

    fn list(&mut self, what: For) -> &mut BTreeMap<Key, Instant> {
        match what {
            For::Proxies => &mut self.for_proxies,
            For::Analysis => &mut self.for_analysis,
        }
    }

    /// What objects waited for has happened.
    pub(super) fn happened(&mut self, what: For) {
        let mut waiting = std::mem::take(self.list(what));
        self.due.append(&mut waiting);
    }

    /// Up to `count` objects that can be looked at now, each with the time since which it has changed. What has changed last comes first:
    /// somebody may be waiting for it, while much else is written after a start.
    pub(super) fn ready(
        &mut self,
        now: Instant,
        count: usize,
        is_busy: impl Fn(&Key) -> bool,
    ) -> Vec<(Key, Instant)> {
        if self.next_look.is_some_and(|at| at <= now) {
            self.next_look = None;
            self.happened(For::Proxies);
            self.happened(For::Analysis);
        }
        let ready = self.due.iter().filter(|(key, since)| **since <= now && !is_busy(key));
        let mut ready: Vec<_> = ready.collect();
        ready.sort_by_key(|(_, since)| Reverse(**since));
        ready.into_iter().take(count).map(|(key, since)| (key.clone(), *since)).collect()
    }

    /// When there is something to look at though nothing has happened.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let later = self.due.values().filter(|at| **at > now).min().copied();
        later.into_iter().chain(self.next_look).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        let reference = serin_api::ObjectRef {
            api_version: "networking.istio.io/v1".to_owned(),
            kind: "VirtualService".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        Key::of(&reference).unwrap()
    }

    fn ready(queue: &mut Queue, now: Instant) -> Vec<String> {
        queue.ready(now, 10, |_| false).into_iter().map(|(key, _)| key.name).collect()
    }

    #[test]
    fn what_waits_is_looked_at_when_it_happens_or_has_waited_too_long() {
        let (now, patience) = (Instant::now(), Duration::from_secs(1));
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.add(key(name), now);
        }
        queue.wait(&key("a"), For::Proxies, patience);
        queue.wait(&key("b"), For::Analysis, patience);
        assert_eq!(ready(&mut queue, now), ["c"]);
        queue.happened(For::Proxies);
        assert_eq!(ready(&mut queue, now), ["a", "c"]);
        assert!(queue.wake(now).is_some());
        assert_eq!(ready(&mut queue, now + patience * 2), ["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            queue.remove(&key(name));
        }
        assert!(ready(&mut queue, now).is_empty() && queue.wake(now).is_none());
    }

    #[test]
    fn what_has_changed_last_comes_first() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("a"), now);
        queue.add(key("b"), now + Duration::from_secs(1));
        assert_eq!(ready(&mut queue, now + Duration::from_secs(2)), ["b", "a"]);
        // One that waits for long has not changed since.
        queue.wait(&key("b"), For::Proxies, Duration::ZERO);
        queue.add(key("b"), now + Duration::from_secs(3));
        assert_eq!(ready(&mut queue, now + Duration::from_secs(4)), ["b", "a"]);
    }

    #[test]
    fn one_that_failed_is_left_alone_for_a_while_and_a_busy_one_until_it_is_done() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.retry(key("a"), now + Duration::from_secs(1));
        queue.add(key("b"), now);
        assert_eq!(ready(&mut queue, now), ["b"]);
        assert!(queue.ready(now, 10, |key| key.name == "b").is_empty());
        assert_eq!(queue.wake(now), Some(now + Duration::from_secs(1)));
        assert_eq!(ready(&mut queue, now + Duration::from_secs(2)), ["a", "b"]);
    }
}
