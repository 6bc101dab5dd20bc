//! Opening a connection to an endpoint: TCP or a Unix socket, the PROXY protocol's header, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::model::{ClusterTls, EndpointAddress, KeepAlive, UpstreamTlsMode};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use super::Target;
use crate::io::Stream;
use crate::network::{self, Networks};
use crate::proxy_protocol;
use crate::snapshot::SharedCluster;
use crate::tls::ClientTls;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The endpoint refused, or cannot be reached.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// It took longer than the cluster's connect timeout.
    #[error("connecting took longer than {0:?}")]
    Timeout(Duration),
    /// The TLS handshake failed, or the endpoint's certificate is not what it must be.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The cluster's certificates or TLS settings cannot be used.
    #[error("{0}")]
    TlsNotReady(String),
}

impl ConnectError {
    /// Why the transport failed, for `%UPSTREAM_TRANSPORT_FAILURE_REASON%`; `None` if nothing is known of it. In Envoy's words, which have
    /// no spaces.
    pub(crate) fn transport_failure(&self) -> Option<String> {
        let text = match self {
            Self::Io(error) => format!("delayed connect error: {}", without_number(error)),
            Self::Tls(error) => format!("TLS_error:|{error}:TLS_error_end"),
            Self::TlsNotReady(reason) => format!("TLS_error:|{reason}:TLS_error_end"),
            Self::Timeout(_) => return None,
        };
        Some(text.replace(' ', "_"))
    }

    /// It was time that ran out.
    pub(crate) const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}

/// What the system says, without the number that the library adds.
fn without_number(error: &io::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.find(" (os error ").unwrap_or(text.len()));
    text
}

/// What a connection is opened with, beside the endpoint's address. Connections that differ in it are not for one another's
/// requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Manner {
    /// With TLS, and the server name that is asked for.
    pub(crate) server_name: Option<Arc<str>>,
    /// The ends that a PROXY protocol header tells.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
}

impl Manner {
    /// How connections of a cluster to an endpoint are opened for a client's request to a host.
    pub(crate) fn of(
        cluster: &SharedCluster,
        target: &Target,
        host: &str,
        ends: Option<(SocketAddr, SocketAddr)>,
    ) -> Self {
        let is_tls = match &cluster.cluster.tls {
            ClusterTls::Plain => false,
            ClusterTls::Always(tls) => tls.mode != UpstreamTlsMode::IstioMutual || !target.is_here,
            ClusterTls::Automatic(_) => target.takes_mesh_tls(),
        };
        let server_name = |tls: &Arc<ClientTls>| tls.server_name(host);
        let name = match &cluster.tls {
            Some(Ok(tls)) if is_tls => Some(server_name(tls)),
            _ if is_tls => Some(Arc::default()),
            _ => None,
        };
        Self { server_name: name, ends: ends.filter(|_| cluster.cluster.proxy_protocol.is_some()) }
    }
}

/// Opens a connection. The cluster's connect timeout is for everything until bytes can be sent.
pub(crate) async fn connect(
    networks: Option<&dyn Networks>,
    cluster: &SharedCluster,
    address: &EndpointAddress,
    manner: &Manner,
) -> Result<Stream, ConnectError> {
    let limit = cluster.cluster.connect_timeout;
    match timeout(limit, open(networks, cluster, address, manner)).await {
        Ok(connected) => connected,
        Err(_) => Err(ConnectError::Timeout(limit)),
    }
}

async fn open(
    networks: Option<&dyn Networks>,
    cluster: &SharedCluster,
    address: &EndpointAddress,
    manner: &Manner,
) -> Result<Stream, ConnectError> {
    let mut stream = transport(networks, address).await.map_err(ConnectError::Io)?;
    if let Stream::Tcp(stream) = &stream {
        prepare(stream, cluster.cluster.keep_alive.as_ref()).map_err(ConnectError::Io)?;
    }
    if let (Some(version), Some((source, destination))) =
        (cluster.cluster.proxy_protocol, manner.ends)
    {
        let header = proxy_protocol::write(version, source, destination);
        stream.write_all(&header).await.map_err(ConnectError::Io)?;
    }
    let Some(server_name) = &manner.server_name else { return Ok(stream) };
    let tls = match &cluster.tls {
        Some(Ok(tls)) => tls,
        Some(Err(error)) => return Err(ConnectError::TlsNotReady(error.to_string())),
        None => return Err(ConnectError::TlsNotReady("there is no TLS for the mesh".to_owned())),
    };
    match stream {
        Stream::Tcp(stream) => tls.connect(stream, server_name).await.map_err(ConnectError::Tls),
        Stream::Unix(_) | Stream::Tls(_) => {
            let reason = "TLS goes over TCP only";
            Err(ConnectError::Tls(io::Error::new(io::ErrorKind::Unsupported, reason)))
        }
    }
}

async fn transport(
    networks: Option<&dyn Networks>,
    address: &EndpointAddress,
) -> io::Result<Stream> {
    match address {
        EndpointAddress::Socket(ip, port) => {
            let address = SocketAddr::new(*ip, *port);
            let stream = match network::towards(networks, *ip)? {
                None => TcpStream::connect(address).await?,
                Some(network) => {
                    let socket = network::tcp_socket(address, Some(&*network))?;
                    socket.set_nonblocking(true)?;
                    TcpSocket::from_std_stream(socket.into()).connect(address).await?
                }
            };
            Ok(Stream::Tcp(stream))
        }
        EndpointAddress::Name(name, port) => {
            TcpStream::connect((&**name, *port)).await.map(Stream::Tcp)
        }
        EndpointAddress::Unix(path) => UnixStream::connect(&**path).await.map(Stream::Unix),
    }
}

fn prepare(stream: &TcpStream, keep_alive: Option<&KeepAlive>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(keep_alive) = keep_alive else { return Ok(()) };
    let mut probes = TcpKeepalive::new();
    if let Some(time) = keep_alive.time {
        probes = probes.with_time(time);
    }
    if let Some(interval) = keep_alive.interval {
        probes = probes.with_interval(interval);
    }
    if let Some(count) = keep_alive.probes {
        probes = probes.with_retries(count);
    }
    SockRef::from(stream).set_tcp_keepalive(&probes)
}
