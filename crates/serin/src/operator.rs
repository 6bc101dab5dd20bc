//! `serin operator`: the controller of releases for a cluster that is not this program's own, with its dashboard.

mod counted;
mod dashboard;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::BoxFuture;
use serin_operator::{Operator, Prometheus, PrometheusTraffic, Settings, Shared};
use tokio::sync::watch;

use crate::cli::OperatorArgs;
use crate::dashboard::serving;
use crate::gateway::log;
use crate::kubeconfig;
use crate::metrics::{self, Hosts, Source};
use crate::up::{Signals, trusted_authorities};

/// Works until a signal ends it.
pub(crate) fn run(args: &OperatorArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    log::start(&args.log_level, args.view.color)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work(args, out))?;
    Ok(ExitCode::SUCCESS)
}

async fn work(args: &OperatorArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let (client, _) =
        kubeconfig::chosen(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let version = client.apiserver_version().await.context("the cluster does not answer")?;
    let settings = settings(args);
    let prometheus = Prometheus::new(&args.metrics_server, &settings);
    let operator = Operator::new(client.clone(), settings);
    let listener = metrics::listen(args.listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let is_over = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone means the same.
        let _ = stopped.wait_for(|it| *it).await;
    };
    let source = Arc::new(Releases(operator.shared()));
    tokio::spawn(metrics::serve(listener, source, hosts(address), is_over(stopped.clone())));
    let working = tokio::spawn(async move { operator.run(is_over(stopped)).await });
    let served = match dashboard::start(args, &client, prometheus).await {
        // Whoever asked for a place of it is to know; otherwise releases matter more.
        Err(error) if args.dashboard_address.is_some() => return Err(error),
        Err(error) => {
            tracing::warn!("there is no dashboard: {error:#}");
            None
        }
        Ok(served) => served,
    };
    let link = served.as_ref().map(|it| match args.dashboard_secret {
        // Logs are read by more people than the Secret.
        Some(_) => format!(" dashboard {}", serving::url(it)),
        None => format!(" dashboard {}", serving::link(it)),
    });
    let (version, link) = (version.git_version, link.unwrap_or_default());
    writeln!(out, "ready for Kubernetes {version} metrics http://{address}/metrics{link}")?;
    out.flush()?;
    signals.next().await;
    stop.send_replace(true);
    working.await.context("the controller ended in disorder")
}

fn settings(args: &OperatorArgs) -> Settings {
    let mut settings = Settings {
        metrics_server: Some(args.metrics_server.clone()),
        event_webhook: args.event_webhook.clone(),
        cluster_name: args.cluster_name.clone(),
        include_label_prefixes: args.include_label_prefix.clone(),
        lease: Some(args.lease.clone()),
        leaves_flagger: args.leave_flagger,
        trust: trusted_authorities(),
        ..Settings::default()
    };
    settings.traffic = Arc::new(PrometheusTraffic::new(&args.metrics_server, &settings));
    settings
}

/// On this machine's own address a browser might be led here by a name.
const fn hosts(address: SocketAddr) -> Hosts {
    if address.ip().is_loopback() { Hosts::Addresses } else { Hosts::Any }
}

struct Releases(Arc<Shared>);

impl Source for Releases {
    fn text(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.0.metrics() })
    }
}
