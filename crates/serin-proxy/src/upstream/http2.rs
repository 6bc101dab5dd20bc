//! HTTP/2 towards an endpoint: connections that many requests share.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use serin_routing::model::Http2KeepAlive;
use serin_routing::time::Instant;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::UpstreamError;
use super::pool::{Limits, Occupancy, Open};
use crate::body::{Http2Out, Http2Sink};
use crate::io::{Cork, Corked, Stream};
use crate::request::{Request, Upgrade};
use crate::settings::Http2Settings;

/// Time for a peer to say what it can do.
const SETTLING: Duration = Duration::from_secs(5);

/// A connection that speaks HTTP/2. Its bytes are moved by a task of its own ([`drive`]).
pub(super) struct Http2Connection {
    send: SendRequest<Bytes>,
    active: Cell<u32>,
    requests: Cell<u32>,
    /// Takes no more requests.
    closing: Cell<bool>,
    /// What the peer says of itself at the beginning has arrived.
    settled: Cell<bool>,
    settling: Notify,
    opened: Instant,
    idle_since: Cell<Instant>,
    /// This side's address.
    local: Option<SocketAddr>,
}

impl Http2Connection {
    /// Begins to speak; the connection is driven until it ends.
    pub(super) async fn start(
        stream: Stream,
        settings: &Http2Settings,
        now: Instant,
    ) -> Result<(Rc<Self>, Driven), h2::Error> {
        let mut builder = client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.upstream_connection_window)
            .max_header_list_size(settings.header_list_size)
            .max_send_buffer_size(settings.send_buffer);
        let local = stream.local_addr();
        let (cork, stream) = Cork::new(stream);
        cork.hold();
        let (send, connection) = builder.handshake(stream).await?;
        let shared = Rc::new(Self {
            send,
            active: Cell::new(0),
            requests: Cell::new(0),
            closing: Cell::new(false),
            settled: Cell::new(false),
            settling: Notify::new(),
            opened: now,
            idle_since: Cell::new(now),
            local,
        });
        Ok((shared, Driven { connection, cork }))
    }

    /// A stream, if there is room for one.
    pub(super) fn admit(
        self: &Rc<Self>,
        limits: &Limits,
        occupancy: &Rc<Occupancy>,
    ) -> Option<Http2Stream> {
        // However short its life, it serves the request that it was opened for.
        let is_old = |limit| self.requests.get() > 0 && occupancy.now().since(self.opened) >= limit;
        if self.closing.get() || limits.max_connection_duration.is_some_and(is_old) {
            self.closing.set(true);
            return None;
        }
        let peers = u32::try_from(self.send.current_max_send_streams()).unwrap_or(u32::MAX);
        let most = match limits.max_concurrent_streams {
            0 => peers,
            ours => ours.min(peers),
        };
        if self.active.get() >= most {
            return None;
        }
        let mut send = self.send.clone();
        match send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                self.closing.set(true);
                return None;
            }
            Poll::Pending => return None,
        }
        self.active.set(self.active.get() + 1);
        self.requests.set(self.requests.get().saturating_add(1));
        if limits.max_requests_per_connection > 0
            && self.requests.get() >= limits.max_requests_per_connection
        {
            self.closing.set(true);
        }
        let (connection, occupancy) = (Rc::clone(self), Rc::clone(occupancy));
        Some(Http2Stream { connection, occupancy, send, out: None })
    }

    /// Whether it is of further use: it takes requests, and has not been idle for longer than `limit`.
    pub(super) fn is_wanted(&self, now: Instant, limit: Option<Duration>) -> bool {
        let is_idle = self.active.get() == 0
            && limit.is_some_and(|limit| now.since(self.idle_since.get()) >= limit);
        !self.closing.get() && !is_idle
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn settle(&self) {
        self.settled.set(true);
        self.settling.notify_waiters();
    }
}

/// A connection's bytes, to be moved.
pub(super) struct Driven {
    connection: client::Connection<Corked<Stream>, Bytes>,
    cork: Cork<Stream>,
}

