//! Opening a connection to an endpoint.

use std::io;
use std::time::Duration;

use serin_routing::model::EndpointAddress;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::io::Stream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The endpoint refused, or cannot be reached.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// It took longer than the cluster's connect timeout.
    #[error("connecting took longer than {0:?}")]
    Timeout(Duration),
}

/// Opens a connection.
pub(crate) async fn connect(
    address: &EndpointAddress,
    limit: Duration,
) -> Result<Stream, ConnectError> {
    let attempt = async {
        match address {
            EndpointAddress::Socket(ip, port) => tcp(TcpStream::connect((*ip, *port)).await?),
            EndpointAddress::Name(name, port) => tcp(TcpStream::connect((&**name, *port)).await?),
            EndpointAddress::Unix(path) => UnixStream::connect(&**path).await.map(Stream::Unix),
        }
    };
    match timeout(limit, attempt).await {
        Ok(connected) => connected.map_err(ConnectError::Io),
        Err(_) => Err(ConnectError::Timeout(limit)),
    }
}

fn tcp(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}
