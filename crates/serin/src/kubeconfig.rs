//! The cluster that a command speaks to: what a kubeconfig, or the pod that the command runs in, says.

use std::path::Path;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A client of the cluster of a file and one of its contexts.
pub(crate) async fn client(file: &Path, context: Option<&str>) -> anyhow::Result<Client> {
    client_of(of_file(file, context).await?)
}

/// A client as the arguments `--kubeconfig` and `--context` say: without a file $KUBECONFIG or ~/.kube/config, or, where there is
/// neither, the pod's own access; and the namespace of the context.
pub(crate) async fn chosen(
    file: Option<&Path>,
    context: Option<&str>,
) -> anyhow::Result<(Client, String)> {
    let config = match file {
        Some(file) => of_file(file, context).await?,
        None => match Config::from_kubeconfig(&options(context)).await {
            Ok(config) => config,
            Err(error) if context.is_none() => Config::incluster().map_err(|_| {
                // A file without a current context has no name to tell.
                let why = error.to_string();
                let why = why.trim_end_matches([':', ' ']);
                anyhow!(
                    "no cluster to ask: start one with `serin up`, or name a kubeconfig with --kubeconfig: {why}"
                )
            })?,
            Err(error) => return Err(error).context("cannot use the kubeconfig"),
        },
    };
    let namespace = config.default_namespace.clone();
    Ok((client_of(config)?, namespace))
}

async fn of_file(file: &Path, context: Option<&str>) -> anyhow::Result<Config> {
    let failed = || format!("cannot use the kubeconfig {}", file.display());
    let read = Kubeconfig::read_from(file).with_context(failed)?;
    Config::from_custom_kubeconfig(read, &options(context)).await.with_context(failed)
}

fn options(context: Option<&str>) -> KubeConfigOptions {
    KubeConfigOptions { context: context.map(ToOwned::to_owned), ..KubeConfigOptions::default() }
}

fn client_of(config: Config) -> anyhow::Result<Client> {
    Client::try_from(config).context("cannot use the kubeconfig's cluster")
}

/// What went wrong with a call, for whoever gave a command.
pub(crate) fn failure(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Service(why) => anyhow!(why)
            .context("the cluster cannot be reached; does it run, and is this its kubeconfig?"),
        kube::Error::Api(status) => anyhow!("the cluster refuses: {}", status.message),
        other => other.into(),
    }
}
