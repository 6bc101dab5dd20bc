//! The admin interface and health checks: HTTP on a small runtime of its own, so that neither looks at a core's work nor waits for
//! the manifests.
//!
//! It shows no secret: certificates are named, never printed, and paths of requests have lost their queries. What changes
//! something is a `POST`. A request whose `Host` is a name other than `localhost` is refused, so that no web page can reach it by DNS.

mod dumps;
mod stats;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serin_proxy::Observer;
use serin_telemetry::access_log::AccessLog;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::log::Level;
use crate::cli::GatewayArgs;

/// What others ask of the gateway.
#[derive(Debug)]
pub(super) enum Order {
    /// Give the listening sockets to the next process, and end once it serves.
    HandOver(UnixStream),
    /// Stop accepting connections.
    DrainListeners,
    /// End, as by SIGTERM.
    Quit,
}

/// How far the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It does not serve yet.
    Starting,
    /// It serves.
    Serving,
    /// It serves no new connections.
    Draining,
}

/// What the gateway tells the admin interface.
#[derive(Debug)]
pub(super) struct Shared {
    stage: AtomicU8,
    access_log: Mutex<Option<Arc<AccessLog>>>,
    started: Instant,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(0),
            access_log: Mutex::default(),
            started: Instant::now(),
        })
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            _ => Stage::Draining,
        }
    }

    pub(super) fn tell(&self, log: Option<&Arc<AccessLog>>) {
        *self.access_log.lock().unwrap_or_else(PoisonError::into_inner) = log.cloned();
    }
}

/// How often an address that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What serves the admin interface.
struct Admin {
    observer: Observer,
    shared: Arc<Shared>,
    level: Level,
    orders: mpsc::UnboundedSender<Order>,
}

/// Starts the interfaces that are asked for; tells where the admin interface listens. A port that is taken takes nothing else
/// down.
///
/// # Errors
/// The address is no loopback address.
pub(super) fn start(
    args: &GatewayArgs,
    observer: Observer,
    shared: Arc<Shared>,
    level: Level,
    orders: mpsc::UnboundedSender<Order>,
) -> anyhow::Result<Option<SocketAddr>> {
    let admin = Arc::new(Admin { observer, shared, level, orders });
    let address = address(&args.admin)?;
    let status = args.status_port.map(|port| SocketAddr::new(args.address, port));
    let admin_socket = address.map(|address| Place::new(address, "the admin interface"));
    let status_socket = status.map(|address| Place::new(address, "the status port"));
    let bound = admin_socket.as_ref().and_then(|place| place.socket.as_ref()?.local_addr().ok());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the admin interface")?;
    let run = move || {
        runtime.block_on(async {
            let of_admin = serve(admin_socket, Arc::clone(&admin), false);
            tokio::join!(of_admin, serve(status_socket, admin, true));
        });
    };
    std::thread::Builder::new()
        .name("admin".into())
        .spawn(run)
        .context("cannot start the admin interface")?;
    Ok(bound)
}

fn address(written: &str) -> anyhow::Result<Option<SocketAddr>> {
    if written == "off" {
        return Ok(None);
    }
    let address: SocketAddr = written
        .parse()
        .with_context(|| format!("--admin {written:?}: write 127.0.0.1:15000, or off"))?;
    ensure!(
        address.ip().is_loopback(),
        "--admin {written}: the admin interface shows the configuration and can end the gateway, so it listens on loopback addresses only"
    );
    Ok(Some(address))
}

/// An address to listen on.
struct Place {
    address: SocketAddr,
    what: &'static str,
    socket: Option<std::net::TcpListener>,
}

impl Place {
    /// Listens at an address; what is taken is tried again as long as it takes, for the process before may be ending.
    fn new(address: SocketAddr, what: &'static str) -> Self {
        let socket = match bind(address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%address, %error, "{what} cannot listen yet; the gateway goes on without it");
                None
            }
        };
        Self { address, what, socket }
    }

    async fn socket(self) -> Option<TcpListener> {
        if let Some(socket) = self.socket {
            return TcpListener::from_std(socket).ok();
        }
        loop {
            tokio::time::sleep(AGAIN).await;
            if let Ok(socket) = bind(self.address) {
                tracing::info!(address = %self.address, "{} listens now", self.what);
                return TcpListener::from_std(socket).ok();
            }
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn serve(place: Option<Place>, admin: Arc<Admin>, only_health: bool) {
    let Some(place) = place else { return };
    let Some(socket) = place.socket().await else { return };
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.answer(request, only_health).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // The client may leave at any time.
            let _ = connection.await;
        });
    }
}

