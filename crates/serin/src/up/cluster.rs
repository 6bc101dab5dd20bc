//! The cluster: its parts, in the order in which they start and end.
//!
//! All parts meet in the API. What passes between them otherwise: the control plane hands models to the proxies ([`Fleet`]), the proxies
//! make sockets in the networks of pods ([`PodNetworks`]), the node waits for the proxies before it stops a pod, the API passes on
//! what only the node can answer ([`Kubelet`]), and releases ask what the proxies have counted ([`Counted`]).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serin_apiserver::{ApiServer, Listener, User, remove_kubeconfig, write_kubeconfig};
use serin_control::Control;
use serin_node::{Kubelet, Node};
use serin_operator::Operator;
use serin_proxy::{Observer, Proxy};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::admission::Judgement;
use super::fleet::Fleet;
use super::former::Former;
use super::inside::{self, Inside};
use super::metrics::Metrics;
use super::networks::PodNetworks;
use super::place::{Hold, Place, Run};
use super::told::Told;
use super::traffic::Counted;
use super::{apply, dashboard, images, kubeconfig, privileges};
use crate::cli::UpArgs;
use crate::keys::Fetcher;
use crate::memory;

/// The name of the one node.
const NODE: &str = "serin";

/// The group of `kubectl top`.
const METRICS: &str = "metrics.k8s.io/v1beta1";

/// How long a pod that is to be stopped waits at most until nobody sends to it any more.
const DRAIN: Duration = Duration::from_secs(5);

/// How long a pod goes on at least: clients that are no proxies may have its address from DNS.
const LINGER: Duration = Duration::from_secs(1);

/// Runs until a signal comes.
pub(super) async fn run(
    args: &UpArgs,
    place: &Place,
    mut hold: Hold,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let objects = apply::read(&args.files)?;
    let kubeconfig = kubeconfig(args)?;
    check_address(args)?;
    let left = hold.left().unwrap_or_default();
    // Who is to be ended is known before anything can take long.
    hold.tell(&Run { pid: std::process::id(), ready: false, ..left.clone() })?;
    let api = Api::start(args, place).await?;
    let access = api.server.access(api.listener.address());
    let context_before = write_kubeconfig(&kubeconfig, &access)?.or(left.context_before);
    let mut run = Run {
        pid: std::process::id(),
        api: access.url.clone(),
        kubeconfig: kubeconfig.clone(),
        gateway: vec![gateway_url(args)],
        context_before,
        ..Run::default()
    };
    hold.tell(&run)?;
    warn_of_taken_ports(args);
    let (stop, stopping) = watch::channel(false);
    let cluster = Cluster::start(args, place, &api, &stopping).await?;
    run.dashboard = cluster.dashboard.as_ref().map(crate::dashboard::serving::link);
    hold.tell(&run)?;
    let serving = tokio::spawn(api.listener.serve(stopped(stopping.clone())));
    let works = async {
        cluster.let_in().await?;
        if !args.files.is_empty() {
            apply::apply_objects(&cluster.client, objects).await?;
            apply::wait_until_ready(&cluster.client, args.timeout.to_std()).await?;
        }
        anyhow::Ok(())
    };
    let began = tokio::select! {
        began = works => Some(began),
        () = signals.next() => None,
    };
    if let Some(Ok(())) = began {
        run.ready = true;
        hold.tell(&run)?;
        let (url, file) = (&access.url, kubeconfig.display());
        let dashboard = run.dashboard.as_ref().map(|it| format!(" dashboard {it}"));
        let (gateway, dashboard) = (gateway_url(args), dashboard.unwrap_or_default());
        writeln!(out, "ready API {url} gateway {gateway} kubeconfig {file}{dashboard}")?;
        out.flush()?;
        memory::give_back();
        signals.next().await;
    }
    cluster.node.stop().await;
    stop.send_replace(true);
    serving.await?;
    let before = run.context_before.as_deref();
    if let Err(error) = remove_kubeconfig(&kubeconfig, &access, before) {
        tracing::warn!(%error, "the cluster's context stays in the kubeconfig");
    }
    began.unwrap_or(Ok(()))
}

