//! Sessions as units: a user who reloads a broken page ten times is one bad experience, not ten.
//!
//! Errors of one session depend on each other, and a test that counts each of them sees evidence where there is none. The
//! ledger counts, per interval, the sessions that were active and had not failed before, and of these the ones that failed:
//! the sessions at risk, as in a log-rank test. A session's latency counts once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error_rate::Counts;
use super::latency::Histogram;

/// So many sessions are remembered. When more come, all are forgotten and counting begins anew.
const CAPACITY: usize = 100_000;

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
    /// By hash: whether the session failed, whether its latency was counted.
    seen: BTreeMap<u64, Seen>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    failed: bool,
    timed: bool,
}

impl Ledger {
    /// Counts the sessions of an interval.
    pub fn count(&mut self, sessions: &[Session]) -> (Counts, Histogram) {
        let mut counts = Counts::default();
        let mut latency = Histogram::default();
        for session in sessions {
            if self.seen.len() >= CAPACITY && !self.seen.contains_key(&session.id) {
                self.seen.clear();
            }
            let seen = self.seen.entry(session.id).or_default();
            if !seen.failed {
                counts.add(Counts::new(1, u64::from(session.failed)));
                seen.failed = session.failed;
            }
            if let Some(milliseconds) = session.latency.filter(|_| !seen.timed) {
                latency.record(milliseconds);
                seen.timed = true;
            }
        }
        (counts, latency)
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
    fn the_memory_is_bounded() {
        let mut ledger = Ledger::default();
        for id in 0..(CAPACITY as u64 + 10) {
            ledger.count(&[Session { id, failed: true, latency: None }]);
        }
        assert_eq!(ledger.seen.len(), 10);
    }
}
