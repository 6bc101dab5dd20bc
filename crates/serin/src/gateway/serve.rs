//! The gateway's main loop: publish what the manifests say, then follow files, names and signals.

use std::collections::BTreeMap;
use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serin_api::Finding;
use serin_operator::System;
use serin_proxy::{Proxy, Published, Settings, TlsProblem};
use serin_routing::Model;
use serin_routing::model::WorkloadIdentity;
use serin_telemetry::Workload;
use serin_telemetry::trace::Tracing;
use serin_translate::{ProxyKind, Snapshot, SnapshotBuilder, Translator, key_sources};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::access_log;
use super::admin::{self, Order, Shared, Stage};
use super::attributes::Node;
use super::certificates;
use super::log::Level;
use super::manifests::Manifests;
use super::metric_changes;
use super::names::{self, Answers, Names};
use super::take_over;
use super::watch::Watch;
use crate::check::text;
use crate::cli::GatewayArgs;
use crate::explain::labels;
use crate::keys::Fetcher;
use crate::memory;
use crate::terminal::{self, Palette};
use crate::world;

/// How long the first answer of names is waited for before the gateway serves without them.
const FIRST_NAMES: Duration = Duration::from_secs(5);

/// How often files of certificates are read again.
const CERTIFICATE_FILES: Duration = Duration::from_secs(10);

/// How long the last lines of the access log may take.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Percent of traces that are reported where nobody says how many (Istio's default).
const TRACED: f64 = 1.0;

/// What metrics call a gateway that is no workload of the manifests.
const OWN_NAME: &str = "serin-gateway";

/// What makes the loop turn.
enum Event {
    Files,
    Reload,
    Stop(&'static str),
    Answers(Answers),
    NamesDue,
    CertificatesDue,
    Order(Order),
}

/// Serves until a signal comes and requests under way are finished.
pub(super) async fn serve(
    args: &GatewayArgs,
    level: Level,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut gateway = Gateway::start(args)?;
    let (send, mut orders) = mpsc::unbounded_channel();
    let orders_in = send.clone();
    let (observer, shared) = (gateway.proxy.observer(), Arc::clone(&gateway.shared));
    let admin = admin::start(args, observer, shared, level, send.clone())?;
    let before = args.take_over.as_deref().map(take_over::connect).transpose()?.flatten();
    let before = before.map(take_over::take).transpose()?;
    if let Some((sockets, _)) = &before {
        tracing::info!(listeners = sockets.len(), "taking over from the process before");
    }
    let (inherited, before) = before.unzip();
    gateway.proxy.inherit(inherited.unwrap_or_default());
    let watch = watch(&gateway.manifests);
    gateway.first_names().await;
    let published = gateway.publish().await;
    gateway.shared.set_stage(Stage::Serving);
    let admin = admin.map(|address| format!("; admin on {address}")).unwrap_or_default();
    take_over::finish(args.take_over.as_deref(), before, send)?;
    writeln!(out, "ready {}{admin}", addresses(&published))?;
    out.flush()?;
    memory::give_back_code();
    let mut certificates = interval(CERTIFICATE_FILES);
    loop {
        let due = gateway.lookup.due;
        let event = tokio::select! {
            event = signals.next() => event,
            () = changed(watch.as_ref()) => Event::Files,
            answers = gateway.lookup.answered() => Event::Answers(answers),
            () = sleep_until(due) => Event::NamesDue,
            _ = certificates.tick() => Event::CertificatesDue,
            Some(order) = orders.recv() => Event::Order(order),
        };
        match event {
            Event::Order(Order::DrainListeners) => gateway.stop_accepting().await,
            Event::Order(Order::HandOver(next)) => {
                take_over::give(next, gateway.proxy.sockets(), orders_in.clone());
            }
            Event::Order(Order::Quit) => return gateway.drain("/quitquitquit", &mut signals).await,
            Event::Stop(signal) => return gateway.drain(signal, &mut signals).await,
            Event::Files => gateway.reload(false).await,
            Event::Reload => gateway.reload(true).await,
            Event::Answers(answers) => {
                if gateway.names.learn(answers) {
                    gateway.publish().await;
                }
            }
            Event::CertificatesDue => {
                for (_, published) in gateway.proxy.refresh().await {
                    tracing::info!(version = published.version, "certificates have changed");
                    report_tls(&published);
                }
            }
            Event::NamesDue => gateway.lookup.begin(Names::wanted(&gateway.model)),
        }
    }
}

/// Files are followed as well as the system allows.
fn watch(manifests: &Manifests) -> Option<Watch> {
    match Watch::new(manifests.paths()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "changes of files go unnoticed; SIGHUP reads them again");
            None
        }
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => pending().await,
    }
}

