//! Twenty changes a second under load, with upstreams that come and go: no request fails, and nothing piles up.
//!
//! It lasts 20 s; `SERIN_SOAK_SECONDS` says otherwise. `cargo xtask bench soak` goes on for five minutes.

#![expect(clippy::expect_used, reason = "a test says what it needs")]

#[path = "soak/run.rs"]
mod run;

use std::time::Duration;

use run::{Report, run};

#[test]
fn changes_and_restarts_under_load_fail_no_request_and_leave_nothing_behind() {
    let seconds = std::env::var("SERIN_SOAK_SECONDS").ok().and_then(|it| it.parse().ok());
    let Report { answered, failures, early, late, changes, versions } =
        run(Duration::from_secs(seconds.unwrap_or(20)));
    assert!(failures.is_empty(), "{} of {answered} requests failed: {failures:#?}", failures.len());
    assert!(answered > 1000, "only {answered} requests were answered");
    assert!(changes > 10, "only {changes} changes were made");
    assert!(versions > 10, "of {changes} changes only {versions} were taken over");
    assert!(late.descriptors <= early.descriptors + 40, "descriptors grow: {early:?}, {late:?}");
    assert!(late.memory <= early.memory + (24 << 20), "memory grows: {early:?}, {late:?}");
}
