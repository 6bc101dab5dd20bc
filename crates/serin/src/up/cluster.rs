//! The cluster: its parts, in the order in which they start and end.

use std::io::Write;

use anyhow::Context;
use serin_apiserver::{ApiServer, Listener, Settings, User, remove_kubeconfig, write_kubeconfig};
use tokio::signal::unix::{SignalKind, signal};

use super::place::{Hold, Place, Run};
use super::{apply, images, kubeconfig};
use crate::cli::UpArgs;

/// Runs until a signal comes.
pub(super) async fn run(
    args: &UpArgs,
    place: &Place,
    mut hold: Hold,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let _images = images::mappings(args)?;
    let settings = Settings {
        data_dir: Some(place.join("store")),
        definitions: serin_api::crd::all(),
        ..Settings::default()
    };
    let server = ApiServer::start(settings).await?;
    let listener = Listener::open(server.clone(), args.listen).await?;
    let access = server.access(listener.address());
    let kubeconfig = kubeconfig(args)?;
    let left = hold.left().and_then(|run| run.context_before);
    let context_before = write_kubeconfig(&kubeconfig, &access)?.or(left);
    let client = kube::Client::new(server.client(User::administrator()), "default");
    let serving = tokio::spawn(listener.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }));
    let mut run = Run {
        pid: std::process::id(),
        api: access.url.clone(),
        kubeconfig: kubeconfig.clone(),
        context_before,
        ..Run::default()
    };
    hold.tell(&run)?;
    if !args.files.is_empty() {
        apply::apply(&client, &args.files).await?;
        apply::wait_until_ready(&client, args.timeout.to_std()).await?;
    }
    run.ready = true;
    hold.tell(&run)?;
    writeln!(out, "ready {} kubeconfig {}", access.url, kubeconfig.display())?;
    out.flush()?;
    serving.await?;
    let before = run.context_before.as_deref();
    if let Err(error) = remove_kubeconfig(&kubeconfig, &access, before) {
        tracing::warn!(%error, "the cluster's context stays in the kubeconfig");
    }
    Ok(())
}