/// `80 on 0.0.0.0:8080, 443 on 0.0.0.0:8443`.
fn addresses(published: &Published) -> String {
    let port = |name: &str| name.rsplit('_').next().unwrap_or_default().to_owned();
    let mut ports: Vec<(u16, String)> = published
        .listening
        .iter()
        .map(|(name, address)| {
            let port = port(name);
            (port.parse().unwrap_or_default(), format!("{port} on {address}"))
        })
        .collect();
    ports.sort();
    if ports.is_empty() {
        return "without a listener: no Gateway is served".to_owned();
    }
    ports.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

/// Everything that changes while the gateway runs.
struct Gateway<'a> {
    args: &'a GatewayArgs,
    labels: Option<BTreeMap<String, String>>,
    manifests: Manifests,
    builder: SnapshotBuilder,
    translator: Translator,
    /// What the translator makes models of.
    identity: serin_translate::Proxy,
    /// As translated, before names were resolved.
    model: Model,
    names: Names,
    lookup: Lookup,
    proxy: Proxy,
    keys: Fetcher,
    /// What the admin interface shows.
    shared: Arc<Shared>,
    access_log: access_log::Current,
    tracing: Option<Tracing>,
    /// The errors that were told last.
    told: String,
}

impl<'a> Gateway<'a> {
    fn start(args: &'a GatewayArgs) -> anyhow::Result<Self> {
        let mut paths = args.files.clone();
        if paths.is_empty() {
            paths.push(PathBuf::from("."));
        }
        let world = &args.world;
        let mut manifests =
            Manifests::new(paths, world.mesh_config.clone(), world.default_namespace());
        manifests.read_first()?;
        let labels = args.labels.as_deref().map(labels).transpose().context("--labels")?;
        let identity = serin_translate::Proxy::new(ProxyKind::Gateway, "", BTreeMap::new());
        let settings = settings(args);
        let keys = Fetcher::new(settings.keys.clone(), Arc::new(System));
        let proxy = Proxy::start(settings).context("cannot start the proxy's threads")?;
        let traces = args.traces.as_deref();
        let tracing = traces.map(|url| Tracing::start(url, OWN_NAME, 0.0)).transpose();
        let tracing = tracing.context("--traces")?;
        let mut gateway = Self {
            args,
            labels,
            manifests,
            builder: SnapshotBuilder::default(),
            translator: Translator::new(identity.clone()),
            identity,
            model: Model::default(),
            names: Names::default(),
            lookup: Lookup::new(),
            proxy,
            keys,
            shared: Shared::new(),
            access_log: access_log::Current::default(),
            tracing,
            told: String::new(),
        };
        gateway.translate();
        Ok(gateway)
    }

    /// Accepts no more connections.
    async fn stop_accepting(&mut self) {
        self.shared.set_stage(Stage::Draining);
        self.proxy.stop_accepting().await;
        tracing::info!("no more connections are accepted");
    }

    /// Ends once requests under way are finished, the drain time is over, or another signal comes.
    async fn drain(mut self, reason: &str, signals: &mut Signals) -> anyhow::Result<()> {
        self.stop_accepting().await;
        tracing::info!(reason, limit = ?self.args.drain_time.to_std(), "draining");
        tokio::select! {
            () = self.proxy.drain() => tracing::info!("drained"),
            () = signals.stopped() => tracing::warn!("ended by a second signal"),
        }
        if let Some(log) = self.access_log.log() {
            log.finish(LAST_LINES);
        }
        Ok(())
    }

