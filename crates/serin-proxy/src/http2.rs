//! HTTP/2 from clients: streams that are handled side by side.
//!
//! One task reads and writes the connection; each stream is a task of its own on the same core. The library guards against
//! floods of `CONTINUATION`, empty frames, small frames and resets of streams that were never handled; what it lets through
//! (streams that are handled and then reset at once) is counted here.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use serin_http1::Error;
use serin_routing::model::HttpConnection;
use serin_routing::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::body::{Http2Out, Http2Source, Source};
use crate::connection::Ends;
use crate::exchange::{self, Ended, Exchange};
use crate::io::{Cork, Corked};
use crate::request::Request;
use crate::response::{Length, Reply, Responder, Response, http_date};
use crate::telemetry::Refused;
use crate::upstream::Version;
use crate::worker::Worker;

/// A stream that its client broke off within this time was opened for nothing.
const PREMATURE: Duration = Duration::from_secs(1);

/// What the streams of a connection share.
struct Connection {
    worker: Rc<Worker>,
    http: HttpConnection,
    ends: Rc<Ends>,
    active: Cell<usize>,
    /// Streams that are over, and those among them that were opened for nothing.
    ended: Cell<u32>,
    premature: Cell<u32>,
    change: Notify,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(worker: &Rc<Worker>, http: &HttpConnection, stream: S, ends: Rc<Ends>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = &worker.settings.http2;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_concurrent_streams(settings.concurrent_streams)
        .max_header_list_size(settings.header_list_size)
        .max_send_buffer_size(settings.send_buffer)
        .enable_connect_protocol();
    let (cork, stream) = Cork::new(stream);
    let handshake = timeout(worker.settings.head_timeout, builder.handshake(stream));
    let Ok(Ok(connection)) = handshake.await else { return };
    cork.hold();
    let shared = Rc::new(Connection {
        worker: Rc::clone(worker),
        http: http.clone(),
        ends,
        active: Cell::new(0),
        ended: Cell::new(0),
        premature: Cell::new(0),
        change: Notify::new(),
    });
    accept(connection, &cork, &shared).await;
}

async fn accept<S>(
    mut connection: server::Connection<Corked<S>, Bytes>,
    cork: &Cork<S>,
    shared: &Rc<Connection>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut is_closing = false;
    // What is waited for beside requests stays registered from request to request.
    let mut idle = std::pin::pin!(shared.idle());
    let mut abused = std::pin::pin!(shared.abused());
    let mut draining = std::pin::pin!(shared.ends.listener.draining.started());
    loop {
        tokio::select! {
            biased;
            // First, for nothing else can have happened since the request before.
            accepted = cork.drive(connection.accept()) => match accepted {
                Some(Ok((request, respond))) => {
                    let serving = serve_stream(Rc::clone(shared), request, respond, shared.opened());
                    // It is large, and a task is moved several times while it begins and ends.
                    spawn_local(Box::pin(serving));
                }
                Some(Err(error)) => {
                    tracing::debug!(peer = %shared.ends.peer, %error, "an HTTP/2 connection failed");
                    return;
                }
                None => return,
            },
            () = &mut abused => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                // The goodbye is written, then the connection ends whatever is under way.
                let _ = timeout(PREMATURE, std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
                return;
            }
            () = &mut draining, if !is_closing => {
                is_closing = true;
                connection.graceful_shutdown();
            }
            () = &mut idle, if !is_closing => {
                is_closing = true;
                connection.graceful_shutdown();
            }
        }
    }
}

impl Connection {
    fn opened(self: &Rc<Self>) -> Open {
        self.active.set(self.active.get() + 1);
        Open { connection: Rc::clone(self), since: self.worker.clock.now(), is_premature: false }
    }

