//! Time as decisions see it: the wall clock that the caller hands in, for deadlines and for quiet hours.

use std::fmt;
use std::ops::Add;

use serde::{Deserialize, Serialize};
use serin_api::values::Duration;

/// Milliseconds since 1970 in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub i64);

/// A length of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(pub i64);

impl Time {
    /// The time since `earlier`; none if that is later.
    pub const fn since(self, earlier: Self) -> Span {
        let span = self.0.saturating_sub(earlier.0);
        Span(if span < 0 { 0 } else { span })
    }

    /// The minute of the week at an offset of so many minutes from UTC; Monday 0:00 is 0.
    pub(crate) const fn minute_of_week(self, offset: i64) -> i64 {
        // 1970 began on a Thursday.
        (self.0.div_euclid(60_000) + offset + 3 * 1440).rem_euclid(7 * 1440)
    }
}

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    /// What is written as `1m30s`; `None` if it is no duration or negative.
    pub fn parse(text: &str) -> Option<Self> {
        let nanos = text.parse::<Duration>().ok()?.nanos();
        (nanos >= 0).then_some(Self(nanos / 1_000_000))
    }
}

impl Add<Span> for Time {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration::from_millis(self.0).fmt(f)
    }
}
