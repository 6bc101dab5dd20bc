//! `cargo xtask bench proxy`: what `serin gateway` costs beside nginx, HAProxy and Envoy doing the same.
//!
//! Every subject has one route table: requests with a certain header to one version, of the others 90 of 100 to one and 10 to
//! the other version; connections to the backends are kept; no access log. The subject runs alone on one core with one
//! thread of work, load and backends on another. All subjects are up at the same time and are measured in turn, round by round.
//! Processor time is the subject's own, of all its threads, as the scheduler counts it. How fast a core is changes from second to second
//! where it is shared, so that there are several rounds, and Serin is compared with each peer within a round.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

#[path = "proxy/backend.rs"]
mod backend;
#[path = "proxy/cases.rs"]
mod cases;
#[path = "proxy/idle.rs"]
mod idle;
#[path = "proxy/rate.rs"]
mod rate;
#[path = "proxy/subjects.rs"]
mod subjects;
#[path = "proxy/usage.rs"]
mod usage;

use std::process::ExitCode;

/// How much is measured.
struct Plan {
    rounds: usize,
    /// Seconds of load for one sample.
    seconds: u32,
    /// Idle connections whose memory is looked at.
    idle: &'static [usize],
}

const FULL: Plan = Plan { rounds: 7, seconds: 3, idle: &[1_000, 10_000] };
const QUICK: Plan = Plan { rounds: 1, seconds: 1, idle: &[1_000] };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["backend"] => backend::run(),
        ["rate", rate, seconds, addresses @ ..] => rate::run(rate, seconds, addresses),
        ["idle", address, count, tls] => idle::run(address, count, tls),
        ["--bench"] => cases::run(&FULL),
        ["--quick", "--bench"] | ["--bench", "--quick"] => cases::run(&QUICK),
        // As a test, all there is to find out is that it builds.
        [] => Ok(()),
        other => Err(anyhow::anyhow!("unknown arguments: {other:?}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
