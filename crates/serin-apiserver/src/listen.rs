//! The socket: TLS, HTTP/1.1 and HTTP/2 for clients outside of the process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::access::pki::{PkiError, ServerCertificate, client_names};
use crate::access::user::User;
use crate::server::{ApiServer, Connection};
use crate::verbs::services::KUBERNETES;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests that are under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to wait after the system had no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not this machine's.
    #[error("cannot listen at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] PkiError),
}

/// A server with its socket.
pub struct Listener {
    server: ApiServer,
    socket: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    certificate: Arc<ServerCertificate>,
}

impl Listener {
    /// Opens the socket.
    ///
    /// # Errors
    /// Fails where the address cannot be had.
    pub async fn open(server: ApiServer, address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let authority = &server.inner.authority;
        // Pods know it by the Service's address.
        let mut addresses =
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), IpAddr::V4(KUBERNETES)];
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
        let certificate = Arc::new(ServerCertificate::make(authority, addresses)?);
        let acceptor = TlsAcceptor::from(Arc::new(authority.tls(Arc::clone(&certificate))?));
        Ok(Self { server, socket, address, acceptor, certificate })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is there; then ends watches and lets requests that are under way finish.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        let mut renewal = tokio::time::interval(ServerCertificate::LIFETIME);
        renewal.tick().await;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer.ip(), connections.watcher()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                _ = renewal.tick() => {
                    if let Err(error) = self.certificate.renew(&self.server.inner.authority) {
                        tracing::error!(%error, "the server's certificate could not be renewed");
                    }
                }
            }
        }
        self.server.stop();
        // Who is not done by then is cut off.
        let _ = tokio::time::timeout(DRAIN, connections.shutdown()).await;
    }

    fn welcome(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let (server, acceptor) = (self.server.clone(), self.acceptor.clone());
        tokio::spawn(async move {
            // Latency matters more than packets; who cannot set it is served all the same.
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
            else {
                return;
            };
            let certificates = stream.get_ref().1.peer_certificates();
            let user =
                certificates.and_then(|all| client_names(all.first()?)).map(|(name, groups)| {
                    User::new(&name, &groups.iter().map(String::as_str).collect::<Vec<_>>())
                });
            let service = TowerToHyperService::new(Connection::new(server, user, peer));
            let builder = auto::Builder::new(TokioExecutor::new());
            let connection =
                builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}
