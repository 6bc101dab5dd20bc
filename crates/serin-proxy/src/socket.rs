//! Listening sockets: one per listener and worker, sharing the port (SO_REUSEPORT).

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Length of the kernel's queue of connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address. The first is bound alone to learn whether somebody else has the port: with
/// SO_REUSEPORT a second process of the same user would silently share it. Not so if the port is `shared` with sockets of ours.
/// Sockets that are `inherited` are used first, all of them.
pub(crate) fn bind(
    address: SocketAddr,
    count: usize,
    shared: bool,
    mut inherited: Vec<TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    if let Some(first) = inherited.first() {
        address = first.local_addr()?;
    } else if !shared || address.port() == 0 {
        let probe = open(address)?;
        probe.bind(&address.into())?;
        address = probe.local_addr()?.as_socket().unwrap_or(address);
    }
    for _ in inherited.len()..count {
        inherited.push(listen(address)?);
    }
    Ok(inherited)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}
