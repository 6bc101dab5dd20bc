//! A connection from its first byte: which filter chain reads it, and in which protocol.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use serin_routing::connection::{Connection, filter_chain};
use serin_routing::model::{FilterChain, Listener, NetworkFilter, TransportProtocol};
use tokio::net::TcpStream;

use crate::http;
use crate::io::Stream;
use crate::tcp;
use crate::worker::Worker;

/// Who is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) peer: SocketAddr,
    /// The address it reached.
    pub(crate) local: Option<SocketAddr>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    listener: Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let snapshot = worker.snapshot();
    let Some(listener) = snapshot.listener(&listener).cloned() else { return };
    let ends = Ends { peer, local: stream.local_addr().ok() };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(chain) = choose(&listener, &ends) else { return };
    if chain.tls.is_some() {
        return tracing::error!(listener = %listener.name, "TLS is not terminated; the connection is closed");
    }
    match &chain.filter {
        NetworkFilter::Http(http) => {
            http::serve(&worker, http, Stream::Tcp(stream), ends, None).await;
        }
        NetworkFilter::Tcp(proxy) => tcp::serve(&worker, proxy, stream, ends).await,
    }
}

fn choose<'l>(listener: &'l Listener, ends: &Ends) -> Option<&'l FilterChain> {
    let connection = Connection {
        address: ends.local.map(|local| local.ip()),
        port: ends.local.map_or(listener.port, |local| local.port()),
        transport: TransportProtocol::Plain,
        server_name: "",
        protocols: &[],
    };
    filter_chain(listener, &connection).ok()
}