    /// Resolves names before anything is served, unless it takes too long.
    async fn first_names(&mut self) {
        let wanted = Names::wanted(&self.model);
        if wanted.is_empty() {
            return;
        }
        self.lookup.begin(wanted);
        match timeout(FIRST_NAMES, self.lookup.answered()).await {
            Ok(answers) => {
                self.names.learn(answers);
            }
            Err(_) => tracing::warn!("names are still being resolved; serving without them"),
        }
    }

    /// Takes over what the manifests say now. `always` also if they are the same, to try ports again.
    async fn reload(&mut self, always: bool) {
        if !self.manifests.read() && !always {
            return;
        }
        self.translate();
        let unknown = self.names.unknown(Names::wanted(&self.model));
        if !unknown.is_empty() {
            self.lookup.begin(unknown);
        }
        self.publish().await;
    }

    /// From objects to the model, and what is wrong with them.
    fn translate(&mut self) {
        let objects = self.manifests.objects();
        let world = &self.args.world;
        let mut identity = self.identity.clone();
        identity.labels = self.labels.clone().unwrap_or_default();
        identity.serves_every_gateway = self.labels.is_none();
        let of_workload = world::namespace_of(objects.iter(), &identity.labels);
        let named = world.namespace.as_deref().or(of_workload);
        named.unwrap_or(world.default_namespace()).clone_into(&mut identity.namespace);
        if identity != self.identity {
            self.translator = Translator::new(identity.clone());
            self.identity = identity;
        }
        self.proxy.certificates().set_objects(certificates::of_objects(&objects));
        let settings = world::settings(Arc::clone(self.manifests.mesh()), &world.cluster_domain);
        let snapshot = self.builder.build(objects.into_iter().collect(), settings);
        self.keys.follow(key_sources(snapshot.objects()));
        self.lookup.every = snapshot.settings().mesh.dns_refresh_rate.to_std();
        let own = self.own(&snapshot);
        let log = access_log::wanted(self.args, &snapshot, &self.identity, &own);
        self.proxy.set_access_log(self.access_log.follow(log, access_log::at_path).cloned());
        if let Some(tracing) = &self.tracing {
            let asked = self.args.trace_sampling;
            let percent = asked.or_else(|| access_log::sampling(&snapshot, &self.identity));
            let share = percent.unwrap_or(TRACED).clamp(0.0, 100.0) / 100.0;
            self.proxy.set_tracing(Some(Arc::new(tracing.with_share(share))));
        }
        self.proxy.customize_metrics(metric_changes::of(&snapshot, &self.identity, &own));
        self.proxy.set_workload(Workload::new(&own.identity, &own.cluster));
        self.shared.tell(self.access_log.log());
        let translation = self.translator.translate(&snapshot);
        self.tell(&snapshot, &translation.findings);
        self.model = translation.model;
    }

    /// The gateway as metrics call it: the workload that carries its labels, if there is one among the manifests.
    fn own(&self, snapshot: &Snapshot) -> Node {
        let labels = &self.identity.labels;
        let carries = |own: &BTreeMap<String, String>| {
            !labels.is_empty() && labels.iter().all(|(key, value)| own.get(key) == Some(value))
        };
        let deployments = &snapshot.objects().deployments;
        let deployment = deployments.iter().find(|it| carries(&it.spec.template.metadata.labels));
        let labels = deployment.map_or(labels, |it| &it.spec.template.metadata.labels);
        let identity = WorkloadIdentity {
            workload: deployment.map_or(OWN_NAME, |it| &it.meta.name).into(),
            namespace: self.identity.namespace.as_str().into(),
            labels: labels
                .iter()
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect(),
            ..WorkloadIdentity::default()
        };
        Node { identity, cluster: settings(self.args).cluster_id }
    }

