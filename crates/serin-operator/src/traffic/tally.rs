//! Counting as it happens, for proxies in the same process.
//!
//! Proxies tell every request that they finish. Only those of releases that are asked about are counted: one look into a
//! map by namespace and destination, and one short lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use serin_rollout::statistics::{Counts, MirrorInterval, Session};

use super::{Sample, Subject, Traffic, Version};

/// So many sessions are kept apart between two questions; the others are counted by request only.
const SESSIONS: usize = 50_000;
/// A copy is slower when it takes this many times as long.
const SLOWER: f64 = 1.25;

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Whether it failed: an answer of 500 or more, or none.
    pub failed: bool,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
    /// A hash of what tells sessions apart; `None` if there is nothing.
    pub session: Option<u64>,
}

/// Counts the requests of releases.
#[derive(Debug, Default)]
pub struct Tally {
    /// By namespace and destination (the name of a workload or of a Service, or that of a Service, a slash and a subset).
    places: RwLock<HashMap<(String, String), Place>>,
    subjects: Mutex<BTreeMap<Subject, Arc<Mutex<Sums>>>>,
}

#[derive(Clone, Debug)]
struct Place {
    is_canary: bool,
    sums: Arc<Mutex<Sums>>,
}

#[derive(Debug, Default)]
struct Sums {
    sample: Sample,
    canary: HashMap<u64, Session>,
    primary: HashMap<u64, Session>,
    mirrored: MirrorInterval,
}

impl Tally {
    /// A user's request to `destination` has ended. Returns at once if nobody asks about it.
    pub fn record(&self, namespace: &str, destination: &str, outcome: &Outcome) {
        let Some(place) = self.place(namespace, destination) else { return };
        lock(&place.sums).add(place.is_canary, outcome);
    }

    /// A request was answered by the primary and, as a copy, by `destination`.
    pub fn record_pair(
        &self,
        namespace: &str,
        destination: &str,
        primary: &Outcome,
        copy: &Outcome,
    ) {
        let Some(place) = self.place(namespace, destination) else { return };
        let mut sums = lock(&place.sums);
        let pairs = &mut sums.mirrored;
        pairs.pairs += 1;
        match (copy.failed, primary.failed) {
            (true, false) => pairs.canary_failed += 1,
            (false, true) => pairs.primary_failed += 1,
            (true, true) => {}
            (false, false) => {
                let (copy, primary) = (copy.milliseconds, primary.milliseconds);
                pairs.canary_slower += u64::from(copy > primary * SLOWER);
                pairs.primary_slower += u64::from(primary > copy * SLOWER);
            }
        }
    }

    /// Whether anybody asks about requests to `destination`.
    pub fn is_asked_about(&self, namespace: &str, destination: &str) -> bool {
        self.place(namespace, destination).is_some()
    }

    fn place(&self, namespace: &str, destination: &str) -> Option<Place> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            return None;
        }
        places.get(&(namespace.to_owned(), destination.to_owned())).cloned()
    }

    fn sums(&self, subject: &Subject) -> Arc<Mutex<Sums>> {
        let mut subjects = lock(&self.subjects);
        if let Some(sums) = subjects.get(subject) {
            return Arc::clone(sums);
        }
        let sums = Arc::new(Mutex::new(Sums::default()));
        subjects.insert(subject.clone(), Arc::clone(&sums));
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        for (is_canary, version) in [(true, &subject.canary), (false, &subject.primary)] {
            for name in names(version) {
                let place = Place { is_canary, sums: Arc::clone(&sums) };
                places.insert((subject.namespace.clone(), name), place);
            }
        }
        sums
    }
}

