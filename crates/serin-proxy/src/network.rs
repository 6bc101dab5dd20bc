//! Where sockets are made: in the host's network, or in one of a pod's own.
//!
//! A pod's network has no link to any other. What listens for its connections is a socket that was made inside it, and so is what
//! reaches it: a socket belongs for its whole life to the network that its thread saw when it was made, and can be used from any
//! thread afterwards. Which address is whose is for the node to know.

#[cfg(target_os = "linux")]
mod namespace;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serin_routing::model::EndpointAddress;
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
pub use namespace::Namespace;

/// A network to make sockets in.
pub trait Network: fmt::Debug + Send + Sync {
    /// A socket for TCP in this network. It is asked for in the course of a request and must take microseconds.
    ///
    /// # Errors
    /// The network is gone, or there are no more descriptors.
    fn socket(&self, domain: Domain) -> io::Result<OwnedFd>;
}

/// The networks of the pods on this machine, by address.
pub trait Networks: fmt::Debug + Send + Sync {
    /// The network that an address is in; `None` for the host's, and for those that nobody has.
    fn network_of(&self, address: IpAddr) -> Option<Arc<dyn Network>>;

    /// Whether an address belongs to the cluster on this machine (a pod's or a Service's), whether or not somebody has it at the
    /// moment: if not, it cannot be reached, and is not looked for in the host's network.
    fn owns(&self, address: IpAddr) -> bool;

    /// The endpoint that the next connection to a Service's name or address goes to: what the cluster's DNS and kube-proxy do for whoever
    /// knows no more than these. `None` if they are no Service's, or the Service has no endpoint. It is asked for in the course of a
    /// request.
    fn behind(&self, service: &EndpointAddress) -> Option<SocketAddr>;
}

/// The network that an address is reached in; `None` is the host's.
///
/// # Errors
/// Nobody has the address: the connection is refused.
pub(crate) fn towards(
    networks: Option<&dyn Networks>,
    address: IpAddr,
) -> io::Result<Option<Arc<dyn Network>>> {
    let Some(networks) = networks else { return Ok(None) };
    match networks.network_of(address) {
        None if networks.owns(address) => Err(io::ErrorKind::ConnectionRefused.into()),
        found => Ok(found),
    }
}

/// A socket for TCP in a network.
pub(crate) fn tcp_socket(address: SocketAddr, network: Option<&dyn Network>) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    match network {
        Some(network) => network.socket(domain).map(Socket::from),
        None => Socket::new(domain, Type::STREAM, Some(Protocol::TCP)),
    }
}

/// Length of the kernel's queue of connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address in a network, sharing its port (SO_REUSEPORT). The first is bound alone to learn whether
/// somebody else has the port: with SO_REUSEPORT a second process of the same user would silently share it. Not so if the port is
/// `shared` with sockets of ours. Sockets that are `inherited` are used first, all of them.
pub(crate) fn bind(
    address: SocketAddr,
    (network, count): (Option<&dyn Network>, usize),
    shared: bool,
    mut inherited: Vec<TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    if let Some(first) = inherited.first() {
        address = first.local_addr()?;
    } else if !shared || address.port() == 0 {
        let probe = open(address, network)?;
        probe.bind(&address.into())?;
        address = probe.local_addr()?.as_socket().unwrap_or(address);
    }
    for _ in inherited.len()..count {
        inherited.push(listen(address, network)?);
    }
    Ok(inherited)
}

fn listen(address: SocketAddr, network: Option<&dyn Network>) -> io::Result<TcpListener> {
    let socket = open(address, network)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    // Connections that are accepted take it over from here, without a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn open(address: SocketAddr, network: Option<&dyn Network>) -> io::Result<Socket> {
    let socket = tcp_socket(address, network)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Where a connection was meant to go before the system redirected it here (`SO_ORIGINAL_DST`); where it arrived if it was not
/// redirected.
pub(crate) fn meant_for(stream: &tokio::net::TcpStream) -> Option<SocketAddr> {
    let local = stream.local_addr().ok()?;
    let original = redirected(stream, local);
    Some(original.unwrap_or(local))
}

#[cfg(target_os = "linux")]
fn redirected(stream: &tokio::net::TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
    // A listener on all addresses of IPv6 has connections of IPv4 too, which are known to the system as such.
    let is_ipv4 = local.ip().to_canonical().is_ipv4();
    if is_ipv4 {
        return ip_original_dst(stream).ok().map(SocketAddr::V4);
    }
    ipv6_original_dst(stream).ok().map(SocketAddr::V6)
}

#[cfg(not(target_os = "linux"))]
fn redirected(_stream: &tokio::net::TcpStream, _local: SocketAddr) -> Option<SocketAddr> {
    None
}
