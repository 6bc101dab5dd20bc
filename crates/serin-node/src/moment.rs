//! Points in time that know two clocks.
//!
//! The machine's clock is what people are told, and it may be put forward or back at any time. What has to wait a while, or may take so
//! long, goes by a clock that only ever goes on.

use std::cmp::Ordering;
use std::sync::OnceLock;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A point in time. Moments are compared by the steady clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// As the machine's clock showed it, or will if nobody puts it.
    shown: Timestamp,
    /// On the clock that only goes on.
    steady: SignedDuration,
}

impl Moment {
    /// This moment.
    pub(crate) fn now() -> Self {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        let steady = BEGIN.get_or_init(Instant::now).elapsed();
        Self { shown: Timestamp::now(), steady: steady.try_into().unwrap_or(SignedDuration::MAX) }
    }

    /// The moment for which only the machine's clock is known: as long ago, or ahead, as that clock says `now`.
    pub(crate) fn shown_as(shown: Timestamp, now: Self) -> Self {
        Self { shown, steady: now.steady.saturating_sub(now.shown.duration_since(shown)) }
    }

    /// What people are told.
    pub(crate) const fn shown(self) -> Timestamp {
        self.shown
    }

    /// The moment so much later.
    pub(crate) fn after(self, time: SignedDuration) -> Self {
        Self {
            shown: self.shown.checked_add(time).unwrap_or(Timestamp::MAX),
            steady: self.steady.saturating_add(time),
        }
    }

    /// How long it is since an earlier moment.
    pub(crate) const fn since(self, earlier: Self) -> SignedDuration {
        self.steady.saturating_sub(earlier.steady)
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.steady.cmp(&other.steady)
    }
}

#[cfg(test)]
impl Moment {
    /// A moment of a machine whose clock is wrong by `put`.
    pub(crate) fn at(seconds: i64, put: i64) -> Self {
        Self {
            shown: Timestamp::from_second(seconds + put).unwrap(),
            steady: SignedDuration::from_secs(seconds),
        }
    }
}