    /// Tells errors on standard error, unless they are known.
    fn tell(&mut self, snapshot: &Snapshot, findings: &[Finding]) {
        let found: Vec<Finding> = snapshot.findings().chain(findings).cloned().collect();
        let report = self.manifests.report(&found);
        let palette = Palette { colors: terminal::stderr_palette(self.args.view.color).colors };
        let mut told = Vec::new();
        for problem in self.manifests.problems() {
            // Writing to memory does not fail.
            let _ = writeln!(told, "{} {problem}\n", palette.error("error:"));
        }
        if !report.findings.is_empty() {
            let _ = text::write(&report, palette, &mut told);
            let _ =
                writeln!(told, "what is wrong is left out, or stays as it was; the rest is served");
        }
        let told = String::from_utf8_lossy(&told).into_owned();
        if told != self.told {
            let told =
                if told.is_empty() { "the manifests have no errors any more\n" } else { &told };
            // Nobody may be there to read it.
            let _ = io::stderr().write_all(told.as_bytes());
        }
        self.told = told;
    }

    /// Puts the model in force.
    async fn publish(&mut self) -> Published {
        let mut model = self.model.clone();
        self.names.apply(&mut model);
        let counts = (model.listeners.len(), model.route_tables.len(), model.clusters.len());
        let published = self.proxy.publish(model).await;
        for (name, address, error) in &published.failed {
            report_port(name, *address, error);
        }
        report_tls(&published);
        tracing::info!(
            version = published.version,
            listeners = counts.0,
            route_tables = counts.1,
            clusters = counts.2,
            "the manifests are in force"
        );
        published
    }
}

/// A port that cannot be listened on takes nothing else down.
fn report_port(listener: &str, address: SocketAddr, error: &io::Error) {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("use another port: --port-map {0}=8080, or any above 1023", address.port())
        }
        io::ErrorKind::AddrInUse => "end what listens there, or use --port-map".to_owned(),
        _ => "see --address and --port-map".to_owned(),
    };
    tracing::error!(%listener, %address, %error, help, "the port cannot be listened on; it is tried again when the manifests change, and on SIGHUP");
}

/// TLS that lacks something is told; what it is for is served as well as can be, or not at all.
fn report_tls(published: &Published) {
    for TlsProblem { subject, chain, reason, serves } in &published.tls {
        let effect = if *serves { "served nevertheless" } else { "connections are refused" };
        tracing::warn!(%subject, %chain, reason, effect, "TLS is not as the manifests want it");
    }
}

fn settings(args: &GatewayArgs) -> Settings {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    Settings {
        workers: args.workers.map_or_else(cores, usize::from),
        wildcard_address: args.address,
        drain_time: args.drain_time.to_std(),
        last_request_time: args.drain_time.to_std().min(Duration::from_secs(5)),
        explain_token: args.explain_token.as_deref().map(Arc::from),
        ports: args.port_map.iter().map(|it| (it.named, it.bound)).collect(),
        ..Settings::default()
    }
}

/// Names that are being resolved, and when it is time again.
struct Lookup {
    under_way: Option<JoinHandle<Answers>>,
    every: Duration,
    due: Instant,
}

impl Lookup {
    fn new() -> Self {
        let every = Duration::from_secs(60);
        Self { under_way: None, every, due: Instant::now() + every }
    }

    /// Begins to resolve names; what was under way is given up.
    fn begin(&mut self, names: std::collections::BTreeSet<Arc<str>>) {
        self.due = Instant::now() + self.every.max(Duration::from_secs(1));
        if let Some(before) = self.under_way.take() {
            before.abort();
        }
        if !names.is_empty() {
            self.under_way = Some(names::resolve(names));
        }
    }

    /// Waits for answers.
    async fn answered(&mut self) -> Answers {
        let Some(under_way) = &mut self.under_way else { return pending().await };
        let answers = under_way.await.unwrap_or_default();
        self.under_way = None;
        answers
    }
}

/// The signals that the gateway obeys.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.interrupt.recv() => Event::Stop("SIGINT"),
            _ = self.terminate.recv() => Event::Stop("SIGTERM"),
            _ = self.hang_up.recv() => Event::Reload,
        }
    }

    /// Waits for another signal to stop.
    async fn stopped(&mut self) {
        while let Event::Reload = self.next().await {}
    }
}
