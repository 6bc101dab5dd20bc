//! Serves a sample on a socket: HTTP/1 and HTTP/2 by prior knowledge, one line of log for each request, an orderly end.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::message::{Call, Reply, error};
use crate::misbehave::Misbehaviour;
use crate::sample::Sample;
use crate::{BadSetting, Environment};

/// The longest body that is read.
const MAX_BODY: usize = 1 << 20;
/// How long a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be silent before its next request has come.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long requests may take to end after the sample was told to stop. Less than the grace that Kubernetes gives.
const DRAIN: Duration = Duration::from_secs(25);

/// How a sample came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and requests had their answers.
    Stopped,
    /// It was told to crash.
    Crashed,
}

struct Server {
    sample: Sample,
    misbehaviour: Misbehaviour,
    is_quiet: bool,
}

/// Serves `sample` until `stop` ends, or until it crashes as its settings say. A line for each request goes to standard output, unless
/// `SERIN_SAMPLE_QUIET` is `true`.
///
/// # Errors
/// A variable that says how to misbehave says what cannot be.
pub async fn serve(
    sample: Sample,
    environment: &Environment,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<Ended, BadSetting> {
    let misbehaviour = Misbehaviour::new(environment)?;
    let is_quiet = environment.is_true("SERIN_SAMPLE_QUIET").unwrap_or(false);
    let server = Arc::new(Server { sample, misbehaviour, is_quiet });
    let connections = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = server.misbehaviour.crash() => return Ok(Ended::Crashed),
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => attend(&server, &builder, &connections, stream, peer),
                // No more files, say. Others end, and then there are some again.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop(listener);
    tokio::select! {
        () = server.misbehaviour.crash() => Ok(Ended::Crashed),
        () = connections.shutdown() => Ok(Ended::Stopped),
        () = tokio::time::sleep(DRAIN) => Ok(Ended::Stopped),
    }
}

fn attend(
    server: &Arc<Server>,
    builder: &Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Answers are written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let server = server.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(server.answer(request, local, peer).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    // A connection that fails has told its client already.
    tokio::spawn(connections.watch(connection));
}

impl Server {
    async fn answer(
        &self,
        request: Request<Incoming>,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Reply {
        let start = Instant::now();
        let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        let is_head = request.method() == Method::HEAD;
        let mut reply = match read(request, local, peer).await {
            Ok(call) => self.dispatch(&call).await,
            Err(reply) => reply,
        };
        if is_head {
            let length = HeaderValue::from(reply.body().size_hint().lower());
            reply.headers_mut().insert(CONTENT_LENGTH, length);
            *reply.body_mut() = Full::default();
        }
        if !self.is_quiet {
            let took = start.elapsed().as_millis();
            // Nobody may be listening any more.
            let _ = writeln!(std::io::stdout(), "{line} {} {took}ms", reply.status().as_u16());
        }
        reply
    }

    async fn dispatch(&self, call: &Call) -> Reply {
        match call.path() {
            "/misbehave" => self.misbehaviour.administer(call),
            "/health" | "/healthz" | "/readyz" if !self.misbehaviour.is_ready() => {
                error(StatusCode::SERVICE_UNAVAILABLE, "not ready")
            }
            "/health" | "/healthz" | "/readyz" => self.sample.health(),
            _ => match self.misbehaviour.suffer().await {
                Some(failure) => failure,
                None => self.sample.answer(call).await,
            },
        }
    }
}

async fn read(
    request: Request<Incoming>,
    local: SocketAddr,
    peer: SocketAddr,
) -> Result<Call, Reply> {
    let (head, body) = request.into_parts();
    let too_long = || error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or broke off");
    // What says how long it is need not be read to be refused.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(too_long()),
        Err(_) => return Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not come")),
    };
    let (method, uri, version, headers) = (head.method, head.uri, head.version, head.headers);
    Ok(Call { method, uri, version, headers, body, local, peer })
}