type Answer = Response<Full<Bytes>>;

/// Where to go from the first page.
const HELP: &str = "\
GET  /stats/prometheus                    metrics, for Prometheus
GET  /ready, /healthz/ready               200 while the gateway serves
GET  /listeners                           listeners and their addresses
GET  /clusters                            clusters, their endpoints and how they do
GET  /config_dump                         the model in force, as JSON
GET  /requests                            some of the latest requests with rule, cluster and flags, as JSON
GET  /explain?url=URL[&method=METHOD][&header=NAME:VALUE]
                                          the way of such a request, as JSON
GET  /logging                             what the process logs
POST /logging?level=LEVEL                 changes it
POST /drain_listeners                     accepts no more connections
POST /quitquitquit                        ends as by SIGTERM
";

impl Admin {
    async fn answer(&self, request: Request<Incoming>, only_health: bool) -> Answer {
        let (method, path) = (request.method(), request.uri().path());
        if path == "/healthz/ready" {
            return self.health();
        }
        if only_health {
            return plain(StatusCode::NOT_FOUND, "see /healthz/ready\n");
        }
        if !names_loopback(&request) {
            return plain(StatusCode::FORBIDDEN, "the admin interface answers to localhost only\n");
        }
        let query = request.uri().query().unwrap_or_default();
        if *method == Method::POST {
            return self.change(path, query);
        }
        if *method != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET or POST\n");
        }
        match path {
            "/" | "/help" => plain(StatusCode::OK, HELP),
            "/ready" => self.ready(),
            "/stats" | "/stats/prometheus" => {
                let stats = self.observer.stats().await;
                typed(
                    "text/plain; version=0.0.4",
                    stats::text(&self.shared, &self.observer, &stats),
                )
            }
            "/listeners" => plain(StatusCode::OK, dumps::listeners(&self.observer.in_force())),
            "/clusters" => plain(StatusCode::OK, dumps::clusters(&self.observer.stats().await)),
            "/config_dump" => json(dumps::config(&self.observer.in_force())),
            "/requests" => json(dumps::requests(&self.observer.sample().await)),
            "/explain" => match dumps::explain(&self.observer.in_force(), query) {
                Ok(explanation) => json(explanation),
                Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error:#}\n")),
            },
            "/logging" if query.is_empty() => {
                plain(StatusCode::OK, format!("{}\n", self.level.get()))
            }
            "/logging" | "/drain_listeners" | "/quitquitquit" => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "this changes something: use POST\n")
            }
            _ => plain(StatusCode::NOT_FOUND, HELP),
        }
    }

    fn change(&self, path: &str, query: &str) -> Answer {
        let done = match path {
            "/drain_listeners" => self.order(Order::DrainListeners),
            "/quitquitquit" => self.order(Order::Quit),
            "/logging" => {
                match dumps::parameter(query, "level").or_else(|| dumps::parameter(query, "")) {
                    Some(level) => self.level.set(&level),
                    None => bail_level(),
                }
            }
            _ => return plain(StatusCode::NOT_FOUND, HELP),
        };
        match done {
            Ok(()) => plain(StatusCode::OK, "OK\n"),
            Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error:#}\n")),
        }
    }

    fn order(&self, order: Order) -> anyhow::Result<()> {
        self.orders.send(order).ok().context("the gateway has ended")
    }

    /// Envoy's words.
    fn ready(&self) -> Answer {
        match self.shared.stage() {
            Stage::Starting => plain(StatusCode::SERVICE_UNAVAILABLE, "PRE_INITIALIZING\n"),
            Stage::Serving => plain(StatusCode::OK, "LIVE\n"),
            Stage::Draining => plain(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n"),
        }
    }

    fn health(&self) -> Answer {
        let is_ready = self.shared.stage() == Stage::Serving;
        plain(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "")
    }
}

fn bail_level() -> anyhow::Result<()> {
    bail!("which level? POST /logging?level=debug")
}

/// Whether the request was meant for this machine, by its `Host`.
pub(crate) fn names_loopback(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(http::header::HOST) else { return true };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok())
    else {
        return false;
    };
    let host = host.host().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = typed("text/plain; charset=UTF-8", body);
    *answer.status_mut() = status;
    answer
}

fn json(value: serde_json::Value) -> Answer {
    typed("application/json", format!("{value:#}\n"))
}

fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    let headers = answer.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    answer
}
