//! Releases: what a canary does next, and whether it is any worse than what it replaces.
//!
//! The crate decides and does nothing: it takes what was observed, the time and, where something must be unpredictable,
//! a number that the caller drew. It answers with actions that are safe to carry out twice.

pub mod random;
pub mod statistics;
