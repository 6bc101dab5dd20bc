//! Metrics for a Prometheus: Istio's of all proxies of this cluster, and those of the controller of releases.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serin_operator::Shared;
use serin_proxy::Observer;
use serin_telemetry::exposition::{Kind, Text};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::gateway::names_loopback;

/// Where Istio's proxies serve theirs.
const PORT: u16 = 15020;
/// How long a failed accept waits before the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Who has counted.
pub(super) struct Metrics {
    observer: Observer,
    releases: Arc<Shared>,
}

impl Metrics {
    pub(super) const fn new(observer: Observer, releases: Arc<Shared>) -> Self {
        Self { observer, releases }
    }

    /// Serves until `stop`. A port that is taken takes nothing else down.
    pub(super) async fn serve(self, address: IpAddr, stop: impl Future<Output = ()>) {
        let address = SocketAddr::new(address, PORT);
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(
                    "no metrics for a Prometheus: cannot listen on {address}: {error}. End what listens there, or give this cluster \
                     another --gateway-address (127.0.0.2), and start it again; everything else works"
                );
                return;
            }
        };
        let metrics = Arc::new(self);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let metrics = Arc::clone(&metrics);
            connections.spawn(async move {
                let service = service_fn(|request| {
                    let metrics = Arc::clone(&metrics);
                    async move { Ok::<_, Infallible>(metrics.answer(&request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                // The client may leave at any time.
                let _ = connection.await;
            });
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !names_loopback(request) {
            return plain(StatusCode::FORBIDDEN, "ask by an address, or by localhost\n".to_owned());
        }
        if *request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET\n".to_owned());
        }
        match request.uri().path() {
            "/stats/prometheus" | "/metrics" => plain(StatusCode::OK, self.text().await),
            "/healthz/ready" => plain(StatusCode::OK, String::new()),
            _ => plain(StatusCode::NOT_FOUND, "metrics are at /stats/prometheus\n".to_owned()),
        }
    }

    async fn text(&self) -> String {
        let cores = self.observer.stats().await;
        let mut text = Text::default();
        text.istio(cores.iter().map(|core| &core.metrics));
        let build = [("component", "proxy"), ("tag", env!("CARGO_PKG_VERSION"))];
        text.metric("istio_build", Kind::Gauge).value("istio_build", &build, 1);
        text.finish() + &self.releases.metrics()
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
