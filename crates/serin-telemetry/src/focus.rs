//! A closer look at two versions of a service, for as long as somebody asks: what a release is judged by.
//!
//! Counters under Istio's labels tell neither users apart nor 80 ms from 95 ms. Where someone looks closer ([`Focus`]), each core also
//! counts latency in narrow buckets, sessions, and what became of requests together with their copies. All of it is bounded,
//! and requests touch none of it while nobody asks. Who asks takes what was counted, and the core begins anew.

mod durations;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::cohort::Key;
use serin_routing::response::Flags;
use serin_routing::time::Instant;

use crate::destination::{Destination, DestinationId};
use crate::metrics::{Metrics, Protocol, Reporter};
use crate::traffic::{has_failed, has_left, was_unreached};

pub use durations::Durations;

/// So many sessions of a version are kept apart between two questions, on each core. Those that come later are left out of the
/// sessions of both, whether they fail or not.
const SESSIONS: usize = 4_096;
/// So many pairs that differ are kept with their sessions between two questions, on each core.
const DIFFERENCES: usize = 4_096;
/// A core that is not asked for so long does not look closer any more.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// An answer is slower than another when it takes this many times as long, in quarters.
const SLOWER_QUARTERS: u32 = 5;
/// And longer by this much: below it the difference is that of two threads, not of two versions, and no user's.
const SLOWER_BY: Duration = Duration::from_millis(5);

/// One of two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The new version.
    Canary,
    /// The version that users have.
    Primary,
}

/// Which version a destination is, if it is one.
type Which = dyn Fn(&Destination) -> Option<Side> + Send + Sync;

/// What is looked at closer.
pub struct Focus {
    keys: Vec<Key>,
    which: Box<Which>,
}

impl Focus {
    /// Looks at the destinations that `which` knows. `keys` tell sessions apart; without any, nothing does.
    pub fn new(
        keys: Vec<Key>,
        which: impl Fn(&Destination) -> Option<Side> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { keys, which: Box::new(which) })
    }
}

impl fmt::Debug for Focus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Focus").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How a request, or a copy of one, ended at its sender.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Where it went.
    pub destination: DestinationId,
    /// Status of the answer; 0 without one.
    pub status: u16,
    /// What it spoke.
    pub protocol: Protocol,
    /// How it went.
    pub flags: Flags,
    /// From the head to the end of the answer.
    pub duration: Duration,
    /// Whether the first try failed and it was tried again. Copies never are.
    pub first_try_failed: bool,
}

impl Ending {
    fn has_failed(&self) -> bool {
        has_failed(Reporter::Source, self.status, self.protocol, self.flags)
    }

    /// Its time, if that says something of the server: of an answer that is no failure, nor a tunnel, nor was left.
    fn latency(&self) -> Option<Duration> {
        let is_answer = self.status >= 200 && !self.has_failed() && !has_left(self.flags);
        is_answer.then_some(self.duration)
    }
}

/// What was seen of both versions.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The new version.
    pub canary: Arm,
    /// The version that users have.
    pub primary: Arm,
    /// Copies of requests that the canary got.
    pub copies: Sum,
    /// Requests of the primary's with those copies.
    pub pairs: Pairs,
}

/// What was seen of one version.
#[derive(Clone, Debug, Default)]
pub struct Arm {
    /// Requests of users, after all tries. What never reached a pod counts for the version that it was meant for.
    pub all: Sum,
    /// Of these, the ones that belong to no session.
    pub alone: Sum,
    /// What each session did.
    pub sessions: HashMap<u64, Session>,
}

/// Requests in numbers.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// All of them.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Of these, the ones that no endpoint ever had.
    pub unreached: u64,
    /// How long answers took that were no failures.
    pub latency: Durations,
}

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Whether one of its requests failed.
    pub failed: bool,
    /// How long the first of its answers took that was no failure.
    pub latency: Option<Duration>,
}

/// Requests and their copies.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Pairs in all.
    pub all: u64,
    /// How pairs differ, each with the session it belongs to, if that is known.
    pub differences: Vec<(Option<u64>, Difference)>,
}

/// How the copy's answer differs from the one that the user got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Difference {
    /// Only the copy failed.
    CanaryFailed,
    /// Only the user's request failed, or its first try did.
    PrimaryFailed,
    /// The copy took longer by more than a quarter, and by more than 5 ms.
    CanarySlower,
    /// The user's request took longer by more than a quarter, and by more than 5 ms.
    PrimarySlower,
}

impl Sum {
    fn count(&mut self, ending: &Ending) {
        self.requests += 1;
        self.failures += u64::from(ending.has_failed());
        self.unreached += u64::from(was_unreached(ending.flags));
        if let Some(latency) = ending.latency() {
            self.latency.record(latency);
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.unreached += other.unreached;
        self.latency.add(&other.latency);
    }
}

impl Arm {
    fn count(&mut self, ending: &Ending, session: Option<u64>) {
        self.all.count(ending);
        let Some(id) = session else {
            self.alone.count(ending);
            return;
        };
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(&id) {
            return;
        }
        let session = self.sessions.entry(id).or_default();
        session.failed |= ending.has_failed();
        session.latency = session.latency.or(ending.latency());
    }