    /// Waits until there has been no stream for as long as a connection may be idle.
    async fn idle(&self) {
        let limit = self.http.idle_timeout.unwrap_or(self.worker.settings.idle_timeout);
        loop {
            while self.active.get() > 0 {
                self.change.notified().await;
            }
            let before = self.ended.get();
            sleep(limit).await;
            if self.active.get() == 0 && self.ended.get() == before {
                return;
            }
        }
    }

    /// Whether most streams were opened for nothing.
    fn is_abused(&self) -> bool {
        let least = self.worker.settings.http2.premature_resets;
        self.ended.get() >= least && self.premature.get() > self.ended.get() / 2
    }

    /// Waits until that is so.
    async fn abused(&self) {
        while !self.is_abused() {
            self.change.notified().await;
        }
    }
}

/// A stream counts as active while this lives.
struct Open {
    connection: Rc<Connection>,
    since: Instant,
    is_premature: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        let add = |counter: &Cell<u32>| counter.set(counter.get().saturating_add(1));
        self.connection.active.set(self.connection.active.get() - 1);
        add(&self.connection.ended);
        if self.is_premature {
            add(&self.connection.premature);
        }
        // Those that wait want to know of nothing else.
        if self.connection.active.get() == 0 || self.connection.is_abused() {
            self.connection.change.notify_waiters();
        }
    }
}

async fn serve_stream(
    connection: Rc<Connection>,
    head: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    mut open: Open,
) {
    let worker = &connection.worker;
    let (head, body) = head.into_parts();
    let out = Http2Out::response(respond);
    let mut responder = Responder {
        reply: Reply::Http2(&out),
        is_head: head.method == http::Method::HEAD,
        record: worker.telemetry.begin(worker.clock.now()),
    };
    let mut request = Request::default();
    request.take_ends(&connection.ends);
    let read = request.read_http2(&head, body.is_end_stream(), worker.settings.heads);
    if let Err(error) = read {
        return refuse(&connection, &mut responder, error).await;
    }
    if request.headers.known(serin_http1::FieldName::Expect).is_some() {
        // As Envoy does, the proxy itself asks for the body: it wants it in any case.
        request.headers.remove(b"expect");
        let _ = responder.inform(&Response::new(100)).await;
    }
    let snapshot = worker.snapshot();
    let http = &connection.http;
    let exchange = Exchange { worker, snapshot: &snapshot, http, version: Version::Http2 };
    let body = Source::Http2(Http2Source::new(body));
    let ended = {
        // Whatever a request waits for, its client's reset ends it.
        tokio::select! {
            biased;
            ended = exchange::handle(&exchange, &mut request, body, &mut responder) => Some(ended),
            () = out.reset_by_peer() => None,
        }
    };
    match ended {
        Some(Ended::Complete) => {}
        Some(Ended::Broken) => out.reset(Reason::INTERNAL_ERROR),
        None => {
            responder.record.abandoned();
            open.is_premature = worker.clock.now().since(open.since) < PREMATURE;
        }
    }
    worker.telemetry.end(&request, &responder.record, Version::Http2, worker.clock.now());
}

/// Answers a request that cannot be taken.
async fn refuse(connection: &Connection, responder: &mut Responder<'_>, error: Error) {
    let Connection { worker, ends, http, .. } = connection;
    let (refused, body) = Refused::malformed(error, Version::Http2);
    worker.telemetry.log_refused(ends, refused);
    let mut response = Response::new(refused.status);
    let mut date = Vec::with_capacity(32);
    http_date(&mut date, worker.clock.now());
    response.headers.append(b"server", http.server_name.as_bytes());
    response.headers.append(b"date", &date);
    response.headers.append(b"content-type", b"text/plain");
    response.headers.append(b"content-length", body.len().to_string().as_bytes());
    let length = Length::Exact(body.len() as u64);
    // The client may be gone already.
    if let Ok(mut sink) = responder.start(&response, length) {
        let _ = sink.write(crate::body::Piece::Borrowed(body.as_bytes())).await;
    }
}
