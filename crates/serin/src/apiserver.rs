//! `serin apiserver`: the embedded Kubernetes API on a socket, with a kubeconfig for whoever started it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use serin_apiserver::{ApiServer, Listener, Settings, write_kubeconfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ApiServerArgs;
use crate::gateway::log;
use crate::memory;

/// Serves until a signal ends it.
pub(crate) fn run(args: &ApiServerArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    log::start(&args.log_level, args.view.color)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(serve(args, out))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &ApiServerArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    // The first random number takes a while, and so do the definitions.
    let definitions = std::thread::spawn(serin_api::crd::all);
    serin_apiserver::warm_up();
    let definitions =
        definitions.join().map_err(|_| anyhow::anyhow!("the definitions cannot be made"))?;
    let settings = Settings {
        data_dir: args.data_dir.clone(),
        definitions,
        audit_log: args.audit_log.clone(),
        ..Settings::default()
    };
    let server = ApiServer::start(settings).await?;
    let listener = Listener::open(server.clone(), args.listen).await?;
    let access = server.access(listener.address());
    write_kubeconfig(&args.kubeconfig, &access)?;
    writeln!(out, "ready {} kubeconfig {}", access.url, args.kubeconfig.display())?;
    out.flush()?;
    memory::give_back();
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    listener.serve(stop).await;
    Ok(())
}