/// Moves a connection's bytes until it ends. It ends by itself when nobody holds it any more and its streams are over.
pub(super) async fn drive(
    Driven { mut connection, cork }: Driven,
    shared: Weak<Http2Connection>,
    keep_alive: Option<Http2KeepAlive>,
    lifetime: Option<Duration>,
    open: Open,
) {
    let pings = connection.ping_pong();
    let close = || {
        if let Some(shared) = shared.upgrade() {
            shared.closing.set(true);
        }
    };
    let mut dead = std::pin::pin!(dead(pings, keep_alive, &shared));
    let mut old = std::pin::pin!(async {
        match lifetime {
            Some(lifetime) => sleep(lifetime).await,
            None => std::future::pending().await,
        }
    });
    let mut is_old = false;
    loop {
        tokio::select! {
            biased;
            ended = cork.drive(&mut connection) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP/2 connection to an endpoint failed");
                }
                break;
            }
            () = &mut dead => {
                tracing::debug!("an endpoint does not answer pings; its connection is closed");
                break;
            }
            () = &mut old, if !is_old => {
                is_old = true;
                if shared.upgrade().is_some_and(|shared| shared.requests.get() > 0) {
                    close();
                    open.changed();
                }
            }
        }
    }
    close();
    drop(open);
}

/// Waits until a ping is not answered in time.
async fn dead(
    pings: Option<PingPong>,
    keep_alive: Option<Http2KeepAlive>,
    shared: &Weak<Http2Connection>,
) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    // The answer to the first ping comes after the peer's settings.
    let answered =
        pings.send_ping(Ping::opaque()).is_ok() && poll_fn(|cx| pings.poll_pong(cx)).await.is_ok();
    if let (true, Some(shared)) = (answered, shared.upgrade()) {
        shared.settle();
    }
    let Some(keep_alive) = keep_alive else { return std::future::pending().await };
    loop {
        sleep(keep_alive.interval).await;
        if pings.send_ping(Ping::opaque()).is_err() {
            return std::future::pending().await;
        }
        let pong = poll_fn(|cx| pings.poll_pong(cx));
        match timeout(keep_alive.timeout, pong).await {
            Ok(Ok(_)) => {}
            // The connection has failed by itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// A stream of a connection, for one request.
pub(crate) struct Http2Stream {
    connection: Rc<Http2Connection>,
    occupancy: Rc<Occupancy>,
    send: SendRequest<Bytes>,
    out: Option<Http2Out>,
}

impl Http2Stream {
    /// This side's address of the connection.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.connection.local
    }

    /// Waits until it is known whether the peer takes tunnels.
    pub(super) async fn settled(&self) {
        let settled = async {
            while !self.connection.settled.get() {
                self.connection.settling.notified().await;
            }
        };
        // A peer that does not answer by then is taken at its word so far.
        let _ = timeout(SETTLING, settled).await;
    }

    /// Begins the request.
    pub(super) fn call(
        &mut self,
        request: &Request,
        is_empty: bool,
    ) -> Result<(Http2Sink<'_>, ResponseFuture), UpstreamError> {
        let is_websocket = request.upgrade == Upgrade::WebSocket;
        if is_websocket && !self.send.is_extended_connect_protocol_enabled() {
            return Err(UpstreamError::NoTunnels);
        }
        let is_end = is_empty && !request.is_tunnel();
        let head = request.to_http2().map_err(UpstreamError::Request)?;
        let (response, body) =
            self.send.send_request(head, is_end).map_err(UpstreamError::Http2)?;
        let out = self.out.insert(Http2Out::body(body));
        let sink = if is_end { Http2Sink::ended(out) } else { Http2Sink::new(out, None) };
        Ok((sink, response))
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.active.set(connection.active.get().saturating_sub(1));
        connection.idle_since.set(self.occupancy.now());
        self.occupancy.changed();
    }
}