/// What a version is called as a destination.
fn names(version: &Version) -> Vec<String> {
    if version.subset.is_empty() {
        return vec![version.workload.clone(), version.service.clone()];
    }
    vec![format!("{}/{}", version.service, version.subset)]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sums {
    fn add(&mut self, is_canary: bool, outcome: &Outcome) {
        let requests = &mut self.sample.requests;
        let arm = if is_canary { &mut requests.canary } else { &mut requests.primary };
        arm.counts.add(Counts::new(1, u64::from(outcome.failed)));
        if !outcome.failed {
            arm.latency.record(outcome.milliseconds);
        }
        let sessions = if is_canary { &mut self.canary } else { &mut self.primary };
        let Some(id) = outcome.session else { return };
        if sessions.len() >= SESSIONS && !sessions.contains_key(&id) {
            return;
        }
        let session = sessions.entry(id).or_insert(Session { id, failed: false, latency: None });
        session.failed |= outcome.failed;
        if !outcome.failed && session.latency.is_none() {
            session.latency = Some(outcome.milliseconds);
        }
    }

    fn take(&mut self) -> Sample {
        let mut sample = std::mem::take(&mut self.sample);
        let list = |sessions: &mut HashMap<u64, Session>| {
            let mut list: Vec<Session> = std::mem::take(sessions).into_values().collect();
            list.sort_by_key(|it| it.id);
            list
        };
        let sessions = (list(&mut self.canary), list(&mut self.primary));
        let is_told_apart = !sessions.0.is_empty() || !sessions.1.is_empty();
        sample.sessions = is_told_apart.then_some(sessions);
        let mirrored = std::mem::take(&mut self.mirrored);
        sample.mirrored = (mirrored.pairs > 0).then_some(mirrored);
        sample
    }
}

impl Traffic for Tally {
    fn take<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<Sample, String>> {
        let sums = self.sums(subject);
        let sample = lock(&sums).take();
        Box::pin(std::future::ready(Ok(sample)))
    }

    fn forget(&self, subject: &Subject) {
        let Some(sums) = lock(&self.subjects).remove(subject) else { return };
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| !Arc::ptr_eq(&place.sums, &sums));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let version = |name: &str| Version {
            workload: name.to_owned(),
            service: format!("{name}-service"),
            ..Version::default()
        };
        Subject {
            namespace: "test".to_owned(),
            release: "podinfo".to_owned(),
            canary: version("podinfo"),
            primary: version("podinfo-primary"),
        }
    }

    fn outcome(failed: bool, session: Option<u64>) -> Outcome {
        Outcome { failed, milliseconds: 10.0, session }
    }

    #[tokio::test]
    async fn requests_are_counted_once_somebody_asks() {
        let tally = Tally::default();
        tally.record("test", "podinfo", &outcome(true, None));
        assert_eq!(tally.take(&subject()).await.unwrap(), Sample::default());
        tally.record("test", "podinfo", &outcome(true, Some(1)));
        tally.record("test", "podinfo", &outcome(false, Some(1)));
        tally.record("test", "podinfo-primary-service", &outcome(false, Some(2)));
        tally.record("other", "podinfo", &outcome(true, None));
        let sample = tally.take(&subject()).await.unwrap();
        let Sample { requests, sessions, .. } = &sample;
        assert_eq!(
            (requests.canary.counts, requests.primary.counts),
            (Counts::new(2, 1), Counts::new(1, 0))
        );
        let (canary, primary) = sessions.clone().unwrap();
        assert_eq!(canary, [Session { id: 1, failed: true, latency: Some(10.0) }]);
        assert_eq!(primary.len(), 1);
        assert_eq!(tally.take(&subject()).await.unwrap(), Sample::default());
        tally.forget(&subject());
        assert!(!tally.is_asked_about("test", "podinfo"));
    }

    #[tokio::test]
    async fn pairs_are_compared() {
        let tally = Tally::default();
        tally.take(&subject()).await.unwrap();
        let slow = Outcome { milliseconds: 13.0, ..Outcome::default() };
        let quick = Outcome { milliseconds: 10.0, ..Outcome::default() };
        tally.record_pair("test", "podinfo", &quick, &slow);
        tally.record_pair("test", "podinfo", &quick, &outcome(true, None));
        tally.record_pair("test", "podinfo", &quick, &quick);
        let mirrored = tally.take(&subject()).await.unwrap().mirrored.unwrap();
        assert_eq!((mirrored.pairs, mirrored.canary_failed, mirrored.canary_slower), (3, 1, 1));
    }
}
