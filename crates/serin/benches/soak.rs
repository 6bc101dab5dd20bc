//! `cargo xtask bench soak`: a gateway for five minutes under load, with twenty changes of its configuration a second and upstreams that
//! come and go. It fails if a request does that no rule explains.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]
#![expect(clippy::expect_used, reason = "it says what it needs")]

#[path = "../tests/soak/run.rs"]
mod run;

use std::process::ExitCode;
use std::time::Duration;

const FULL: Duration = Duration::from_secs(300);
const QUICK: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let time = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bench"] => FULL,
        ["--quick", "--bench"] | ["--bench", "--quick"] => QUICK,
        // As a test, all there is to find out is that it builds.
        [] => return ExitCode::SUCCESS,
        other => {
            eprintln!("error: unknown arguments: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let run::Report { answered, failures, early, late, changes, versions } = run::run(time);
    print("requests", "answered", "", answered as f64);
    print("requests", "failed", "", failures.len() as f64);
    print("configuration", "changes", "", changes as f64);
    print("configuration", "versions in force", "", versions as f64);
    for (when, usage) in [("after a third", early), ("in the end", late)] {
        print(when, "memory", "MiB", usage.memory as f64 / f64::from(1 << 20));
        print(when, "descriptors", "", usage.descriptors as f64);
    }
    for failure in &failures {
        eprintln!("{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(case: &str, metric: &str, unit: &str, value: f64) {
    let sample = serde_json::json!({
        "case": case, "subject": "serin", "metric": metric, "unit": unit, "value": value,
    });
    println!("{sample}");
}
