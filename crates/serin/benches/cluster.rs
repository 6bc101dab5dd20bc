//! `cargo xtask bench cluster`: how long a cluster on this machine takes for what its users wait for, and what it needs for it.
//!
//! The subject is the real binary. What runs in its pods is this program again (`part`), so that little of the time is theirs. A change of
//! a weight counts as in force where a request is answered by the other version, at proxies of pods and at the gateway; who asks
//! does so every few milliseconds, and tells through a socket in the file system. Load, pods and subject share the machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

#[path = "cluster/ask.rs"]
mod ask;
#[path = "cluster/change.rs"]
mod change;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/objects.rs"]
mod objects;
#[path = "cluster/part.rs"]
mod part;
#[path = "support/report.rs"]
mod report;
#[path = "cluster/up.rs"]
mod up;

use std::process::ExitCode;
use std::time::Instant;

use report::{ended, sample};
use up::Up;

/// How much is measured.
#[derive(Clone, Copy)]
struct Plan {
    starts: usize,
    /// Changes of a weight.
    changes: usize,
    /// VirtualServices beside the one that changes.
    rules: usize,
    /// Pods that are started at once.
    pods: usize,
    /// Seconds of load from pod to pod.
    seconds: u64,
}

const FULL: Plan = Plan { starts: 7, changes: 300, rules: 5_000, pods: 100, seconds: 10 };
const QUICK: Plan = Plan { starts: 3, changes: 60, rules: 5_000, pods: 50, seconds: 3 };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [part::MARK, words @ ..] = words.as_slice() {
        return ended(part::run(words));
    }
    let Some(plan) = report::asked(&words, FULL, QUICK) else { return ExitCode::SUCCESS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ended(runtime.map_err(anyhow::Error::from).and_then(|it| it.block_on(run(plan))))
}

async fn run(plan: Plan) -> anyhow::Result<()> {
    starts(plan)?;
    let up = Up::start(&[])?;
    let changes = change::with_few_rules(&up, plan).await?;
    load::from_pod_to_pod(&up, plan).await?;
    load::rolling_update(&up).await?;
    many_pods(&up, plan).await?;
    change::with_many_rules(&up, plan, changes).await
}

/// From the start of the process to what its users can use, and the memory for that.
fn starts(plan: Plan) -> anyhow::Result<()> {
    for _ in 0..plan.starts {
        let up = Up::start(&[])?;
        sample("start, empty", "ready", "ms", up.ready.as_secs_f64() * 1e3);
        sample("memory, empty", "resident", "MiB", up.memory()?);
    }
    for _ in 0..plan.starts {
        let up = Up::start(&["-f", "samples/bookinfo/workloads.yaml"])?;
        sample("start with bookinfo", "every pod ready", "ms", up.ready.as_secs_f64() * 1e3);
        sample("memory with bookinfo", "resident", "MiB", up.memory()?);
        sample("memory with bookinfo", "its pods", "MiB", up.memory_of_pods()?);
    }
    Ok(())
}

/// A Deployment's pods from its creation until all are ready.
async fn many_pods(up: &Up, plan: Plan) -> anyhow::Result<()> {
    let begun = Instant::now();
    up.create(&objects::deployment("many", "v1", plan.pods)).await?;
    up.available("many-v1", plan.pods).await?;
    let rate = plan.pods as f64 / begun.elapsed().as_secs_f64();
    sample(&format!("{} pods of a Deployment", plan.pods), "started", "1/s", rate);
    let begun = Instant::now();
    up.delete(&objects::deployment("many", "v1", plan.pods)).await?;
    up.pods_gone("app=many").await?;
    let rate = plan.pods as f64 / begun.elapsed().as_secs_f64();
    sample(&format!("{} pods of a Deployment", plan.pods), "ended", "1/s", rate);
    Ok(())
}