/// The API, and the node's services that it asks.
struct Api {
    server: ApiServer,
    listener: Listener,
    kubelet: Kubelet,
}

impl Api {
    async fn start(args: &UpArgs, place: &Place) -> anyhow::Result<Self> {
        let kubelet = Kubelet::new();
        let server = ApiServer::start(serin_apiserver::Settings {
            data_dir: Some(place.join("store")),
            definitions: serin_api::crd::all(),
            kubelet: Some(kubelet.service()),
            aggregated: BTreeMap::from([(METRICS.to_owned(), kubelet.metrics())]),
            admission: vec![Arc::new(Judgement)],
            ..serin_apiserver::Settings::default()
        })
        .await?;
        let listener = Listener::open(server.clone(), args.listen).await?;
        Ok(Self { server, listener, kubelet })
    }
}

/// What works on the API.
struct Cluster {
    client: kube::Client,
    node: Node,
    dashboard: Option<serin_dashboard::Dashboard>,
    control: Arc<Control>,
    /// What ran when the run before was killed.
    former: Former,
}

impl Cluster {
    async fn start(
        args: &UpArgs,
        place: &Place,
        api: &Api,
        stopping: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let client = kube::Client::new(api.server.client(User::administrator()), "default");
        let networks = Arc::new(PodNetworks::new(privileges::are_of_the_host())?);
        let settings = proxy_settings(args, &networks);
        let keys = settings.keys.clone();
        let proxy = Proxy::start(settings).context("cannot start the proxy's threads")?;
        let inside = Arc::new(Inside::new(client.clone(), Arc::clone(&networks) as _));
        let told = Told::new(place.join("access-logs"), inside.for_threads());
        let keys = Fetcher::new(keys, Arc::clone(&inside) as _);
        let fleet = Fleet::new(proxy, Arc::clone(&networks), ports(args), (told, keys));
        let former = Former::read(&client).await.context("cannot list the pods")?;
        let settings =
            serin_control::Settings { holds: !former.is_none(), ..control_settings(args, api) };
        serin_control::bootstrap(&client, &settings).await?;
        let observer = fleet.observer();
        let traffic = Arc::new(Counted::new(observer.clone()));
        let control = Arc::new(Control::start(client.clone(), fleet, settings));
        traffic.set_control(Arc::clone(&control));
        let served =
            dashboard::start(args, &client, observer.clone(), Arc::clone(&control)).await?;
        let told = (&control, observer.clone());
        let mut node = node_settings(args, place, &client, told)?;
        node.kubelet = api.kubelet.clone();
        let node = Node::start(node).await?;
        networks.set(node.clone());
        let controllers = serin_controllers::run(
            client.clone(),
            serin_controllers::Settings::default(),
            stopped(stopping.clone()),
        );
        tokio::spawn(controllers);
        let settings = serin_operator::Settings {
            traffic,
            dial: inside,
            trust: inside::trust(),
            ..serin_operator::Settings::default()
        };
        let operator = Operator::new(client.clone(), settings);
        let metrics = Metrics::new(observer, operator.shared());
        tokio::spawn(metrics.serve(args.gateway_address, stopped(stopping.clone())));
        let stop = stopped(stopping.clone());
        if !args.no_operator {
            tokio::spawn(async move { operator.run(stop).await });
        }
        Ok(Self { client, node, dashboard: served, control, former })
    }

    /// Lets in what comes from outside as soon as the pods are back that took it before.
    async fn let_in(&self) -> anyhow::Result<()> {
        if !self.former.is_none() {
            self.former.are_back(&self.client, &self.control).await?;
            self.control.open();
        }
        Ok(())
    }
}

fn proxy_settings(args: &UpArgs, networks: &Arc<PodNetworks>) -> serin_proxy::Settings {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    serin_proxy::Settings {
        workers: args.workers.map_or_else(cores, usize::from),
        wildcard_address: args.gateway_address,
        networks: Some(Arc::clone(networks) as _),
        ..serin_proxy::Settings::default()
    }
}

