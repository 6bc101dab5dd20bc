//! Whether a canary is worse than the primary: evidence that may be looked at as often as one likes.
//!
//! Everything here is an *e-process*: a number that begins at 1, that is expected not to grow while the two versions are
//! alike, and that grows while the canary is worse. By Ville's inequality it ever reaches 1/α with probability α at most,
//! however often it is looked at and whatever the looks lead to. Evidence is kept as its logarithm.
//!
//! Units are requests or sessions, counted in short intervals; who counts them is not known here. [`sequences`] holds what
//! the same theory gives for display: intervals that hold at all times.

mod error_rate;
mod guard;
mod latency;
mod paired;
pub mod sequences;
mod sessions;
mod special;
#[cfg(test)]
mod tests;
mod verdict;

pub use error_rate::{Counts, RelativeRisk};
pub use guard::Ceiling;
pub use latency::{Histogram, SlowEvents};
pub use paired::Paired;
pub use sessions::{Ledger, Session};
pub use verdict::{
    Arm, ArmEvidence, Evidence, Gate, GateEvidence, Interval, MirrorInterval, Policy, Sequential,
    TestEvidence, TestName, Unit, Verdict,
};
