//! The samples as their clients see them: over sockets, in one process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests say by it what went wrong")]

#[path = "samples/bookinfo.rs"]
mod bookinfo;
#[path = "samples/misbehaviour.rs"]
mod misbehaviour;
#[path = "samples/others.rs"]
mod others;
#[path = "samples/running.rs"]
mod running;
