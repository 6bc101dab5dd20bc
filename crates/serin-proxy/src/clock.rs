//! The process's monotonic clock, in the form that decisions take.
//!
//! A core reads it once for each turn of its event loop: what happens between two waits happens at one time.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serin_routing::time::Instant;

/// A turn that lasts longer than so many questions for the time is looked at anew: a core that is never idle does not wait.
const ASKED: u32 = 64;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Unknown) };
}

/// What a core knows of the time.
#[derive(Clone, Copy)]
enum Turn {
    /// The thread is none that tells when its turns begin.
    Unknown,
    /// Nobody has asked yet.
    Begun,
    /// The time, and how often it may be given still.
    At(Duration, u32),
}

/// Says that this thread's event loop has waited: time has gone by.
pub(crate) fn begin_turn() {
    TURN.set(Turn::Begun);
}

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
        let elapsed = match TURN.get() {
            Turn::At(elapsed, left @ 1..) => {
                TURN.set(Turn::At(elapsed, left - 1));
                elapsed
            }
            Turn::Begun | Turn::At(..) => {
                let elapsed = self.start.elapsed();
                TURN.set(Turn::At(elapsed, ASKED));
                elapsed
            }
            Turn::Unknown => self.start.elapsed(),
        };
        Instant::ZERO + elapsed
    }
}

/// The time of day since 1970, for people to read.
pub(crate) fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
