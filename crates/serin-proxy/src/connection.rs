//! A connection from its first byte: which filter chain reads it, and in which protocol.
//!
//! What comes before the protocol, in this order: the PROXY protocol's header, a look at the first bytes where the choice of the
//! chain depends on them, the TLS handshake. Each has its time; what is needed for them is given back before the protocol starts.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::connection::{Connection, NoFilterChain, filter_chain};
use serin_routing::model::{Bind, FilterChain, Listener, NetworkFilter};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::io::Stream;
use crate::listening::Served;
use crate::network::meant_for;
use crate::snapshot::Snapshot;
use crate::sniff::{Seen, sniff};
use crate::telemetry::Refused;
use crate::tls::{AcceptError, TlsFacts};
use crate::worker::Worker;
use crate::{http, proxy_protocol, tcp};

/// Who is connected. What serves a connection has it behind a pointer, because it hands it on from one to the next.
pub(crate) struct Ends {
    /// The listener that accepted the connection.
    pub(crate) listener: Rc<Served>,
    /// The client.
    pub(crate) peer: SocketAddr,
    /// The address it reached.
    pub(crate) local: Option<SocketAddr>,
    /// The listener's port as the model names it, whichever port is bound for it.
    pub(crate) listener_port: u16,
    /// What TLS told, where it was terminated.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// The name that the client asked for, where TLS is not terminated.
    pub(crate) server_name: Option<Box<str>>,
}

/// Why a connection is closed before it is read.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    #[error("there is no PROXY protocol header, or it is malformed")]
    ProxyProtocol(#[source] std::io::Error),
    #[error("nothing came for {0:?}")]
    Slow(Duration),
    #[error(transparent)]
    NoFilterChain(#[from] NoFilterChain),
    #[error("TLS is not ready: its certificates are missing or its settings cannot be met")]
    TlsNotReady,
    #[error(transparent)]
    Handshake(#[from] AcceptError),
}

/// Serves a connection until it ends. `bound` is the address that its socket is bound to, if that is a single one.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    served: Rc<Served>,
    stream: TcpStream,
    (peer, bound): (SocketAddr, Option<SocketAddr>),
) {
    // A version of the model lives no longer than it takes to open connections by it.
    let found = find_listener(&worker, &served, &stream, bound);
    let Some((listener, local)) = found else { return };
    let opened = Box::pin(open(&worker, (served, &listener), stream, (peer, local))).await;
    match opened {
        Ok((chain, stream, ends)) => match &chain.filter {
            NetworkFilter::Http(http) => http::serve(&worker, http, stream, ends).await,
            NetworkFilter::Tcp(proxy) => Box::pin(tcp::serve(&worker, proxy, stream, ends)).await,
        },
        Err(refusal) => {
            let error = &refusal as &dyn std::error::Error;
            tracing::debug!(listener = %listener.name, %peer, error, "a connection is closed");
        }
    }
}

/// The listener that reads a connection, and the address that the client meant. A listener that captures gives its connections to
/// the listener of that address, if there is one.
fn find_listener(
    worker: &Worker,
    served: &Served,
    stream: &TcpStream,
    bound: Option<SocketAddr>,
) -> Option<(Arc<Listener>, Option<SocketAddr>)> {
    let snapshot = worker.snapshot();
    let listener = snapshot.listener(&served.name)?;
    if listener.bind != Bind::Capture {
        return Some((Arc::clone(listener), bound.or_else(|| stream.local_addr().ok())));
    }
    let meant = meant_for(stream);
    let captured = meant.and_then(|meant| snapshot.compiled.captured(listener.direction, meant));
    Some((Arc::clone(captured.unwrap_or(listener)), meant))
}

/// Finds out how a connection is to be read.
async fn open<'l>(
    worker: &Worker,
    (served, listener): (Rc<Served>, &'l Listener),
    mut stream: TcpStream,
    (peer, local): (SocketAddr, Option<SocketAddr>),
) -> Result<(&'l FilterChain, Stream, Rc<Ends>), Refusal> {
    let snapshot = worker.snapshot();
    // What is meant for a port that no listener stands for is told apart by that port.
    let listener_port = match (listener.bind, local) {
        (Bind::Capture, Some(meant)) => meant.port(),
        _ => listener.port,
    };
    let mut ends =
        Ends { listener: served, peer, local, listener_port, tls: None, server_name: None };
    if listener.inspect.proxy_protocol {
        let limit = worker.settings.handshake_timeout;
        let taken = timeout(limit, proxy_protocol::take(&mut stream)).await;
        let header = taken.map_err(|_| Refusal::Slow(limit))?.map_err(Refusal::ProxyProtocol)?;
        if let Some((source, destination)) = header.ends {
            ends.peer = source;
            ends.local = Some(destination);
        }
    }
    let (stream, seen) = look(stream, listener, &ends).await?;
    let chosen = choose(listener, &ends, &seen);
    if chosen.as_ref().map_or(true, |chain| chain.tls.is_none()) {
        let asked_for = (!seen.server_name.is_empty()).then_some(seen.server_name);
        ends.server_name = asked_for.map(String::into_boxed_str);
    }
    let chain = chosen.inspect_err(|_| {
        // Who left before it was clear what is wanted was not refused.
        if !seen.is_over {
            worker.telemetry.log_refused(&ends, Refused::no_filter_chain());
        }
    })?;
    if chain.tls.is_none() {
        return Ok((chain, Stream::Tcp(stream), Rc::new(ends)));
    }
    let (stream, facts) = handshake(worker, &snapshot, (listener, chain), stream).await?;
    ends.tls = Some(Rc::new(facts));
    Ok((chain, stream, Rc::new(ends)))
}

/// Looks at the first bytes, for no longer than the listener says.
async fn look(
    stream: TcpStream,
    listener: &Listener,
    ends: &Ends,
) -> Result<(TcpStream, Seen), Refusal> {
    let sniffing = sniff(&stream, listener, ends.local);
    let seen = match listener.inspect.timeout.filter(|limit| !limit.is_zero()) {
        Some(limit) => timeout(limit, sniffing).await,
        None => Ok(sniffing.await),
    };
    match seen {
        Ok(seen) => Ok((stream, seen?)),
        // The event loop was told that there is nothing to read: it must learn that there may be.
        Err(_) => Ok((TcpStream::from_std(stream.into_std()?)?, Seen::nothing())),
    }
}

fn choose<'l>(
    listener: &'l Listener,
    ends: &Ends,
    seen: &Seen,
) -> Result<&'l FilterChain, NoFilterChain> {
    let protocols: Vec<&str> = seen.protocols.iter().map(String::as_str).collect();
    let connection = Connection {
        address: ends.local.map(|local| local.ip()),
        port: ends.listener_port,
        transport: seen.transport,
        server_name: &seen.server_name,
        protocols: &protocols,
    };
    filter_chain(listener, &connection)
}

/// Handshakes. Only so many clients do so at a time, and none for longer than the limit: cryptography is work that a stranger
/// can ask for.
async fn handshake(
    worker: &Worker,
    snapshot: &Snapshot,
    (listener, chain): (&Listener, &FilterChain),
    stream: TcpStream,
) -> Result<(Stream, TlsFacts), Refusal> {
    let tls = snapshot.server_tls(listener, chain).ok_or(Refusal::TlsNotReady)?;
    let limit = worker.settings.handshake_timeout;
    let shaking = async {
        let _permit = worker.handshakes.acquire().await;
        tls.accept(stream).await
    };
    let shaken = timeout(limit, shaking).await.map_err(|_| Refusal::Slow(limit))?;
    Ok(shaken?)
}
