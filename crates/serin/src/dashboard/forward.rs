//! The way from this machine to the dashboard of an installed controller: through the API, as `kubectl port-forward` goes.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{SECRET, TOKEN, open};
use crate::cli::DashboardArgs;
use crate::install::NAME;
use crate::kubeconfig;
use crate::up::Signals;

/// Connections of browsers at the same time; those beyond wait.
const CONNECTIONS: usize = 64;

/// Prints the link and brings connections there until a signal comes.
pub(super) async fn run(args: &DashboardArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let (client, _) =
        kubeconfig::chosen(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let namespace = &args.namespace;
    let token = token(&client, namespace).await?;
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    ready_pod(&pods, namespace).await?;
    let listener = listen(args.port).await?;
    let link = format!("http://{}/?token={token}", listener.local_addr()?);
    writeln!(out, "{link}")?;
    out.flush()?;
    if args.open {
        open(&link)?;
    }
    note("The link works until this ends: Ctrl-C.");
    tokio::select! {
        _ = signals.next() => Ok(()),
        never = serve(&listener, &pods, namespace) => never,
    }
}

/// Says something to whoever looks on; nothing depends on it.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

async fn token(client: &kube::Client, namespace: &str) -> anyhow::Result<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(SECRET).await;
    let secret = secret.with_context(|| format!("cannot read the Secret {namespace}/{SECRET}"))?;
    let Some(secret) = secret else {
        bail!(
            "there is no Secret {namespace}/{SECRET}: no controller with a dashboard is installed there; \
             `serin install --image IMAGE | kubectl apply --server-side -f -` installs one"
        );
    };
    let token = secret.data.and_then(|mut data| data.remove(TOKEN));
    let token = token.and_then(|it| String::from_utf8(it.0).ok());
    token.with_context(|| format!("the Secret {namespace}/{SECRET} has no entry `{TOKEN}`"))
}

async fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = port {
        let failed = || format!("cannot listen on {}", at(port));
        return TcpListener::bind(at(port)).await.with_context(failed);
    }
    match TcpListener::bind(at(serin_dashboard::PORT)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(at(0)).await.context("no port is free"),
    }
}

/// The name of a pod that is ready.
async fn ready_pod(pods: &Api<Pod>, namespace: &str) -> anyhow::Result<String> {
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/name={NAME}"));
    let listed =
        pods.list(&ours).await.with_context(|| format!("cannot see the pods of {namespace}"))?;
    let ready = listed.items.into_iter().find(|pod| {
        let conditions = pod.status.iter().flat_map(|it| it.conditions.iter().flatten());
        let mut ready = conditions.filter(|it| it.type_ == "Ready");
        pod.metadata.deletion_timestamp.is_none() && ready.any(|it| it.status == "True")
    });
    let name = ready.and_then(|pod| pod.metadata.name);
    name.with_context(|| {
        format!("no pod of {NAME} is ready; see `kubectl -n {namespace} get pods -l app.kubernetes.io/name={NAME}`")
    })
}

async fn serve(listener: &TcpListener, pods: &Api<Pod>, namespace: &str) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = Arc::clone(&places).acquire_owned().await?;
        let (stream, _) = listener.accept().await.context("cannot take connections any more")?;
        let (pods, namespace) = (pods.clone(), namespace.to_owned());
        connections.spawn(async move {
            // A pod that goes is followed by another: each connection finds its own.
            if let Err(error) = bring(stream, &pods, &namespace).await {
                note(&format!("warning: {error:#}"));
            }
            drop(place);
        });
    }
}

async fn bring(mut stream: TcpStream, pods: &Api<Pod>, namespace: &str) -> anyhow::Result<()> {
    let pod = ready_pod(pods, namespace).await?;
    let port = serin_dashboard::PORT;
    let failed = || format!("cannot reach port {port} of the pod {pod}");
    let mut forwarder = pods.portforward(&pod, &[port]).await.with_context(failed)?;
    let mut inside = forwarder.take_stream(port).with_context(failed)?;
    // Either side may leave at any time.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut inside).await;
    Ok(())
}
