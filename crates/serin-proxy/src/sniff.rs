//! What a connection's first bytes say before any of them is taken: TLS with its server name and protocols, HTTP, or neither.
//!
//! Bytes are peeked at: whatever reads the connection afterwards finds all of them. Only connections that could go to more
//! than one filter chain by such facts are looked at, because protocols in which the server speaks first would wait for ever.

mod client_hello;
mod http;

use std::io;
use std::net::SocketAddr;

use rustix::net::{RecvFlags, recv};
use serin_routing::connection::asks;
use serin_routing::model::{Listener, TransportProtocol};
use tokio::io::Interest;
use tokio::net::TcpStream;

use client_hello::ClientHello;

/// Most bytes that are looked at (Envoy's limit of a ClientHello).
const LIMIT: usize = 16 * 1024;

/// What some first bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    /// It.
    Found(T),
    /// Something else, whatever follows.
    Not,
    /// More bytes will tell.
    More,
}

/// What is known of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) transport: TransportProtocol,
    /// Lower-case; empty if there is none.
    pub(crate) server_name: String,
    pub(crate) protocols: Vec<String>,
    /// The client has ended before more was clear.
    pub(crate) is_over: bool,
}

impl Seen {
    /// Nothing was looked at, or nothing was recognised.
    pub(crate) const fn nothing() -> Self {
        Self {
            transport: TransportProtocol::Plain,
            server_name: String::new(),
            protocols: Vec::new(),
            is_over: false,
        }
    }
}

/// Looks at as much of a connection as the choice of a filter chain needs.
pub(crate) async fn sniff(
    stream: &TcpStream,
    listener: &Listener,
    local: Option<SocketAddr>,
) -> io::Result<Seen> {
    let asks = asks(listener, local.map(|it| it.ip()), local.map_or(listener.port, |it| it.port()));
    let looks_for_tls = listener.inspect.tls && asks.tls;
    match see(stream, (looks_for_tls, listener.inspect.http && asks.http)).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Seen { is_over: true, ..Seen::nothing() })
        }
        seen => seen,
    }
}

async fn see(stream: &TcpStream, (tls, http): (bool, bool)) -> io::Result<Seen> {
    let mut seen = Seen::nothing();
    if tls && let Some(hello) = look(stream, ClientHello::read).await? {
        seen.transport = TransportProtocol::Tls;
        seen.server_name = hello.server_name;
        seen.protocols = hello.protocols;
    } else if http {
        let version = look(stream, http::version).await?;
        seen.protocols.extend(version.map(str::to_owned));
    }
    Ok(seen)
}

/// Peeks at more and more bytes until it is clear what they are. That they end before is an error.
pub(crate) async fn look<T>(
    stream: &TcpStream,
    read: impl Fn(&[u8]) -> Look<T>,
) -> io::Result<Option<T>> {
    let mut space = vec![0; LIMIT];
    let mut before = 0;
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let peeked = stream.try_io(Interest::READABLE, || {
            let (_, count) = recv(stream, &mut *space, RecvFlags::PEEK)?;
            // That there is nothing new is as good as nothing: the event loop tells when there is.
            if count == before && !ready.is_read_closed() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        let count = match peeked {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let is_over = count == before;
        before = count;
        match read(space.get(..count).unwrap_or_default()) {
            Look::Found(found) => return Ok(Some(found)),
            Look::Not => return Ok(None),
            Look::More if is_over => return Err(io::ErrorKind::UnexpectedEof.into()),
            Look::More if count == space.len() => return Ok(None),
            Look::More => {}
        }
    }
}
