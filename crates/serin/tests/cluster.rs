//! `serin up` as people use it: the real binary with real pods, spoken to by kubectl and curl.
//!
//! Needs the right to make namespaces; without it every test is skipped and says so.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests that fails fails its test"
)]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

#[path = "cluster/browser.rs"]
mod browser;
#[path = "cluster/demo.rs"]
mod demo;
#[path = "cluster/documents.rs"]
mod documents;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/installed.rs"]
mod installed;
#[path = "cluster/interrupted.rs"]
mod interrupted;
#[path = "cluster/life.rs"]
mod life;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/machine.rs"]
mod machine;
#[path = "cluster/mesh.rs"]
mod mesh;
#[path = "cluster/policies.rs"]
mod policies;
#[path = "cluster/receiver.rs"]
mod receiver;
#[path = "cluster/releases.rs"]
mod releases;
#[path = "cluster/scraped.rs"]
mod scraped;
#[path = "cluster/sessions.rs"]
mod sessions;
#[path = "cluster/shifts.rs"]
mod shifts;
#[path = "cluster/tokens.rs"]
mod tokens;
#[path = "cluster/units.rs"]
mod units;
