//! `serin sample`: one of the small services, set up by variables and options, until a signal ends it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use anyhow::Context;
use serin_samples::{Ended, Environment, Sample};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::SampleArgs;

/// The variable that Kubernetes sets in every pod.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Serves until a signal ends it, or it crashes on request.
pub(crate) fn run(args: &SampleArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    // Pods are many and their services small: one thread is enough.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(serve(args, out))?;
    // A crash waits for nothing, not even for a name that is being looked up.
    runtime.shutdown_background();
    Ok(match ended {
        Ended::Stopped => ExitCode::SUCCESS,
        Ended::Crashed => ExitCode::FAILURE,
    })
}

async fn serve(args: &SampleArgs, out: &mut dyn Write) -> anyhow::Result<Ended> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    if args.name == "sleep" {
        stop.await;
        return Ok(Ended::Stopped);
    }
    let environment = environment(args);
    let sample = Sample::new(&args.name, &environment)?;
    let address = (address(args), args.port.unwrap_or(sample.default_port()));
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| {
        format!("cannot listen at {}:{}: give another --port", address.0, address.1)
    })?;
    writeln!(out, "ready {} at http://{}", args.name, listener.local_addr()?)?;
    out.flush()?;
    Ok(serin_samples::serve(sample, &environment, listener, stop).await?)
}

/// The variables of the process, and in their places what the options say.
fn environment(args: &SampleArgs) -> Environment {
    let wrong = &args.misbehaviour;
    let options = [
        ("VERSION", args.version.clone()),
        ("UPSTREAM", args.upstream.clone()),
        ("NAME", args.app.clone()),
        ("QUIET", args.quiet.then(|| "true".to_owned())),
        ("ERRORS", wrong.errors.clone()),
        ("STATUS", wrong.status.clone()),
        ("DELAY", wrong.delay.clone()),
        ("JITTER", wrong.jitter.clone()),
        ("BURN", wrong.burn.clone()),
        ("CRASH_AFTER", wrong.crash_after.clone()),
        ("LEAK", wrong.leak.clone()),
        ("READY", wrong.not_ready.then(|| "false".to_owned())),
    ];
    let mut environment = Environment::of_process();
    for (name, value) in options {
        if let Some(value) = value {
            environment.set(format!("SERIN_SAMPLE_{name}"), value);
        }
    }
    environment
}

/// A pod is reached from outside its own loopback; on somebody's machine nobody else needs to reach a sample.
fn address(args: &SampleArgs) -> IpAddr {
    let is_pod = std::env::var_os(IN_A_POD).is_some() || std::process::id() == 1;
    let usual = if is_pod { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    args.address.unwrap_or(usual.into())
}
