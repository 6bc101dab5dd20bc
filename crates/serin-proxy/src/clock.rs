//! The process's monotonic clock, in the form that decisions take.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serin_routing::time::Instant;

/// A clock with a start that all cores share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The time since the start.
    pub(crate) fn now(self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }
}

/// The time of day since 1970, for people to read.
pub(crate) fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
