//! `serin status`: whether a cluster of `serin up` runs, where, and how its pods are.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use crate::cli::StatusArgs;
use crate::kubeconfig;
use crate::terminal;
use crate::up::{self, Place, Run};

/// How often to look whether a cluster that starts is ready.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    #[serde(flatten)]
    run: Option<Run>,
    pods: Option<PodCount>,
}

#[derive(Debug, Serialize)]
struct PodCount {
    total: usize,
    ready: usize,
    /// What is not as it was asked for.
    missing: Vec<String>,
}

/// Tells, and with `--wait` waits.
pub(crate) fn run(args: &StatusArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.place)?;
    let until = Instant::now() + args.timeout.to_std();
    let mut run = place.running()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    while args.wait && !run.as_ref().is_some_and(|run| run.ready) && Instant::now() < until {
        // Another process starts; nothing but its file tells how far it is.
        runtime.block_on(tokio::time::sleep(AGAIN));
        run = place.running()?;
    }
    let mut is_well = run.as_ref().is_some_and(|run| run.ready);
    let pods = match &run {
        Some(run) if run.ready => {
            let limit = until.saturating_duration_since(Instant::now());
            let seen = runtime.block_on(pods(run, args.wait, limit));
            let seen = seen.with_context(|| format!("the API at {} does not answer", run.api))?;
            is_well &= !args.wait || seen.missing.is_empty();
            Some(seen)
        }
        _ => None,
    };
    let status = Status { running: run.is_some(), run, pods };
    terminal::print(args.output, &status, out, |out| text(&status, &place, out))?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn pods(run: &Run, wait: bool, limit: Duration) -> anyhow::Result<PodCount> {
    let client = kubeconfig::client(&run.kubeconfig, Some("serin")).await?;
    if wait {
        // What is missing is told below.
        let _ = up::wait_until_ready(&client, limit).await;
    }
    let seen = up::pods(&client).await?;
    Ok(PodCount { total: seen.total, ready: seen.ready, missing: seen.missing })
}

fn text(status: &Status, place: &Place, out: &mut dyn Write) -> anyhow::Result<()> {
    let argument = place.argument();
    let Some(run) = &status.run else {
        writeln!(out, "no cluster runs in {}", place.folder.display())?;
        writeln!(out, "start one: serin up{argument}")?;
        return Ok(());
    };
    let state = if run.ready { "runs" } else { "starts" };
    writeln!(out, "the cluster in {} {state} (process {})", place.folder.display(), run.pid)?;
    if !run.api.is_empty() {
        writeln!(out, "  API         {}", run.api)?;
        writeln!(out, "  kubeconfig  {} (context serin)", run.kubeconfig.display())?;
    }
    for line in &run.gateway {
        writeln!(out, "  gateway     {line}")?;
    }
    if let Some(link) = &run.dashboard {
        writeln!(out, "  dashboard   {link}")?;
    }
    if let Some(pods) = &status.pods {
        writeln!(out, "  pods        {} of {} ready", pods.ready, pods.total)?;
        for missing in &pods.missing {
            writeln!(out, "              {missing}")?;
        }
    }
    Ok(())
}
