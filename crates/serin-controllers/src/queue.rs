//! Work: the keys of objects that someone has to look at, each at most once in the queue and never at two places at once.
//!
//! A key that comes while it is worked on is worked on again afterwards. A failure brings its key back after a pause that
//! grows with every failure in a row. A defect that one object brings to light (a panic) is a failure like others: the other
//! objects are looked at as before.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::objects::Key;

/// The pause after the first failure, and after very many.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(60));
/// How long less urgent work waits for more urgent work.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many objects of a kind are worked on at once.
const AT_ONCE: usize = 16;

/// Pauses that double.
#[derive(Clone, Copy, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = PAUSES.0.saturating_mul(1 << self.0.min(20));
        self.0 = self.0.saturating_add(1);
        pause.min(PAUSES.1)
    }

    pub(crate) const fn reset(&mut self) {
        self.0 = 0;
    }
}

/// What one look at an object came to: when to look again though nothing happened, if ever.
pub(crate) type Outcome = Result<Option<Duration>, Error>;

/// Keys that wait.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    rests: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    active: HashSet<Key>,
    /// Came while they were active.
    again: HashSet<Key>,
    later: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, Backoff>,
}

impl Queue {
    pub(crate) fn add(&self, key: Key) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Waits until nothing is to be looked at now, but not longer than [`PATIENCE`].
    pub(crate) async fn rest(&self) {
        let rested = async {
            loop {
                let rests = self.rests.notified();
                if self.lock().is_at_rest() {
                    return;
                }
                rests.await;
            }
        };
        // Where work never ends, less urgent work must not wait forever.
        drop(tokio::time::timeout(PATIENCE, rested).await);
    }

    async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let due = match self.lock().next(Instant::now()) {
                Ok(key) => return key,
                Err(due) => due,
            };
            match due {
                Some(due) => drop(tokio::time::timeout_at(due, changed).await),
                None => changed.await,
            }
        }
    }

    /// `outcome`: none if the look panicked.
    fn done(&self, key: &Key, outcome: Option<Outcome>) {
        let mut state = self.lock();
        state.active.remove(key);
        let Key { namespace, name } = key;
        let later = match outcome {
            Some(Ok(later)) => {
                state.failures.remove(key);
                later
            }
            Some(Err(problem)) => {
                if problem.is_outdated() {
                    tracing::debug!(namespace, name, %problem, "looks again");
                } else {
                    tracing::warn!(namespace, name, %problem, "tries again");
                }
                Some(state.pause(key))
            }
            None => {
                tracing::error!(
                    namespace,
                    name,
                    "a controller panicked at this object; tries again"
                );
                Some(state.pause(key))
            }
        };
        if let Some(pause) = later {
            state.add_at(key.clone(), Instant::now() + pause);
        }
        if state.again.remove(key) {
            state.add(key.clone());
        }
        if state.is_at_rest() {
            self.rests.notify_waiters();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Looks at what comes, until the future is dropped.
    pub(crate) async fn work<F, L>(&self, look: L)
    where
        F: Future<Output = Outcome>,
        L: Fn(Key) -> F,
    {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                key = self.next(), if running.len() < AT_ONCE => {
                    // What a look shares with others is locked for single steps, which are whole or not at all.
                    let looking = AssertUnwindSafe(look(key.clone())).catch_unwind();
                    running.push(async move { (key, looking.await.ok()) });
                }
                Some((key, outcome)) = running.next(), if !running.is_empty() => {
                    self.done(&key, outcome);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether no key is ready or worked on. Those that wait for a time do not count.
    fn is_at_rest(&self) -> bool {
        self.ready.is_empty() && self.active.is_empty()
    }

    /// How long a key waits that failed once more.
    fn pause(&mut self, key: &Key) -> Duration {
        self.failures.entry(key.clone()).or_default().next()
    }

    fn add(&mut self, key: Key) {
        if self.active.contains(&key) {
            self.again.insert(key);
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: Key, at: Instant) {
        match self.due.get(&key) {
            Some(due) if *due <= at => return,
            Some(due) => drop(self.later.remove(&(*due, key.clone()))),
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.later.insert((at, key));
    }

    /// The next key, or when there may be one.
    fn next(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while self.later.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.later.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
        match self.ready.pop_front() {
            Some(key) => {
                self.waiting.remove(&key);
                self.active.insert(key.clone());
                Ok(key)
            }
            None => Err(self.later.first().map(|(due, _)| *due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    #[test]
    fn a_key_is_worked_on_once_at_a_time_and_again_if_it_came_meanwhile() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        let now = Instant::now();
        assert_eq!(queue.lock().next(now), Ok(key("a")));
        assert_eq!(queue.lock().next(now), Err(None));
        queue.add(key("a"));
        assert_eq!(queue.lock().next(now), Err(None), "it is active");
        queue.done(&key("a"), Some(Ok(None)));
        assert_eq!(queue.lock().next(now), Ok(key("a")));
        queue.done(&key("a"), Some(Ok(None)));
        assert_eq!(queue.lock().next(now), Err(None));
    }

    #[test]
    fn of_two_times_the_earlier_counts() {
        let queue = Queue::default();
        let now = Instant::now();
        for seconds in [5, 3, 9] {
            queue.lock().add_at(key("a"), now + Duration::from_secs(seconds));
        }
        assert_eq!(queue.lock().next(now), Err(Some(now + Duration::from_secs(3))));
        assert_eq!(queue.lock().next(now + Duration::from_secs(3)), Ok(key("a")));
        queue.done(&key("a"), Some(Ok(None)));
        assert_eq!(queue.lock().next(now + Duration::from_secs(9)), Err(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_at_one_object_is_a_failure_of_that_object() {
        let queue = Queue::default();
        queue.add(key("bad"));
        queue.add(key("good"));
        let looks = Mutex::new(Vec::new());
        let look = async |key: Key| {
            looks.lock().unwrap().push(key.name.clone());
            assert_ne!(key.name, "bad", "a defect");
            Ok(None)
        };
        let work = queue.work(look);
        let over = tokio::time::timeout(Duration::from_millis(20), work).await;
        assert!(over.is_err(), "the work goes on");
        assert_eq!(*looks.lock().unwrap(), ["bad", "good", "bad", "bad"]);
    }

    #[tokio::test(start_paused = true)]
    async fn less_urgent_work_waits_for_a_rest_but_not_forever() {
        let queue = Queue::default();
        let begin = Instant::now();
        queue.rest().await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "there is nothing to do");
        queue.add(key("a"));
        let looks = queue.work(async |_| {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(None)
        });
        tokio::select! {
            () = looks => unreachable!("the work goes on"),
            () = queue.rest() => assert_eq!(begin.elapsed(), Duration::from_secs(2)),
        }
        queue.add(key("b"));
        queue.rest().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(2) + PATIENCE, "nobody works");
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut pauses = Backoff::default();
        assert_eq!(pauses.next(), Duration::from_millis(5));
        assert_eq!(pauses.next(), Duration::from_millis(10));
        for _ in 0..40 {
            pauses.next();
        }
        assert_eq!(pauses.next(), Duration::from_secs(60));
        pauses.reset();
        assert_eq!(pauses.next(), Duration::from_millis(5));
    }
}
