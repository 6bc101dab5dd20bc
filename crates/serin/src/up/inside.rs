//! How the hooks and metrics of releases are reached: Services of this cluster by their names, and everything else as the
//! system does.
//!
//! A pod's address exists only in the pod's own network, so the connection is made there.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use rustls::RootCertStore;
use serin_operator::{Dial, Stream, System, Trust};
use serin_proxy::Networks;
use socket2::{Domain, Socket};
use tokio::net::TcpSocket;
use tokio::runtime::Handle;

/// A thread waits no longer for a connection.
const LIMIT: Duration = Duration::from_secs(5);
/// The ends of names that mean a Service of this cluster.
const DOMAINS: [&str; 2] = [".svc.cluster.local", ".svc"];
/// Where a name without a namespace is looked for.
const NAMESPACES: [&str; 2] = ["default", "istio-system"];

/// The cluster's own Services, and the world.
pub(super) struct Inside {
    client: kube::Client,
    networks: Arc<dyn Networks>,
}

impl Inside {
    pub(super) fn new(client: kube::Client, networks: Arc<dyn Networks>) -> Self {
        Self { client, networks }
    }

    /// A ready pod of the Service that a host names; `None` if it names none.
    async fn endpoint(&self, host: &str, port: u16) -> io::Result<Option<SocketAddr>> {
        let name = DOMAINS.iter().find_map(|it| host.strip_suffix(it)).unwrap_or(host);
        let (name, namespaces) = match name.split_once('.') {
            Some((_, namespace)) if namespace.contains('.') => return Ok(None),
            Some((name, namespace)) => (name, vec![namespace]),
            None => (name, NAMESPACES.to_vec()),
        };
        for namespace in namespaces {
            let services = Api::<Service>::namespaced(self.client.clone(), namespace);
            let Some(service) = services.get_opt(name).await.map_err(io::Error::other)? else {
                continue;
            };
            let ports = service.spec.and_then(|it| it.ports).unwrap_or_default();
            let Some(found) = ports.into_iter().find(|it| it.port == i32::from(port)) else {
                let why = format!("the Service {namespace}/{name} has no port {port}");
                return Err(io::Error::other(why));
            };
            let address = self.ready(namespace, name, found.name.as_deref()).await?;
            let none =
                || io::Error::other(format!("no pod of the Service {namespace}/{name} is ready"));
            return address.map(Some).ok_or_else(none);
        }
        Ok(None)
    }

    async fn ready(
        &self,
        namespace: &str,
        service: &str,
        port: Option<&str>,
    ) -> io::Result<Option<SocketAddr>> {
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), namespace);
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = slices.list(&of).await.map_err(io::Error::other)?;
        let found = slices.items.iter().find_map(|slice| {
            let mut ports = slice.ports.iter().flatten();
            let number =
                ports.find(|it| it.name.as_deref().unwrap_or("") == port.unwrap_or(""))?.port?;
            let is_ready = |it: &&k8s_openapi::api::discovery::v1::Endpoint| {
                it.conditions.as_ref().is_none_or(|it| it.ready != Some(false))
            };
            let endpoint = slice.endpoints.iter().find(is_ready)?;
            let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
            Some(SocketAddr::new(address, u16::try_from(number).ok()?))
        });
        Ok(found)
    }

    /// Connects for threads that wait until it is done. To be called on the runtime.
    pub(super) fn for_threads(self: &Arc<Self>) -> super::told::Connect {
        let (inside, runtime) = (Arc::clone(self), Handle::current());
        Arc::new(move |authority| {
            let name = authority
                .rsplit_once(':')
                .and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) = name.ok_or(io::ErrorKind::InvalidInput)?;
            let Some(address) = runtime.block_on(inside.endpoint(host, port))? else {
                return TcpStream::connect(authority);
            };
            let network = inside.networks.network_of(address.ip());
            let network = network.ok_or(io::ErrorKind::ConnectionRefused)?;
            let socket = Socket::from(network.socket(Domain::for_address(address))?);
            socket.set_nonblocking(false)?;
            socket.connect_timeout(&address.into(), LIMIT)?;
            Ok(socket.into())
        })
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let network =
            self.networks.network_of(address.ip()).ok_or(io::ErrorKind::ConnectionRefused)?;
        let socket = Socket::from(network.socket(Domain::for_address(address))?);
        socket.set_nonblocking(true)?;
        let stream = TcpSocket::from_std_stream(TcpStream::from(socket)).connect(address).await?;
        Ok(Box::new(stream))
    }
}

impl Dial for Inside {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            match self.endpoint(host, port).await? {
                Some(address) => self.connect(address).await,
                None => System.dial(host, port).await,
            }
        })
    }
}

/// The authorities that this machine trusts.
pub(crate) fn trust() -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Trust::new(roots)
}
