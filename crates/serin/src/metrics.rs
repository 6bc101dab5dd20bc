//! A small server of metrics for a Prometheus, and of a word that the process lives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::gateway::names_loopback;

/// How long a failed accept waits before the next.
const PAUSE: Duration = Duration::from_millis(20);

/// What there is to be scraped.
pub(crate) trait Source: Send + Sync + 'static {
    /// All of it, in Prometheus' text format.
    fn text(&self) -> BoxFuture<'_, String>;
}

/// By which names of the server it may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// Addresses and localhost: no page in a browser gets here by a name that leads to this machine.
    Addresses,
    /// Any, as in a cluster whose Services have names.
    Any,
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    hosts: Hosts,
    stop: impl Future<Output = ()>,
) {
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
        let source = Arc::clone(&source);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let source = Arc::clone(&source);
                async move { Ok::<_, Infallible>(answer(&*source, hosts, &request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // The client may leave at any time.
            let _ = connection.await;
        });
    }
}

/// Opens the socket of such a server.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let failed = |error| anyhow::anyhow!("cannot listen on {address}: {error}");
    TcpListener::bind(address).await.map_err(failed)
}

async fn answer(
    source: &dyn Source,
    hosts: Hosts,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if hosts == Hosts::Addresses && !names_loopback(request) {
        return plain(StatusCode::FORBIDDEN, "ask by an address, or by localhost\n".to_owned());
    }
    if *request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET\n".to_owned());
    }
    match request.uri().path() {
        "/stats/prometheus" | "/metrics" => plain(StatusCode::OK, source.text().await),
        "/healthz" | "/healthz/ready" => plain(StatusCode::OK, String::new()),
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