/// Where users reach port 80 of the gateway.
fn gateway_url(args: &UpArgs) -> String {
    match ports(args).get(&80) {
        Some(port) => format!("http://{}", SocketAddr::new(args.gateway_address, *port)),
        None if args.gateway_address.is_ipv6() => format!("http://[{}]", args.gateway_address),
        None => format!("http://{}", args.gateway_address),
    }
}

/// Refuses an address that is another machine's.
fn check_address(args: &UpArgs) -> anyhow::Result<()> {
    match std::net::UdpSocket::bind((args.gateway_address, 0)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => bail!(
            "--gateway-address {}: this machine does not have that address (`ip address` lists those that it has; 127.0.0.2 and its like \
             always do)",
            args.gateway_address
        ),
        // Whether ports can be had is told for each.
        _ => Ok(()),
    }
}

/// Says at once what the statuses of Gateways would say later.
fn warn_of_taken_ports(args: &UpArgs) {
    let (address, others) = (args.gateway_address, ports(args));
    for port in [80, 443].map(|port| others.get(&port).copied().unwrap_or(port)) {
        if let Err(error) = std::net::TcpListener::bind((address, port)) {
            tracing::warn!(
                "no Gateway on port {port} of {address} for now: {error}. End what listens there, or give this cluster another \
                 --gateway-address (127.0.0.2); everything else works"
            );
        }
    }
}

/// Ports in the place of those that only root may listen on.
fn ports(args: &UpArgs) -> BTreeMap<u16, u16> {
    if privileges::may_bind_low_ports(args.gateway_address) {
        return BTreeMap::new();
    }
    BTreeMap::from([(80, 8080), (443, 8443)])
}

/// Where pods reach the gateway: an address of the loopback network that clusters with other gateways do not have.
fn inside_of(gateway: IpAddr) -> IpAddr {
    let [_, high, middle, low] = match gateway {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0, 15, 15, 1],
    };
    IpAddr::from([127, high | 128, middle, low])
}

fn control_settings(args: &UpArgs, api: &Api) -> serin_control::Settings {
    let gateway = serin_control::Gateway {
        address: args.gateway_address,
        inside: inside_of(args.gateway_address),
        ..serin_control::Gateway::default()
    };
    serin_control::Settings {
        node: Some(NODE.to_owned()),
        gateway: Some(gateway),
        node_port_address: Some(args.gateway_address),
        load_balancer_address: Some(args.gateway_address),
        api_server: Some(api.listener.address()),
        ..serin_control::Settings::default()
    }
}

fn node_settings(
    args: &UpArgs,
    place: &Place,
    client: &kube::Client,
    (control, observer): (&Arc<Control>, Observer),
) -> anyhow::Result<serin_node::Settings> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut settings = serin_node::Settings::new(place.join("node"), client.clone(), program);
    NODE.clone_into(&mut settings.name);
    settings.images = images::mappings(args)?;
    settings.stand_in = Some(Arc::new(serin_samples::stand_in));
    settings.drain_limit = DRAIN;
    let control = Arc::clone(control);
    settings.before_stop = Some(Arc::new(move |leaving| {
        let (control, observer) = (Arc::clone(&control), observer.clone());
        Box::pin(async move {
            let Some(address) = leaving.address else { return };
            if let Err(error) = control.await_removed(address, DRAIN).await {
                let (namespace, name) = (leaving.namespace, leaving.name);
                tracing::warn!(namespace, name, %error, "the pod is stopped though requests may come");
            }
            // Nothing is added to what is under way; the pod's own drain limit is for what takes long.
            tokio::join!(observer.until_over(address), tokio::time::sleep(LINGER));
        })
    }));
    Ok(settings)
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // Whoever tells is gone: that is the end, too.
    let _ = stopping.wait_for(|is_over| *is_over).await;
}

/// The signals that end a command which goes on until then.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: listen(interrupt)?, terminate: listen(terminate)? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
