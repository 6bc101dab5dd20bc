//! Sessions as units: a user who reloads a broken page ten times is one bad experience, not ten.
//!
//! Errors of one session depend on each other, and a test that counts each of them sees evidence where there is none. The
//! ledger counts, per interval, the sessions that were active and had not failed before, and of these the ones that failed:
//! the sessions at risk, as in a log-rank test. A session's latency counts once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error_rate::Counts;
use super::latency::Histogram;

/// So many sessions are remembered. When more come, all are forgotten and counting begins anew.
const CAPACITY: usize = 100_000;
/// So many of them apart from the others, so that a copy of the ledger costs little.
const RECENT: usize = 512;
/// So many of a version's sessions are stored with the state of a release, which must not be large. Others that come again
/// after a restart count as at risk once more, as they did before; their latency counts twice.
const STORED: usize = 4_000;

/// What one session did with one version in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// A hash of what tells sessions apart: a cookie, a header, the client's address.
    pub id: u64,
    /// Whether one of its requests failed.
    pub failed: bool,
    /// The latency of its first request that did not fail, in milliseconds.
    pub latency: Option<f64>,
}

/// The sessions that were seen with one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Sessions that were seen before, sorted. Shared by copies of the ledger.
    #[serde(serialize_with = "store")]
    old: Arc<Vec<Seen>>,
    /// Sessions since then, sorted; they go before those in `old`.
    recent: Vec<Seen>,
}

/// The hash of a session but for its two lowest bits, which say whether it failed and whether its latency was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(u64);

impl Seen {
    const FAILED: u64 = 1;
    const TIMED: u64 = 2;

    const fn id(self) -> u64 {
        self.0 & !(Self::FAILED | Self::TIMED)
    }

    const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}

/// Stores what must not be forgotten: which sessions have failed. Of a short list everything is stored.
fn store<S: serde::Serializer>(old: &Arc<Vec<Seen>>, serializer: S) -> Result<S::Ok, S::Error> {
    if old.len() <= STORED {
        return old.serialize(serializer);
    }
    let failed = old.iter().filter(|seen| seen.has(Seen::FAILED));
    serializer.collect_seq(failed.take(STORED))
}

impl Ledger {
    /// Counts the sessions of an interval.
    pub fn count(&mut self, sessions: &[Session]) -> (Counts, Histogram) {
        let mut counts = Counts::default();
        let mut latency = Histogram::default();
        for session in sessions {
            // Spread over all bits, of which two are given up.
            let id = Seen(session.id.wrapping_mul(0x9E37_79B9_7F4A_7C15)).id();
            let mut seen = self.find(id).unwrap_or(Seen(id));
            if !seen.has(Seen::FAILED) {
                counts.add(Counts::new(1, u64::from(session.failed)));
                seen.0 |= u64::from(session.failed) * Seen::FAILED;
            }
            if let Some(milliseconds) = session.latency.filter(|_| !seen.has(Seen::TIMED)) {
                latency.record(milliseconds);
                seen.0 |= Seen::TIMED;
            }
            self.remember(seen);
        }
        (counts, latency)
    }

    fn find(&self, id: u64) -> Option<Seen> {
        let in_list = |list: &[Seen]| {
            let found = list.binary_search_by_key(&id, |seen| seen.id()).ok()?;
            list.get(found).copied()
        };
        in_list(&self.recent).or_else(|| in_list(&self.old))
    }

    fn remember(&mut self, seen: Seen) {
        match self.recent.binary_search_by_key(&seen.id(), |it| it.id()) {
            Ok(at) => self.recent[at] = seen,
            Err(at) => self.recent.insert(at, seen),
        }
        if self.recent.len() >= RECENT {
            let recent = std::mem::take(&mut self.recent);
            let mut all: Vec<Seen> = recent.iter().chain(self.old.iter()).copied().collect();
            // Stable: of two entries of a session the recent one comes first and is kept.
            all.sort_by_key(|it| it.id());
            all.dedup_by_key(|it| it.id());
            self.old = Arc::new(if all.len() > CAPACITY { recent } else { all });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_fails_once_and_is_timed_once() {
        let mut ledger = Ledger::default();
        let session = |id, failed| Session { id, failed, latency: (!failed).then_some(10.0) };
        let of =
            |(counts, latency): (Counts, Histogram)| (counts.total, counts.bad, latency.total());
        assert_eq!(of(ledger.count(&[session(1, false), session(2, true)])), (2, 1, 1));
        assert_eq!(of(ledger.count(&[session(1, true), session(2, true)])), (1, 1, 0));
        assert_eq!(of(ledger.count(&[session(1, true), session(2, false)])), (0, 0, 1));
    }

    #[test]
    fn failures_are_stored_and_little_else_when_there_is_much() {
        let mut ledger = Ledger::default();
        for id in 0..10_000 {
            ledger.count(&[Session { id, failed: id % 100 == 7, latency: Some(1.0) }]);
        }
        let text = serde_json::to_string(&ledger).unwrap();
        assert!(text.len() < 20_000, "{}", text.len());
        let mut restored: Ledger = serde_json::from_str(&text).unwrap();
        let (counts, _) = restored.count(&[Session { id: 107, failed: true, latency: None }]);
        assert_eq!(counts.total, 0, "it has failed before");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut ledger = Ledger::default();
        for id in 0..(CAPACITY as u64 + 600) {
            ledger.count(&[Session { id, failed: true, latency: None }]);
        }
        assert!(ledger.old.len() + ledger.recent.len() < CAPACITY + RECENT);
        assert!(ledger.old.len() < 2 * RECENT, "all were forgotten: {}", ledger.old.len());
    }
}