    fn add(&mut self, other: Self) {
        self.all.add(&other.all);
        self.alone.add(&other.alone);
        for (id, more) in other.sessions {
            let session = self.sessions.entry(id).or_default();
            session.failed |= more.failed;
            session.latency = session.latency.or(more.latency);
        }
    }
}

impl Sight {
    /// What all cores have seen.
    pub fn sum(cores: impl IntoIterator<Item = Self>) -> Self {
        cores.into_iter().fold(Self::default(), |mut sum, core| {
            sum.canary.add(core.canary);
            sum.primary.add(core.primary);
            sum.copies.add(&core.copies);
            sum.pairs.all += core.pairs.all;
            sum.pairs.differences.extend(core.pairs.differences);
            sum
        })
    }
}

impl Pairs {
    fn count(&mut self, primary: &Ending, copy: &Ending, session: Option<u64>) {
        // How the primary would have answered a client that left is not known.
        if has_left(primary.flags) {
            return;
        }
        self.all += 1;
        if let Some(difference) = Difference::between(primary, copy)
            && self.differences.len() < DIFFERENCES
        {
            self.differences.push((session, difference));
        }
    }
}

impl Difference {
    /// A copy has one try, so it is compared with the first try of the request.
    fn between(primary: &Ending, copy: &Ending) -> Option<Self> {
        let is_slower =
            |it: Duration, than: Duration| it * 4 > than * SLOWER_QUARTERS && it > than + SLOWER_BY;
        match (primary.first_try_failed || primary.has_failed(), copy.has_failed()) {
            (false, true) => Some(Self::CanaryFailed),
            (true, false) => Some(Self::PrimaryFailed),
            (true, true) => None,
            (false, false) => {
                let (primary, copy) = (primary.latency()?, copy.latency()?);
                if is_slower(copy, primary) {
                    Some(Self::CanarySlower)
                } else {
                    is_slower(primary, copy).then_some(Self::PrimarySlower)
                }
            }
        }
    }
}

/// Everything that is looked at closer on one core.
#[derive(Debug, Default)]
pub struct Lenses(Vec<Lens>);

#[derive(Debug)]
struct Lens {
    focus: Arc<Focus>,
    asked: Instant,
    /// Which version a destination is, by its number, as far as anybody has sent anything there.
    known: Vec<Option<Side>>,
    sight: Sight,
}

impl Lenses {
    /// Whether nobody looks closer at anything.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was seen since the last question; nothing the first time.
    pub fn take(&mut self, focus: &Arc<Focus>, now: Instant) -> Sight {
        if let Some(lens) = self.0.iter_mut().find(|it| Arc::ptr_eq(&it.focus, focus)) {
            lens.asked = now;
            return std::mem::take(&mut lens.sight);
        }
        let focus = Arc::clone(focus);
        self.0.push(Lens { focus, asked: now, known: Vec::new(), sight: Sight::default() });
        Sight::default()
    }

    /// Forgets what nobody asks about any more.
    pub fn tidy(&mut self, now: Instant) {
        self.0.retain(|lens| now.since(lens.asked) < FORGOTTEN);
    }

    /// A user's request is over. `session` finds the session by its keys.
    pub fn count(
        &mut self,
        metrics: &Metrics,
        ending: &Ending,
        session: impl Fn(&[Key]) -> Option<u64>,
    ) {
        for lens in &mut self.0 {
            let arm = match lens.side(metrics, ending.destination) {
                Some(Side::Canary) => &mut lens.sight.canary,
                Some(Side::Primary) => &mut lens.sight.primary,
                None => continue,
            };
            arm.count(ending, session(&lens.focus.keys));
        }
    }

    /// A copy of a request is over.
    pub fn count_copy(&mut self, metrics: &Metrics, ending: &Ending) {
        for lens in &mut self.0 {
            if lens.side(metrics, ending.destination) == Some(Side::Canary) {
                lens.sight.copies.count(ending);
            }
        }
    }

    /// A user's request and a copy of it are over.
    pub fn count_pair(
        &mut self,
        metrics: &Metrics,
        primary: &Ending,
        copy: &Ending,
        session: impl Fn(&[Key]) -> Option<u64>,
    ) {
        for lens in &mut self.0 {
            if lens.side(metrics, copy.destination) == Some(Side::Canary)
                && lens.side(metrics, primary.destination) == Some(Side::Primary)
            {
                lens.sight.pairs.count(primary, copy, session(&lens.focus.keys));
            }
        }
    }
}

impl Lens {
    fn side(&mut self, metrics: &Metrics, destination: DestinationId) -> Option<Side> {
        let number = u32::from(destination) as usize;
        for next in self.known.len()..=number {
            let next = u32::try_from(next).ok().map(DestinationId::from);
            let next = next.and_then(|next| metrics.destination_of(next));
            self.known.push(next.and_then(|next| (self.focus.which)(next)));
        }
        self.known.get(number).copied().flatten()
    }
}

#[cfg(test)]
mod tests;
