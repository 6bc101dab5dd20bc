//! The PROXY protocol: who the client of the load balancer in front is, before anything else on a connection
//! (HAProxy's specification, versions 1 and 2).
//!
//! A listener that asks for it takes no connection without it. Headers for what is no TCP connection are refused.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::sniff::{Look, look};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_PREFIX: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end.
const V1_LONGEST: usize = 107;
/// Bytes of version 2 before the addresses.
const V2_FIXED: usize = 16;
/// The longest header of version 2, with extensions.
const V2_LONGEST: usize = 4096;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    length: usize,
    /// Source and destination of the connection it speaks for; `None` if it speaks for none but itself.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
}

/// Takes the header from a connection.
pub(crate) async fn take(stream: &mut TcpStream) -> io::Result<Header> {
    let header = look(stream, parse).await?.ok_or(io::ErrorKind::InvalidData)?;
    let mut used = vec![0; header.length];
    stream.read_exact(&mut used).await?;
    Ok(header)
}

/// The header for a connection between two addresses.
pub(crate) fn write(version: u8, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = same_family(source, destination);
    if version == 1 {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        let ports = (source.port(), destination.port());
        return format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes();
    }
    let mut header = SIGNATURE.to_vec();
    header.push(0x21);
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[0x11, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            header.extend_from_slice(&[0x21, 0, 36]);
            header.extend_from_slice(&v6(from).octets());
            header.extend_from_slice(&v6(to).octets());
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    header
}

/// IPv4 addresses that came by an IPv6 socket are IPv4 again, and both ends are of one family.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |it: SocketAddr| SocketAddr::new(it.ip().to_canonical(), it.port());
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let wide = |it: SocketAddr| SocketAddr::new(IpAddr::V6(v6(it.ip())), it.port());
    (wide(source), wide(destination))
}

const fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn parse(bytes: &[u8]) -> Look<Header> {
    let begins = |known: &[u8]| bytes.starts_with(known) || known.starts_with(bytes);
    if begins(SIGNATURE) {
        parse_v2(bytes)
    } else if begins(V1_PREFIX) {
        parse_v1(bytes)
    } else {
        Look::Not
    }
}

fn parse_v1(bytes: &[u8]) -> Look<Header> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < V1_LONGEST { Look::More } else { Look::Not };
    };
    let length = end + 2;
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let ends = line.filter(|_| length <= V1_LONGEST).and_then(ends_of_line);
    ends.map_or(Look::Not, |ends| Look::Found(Header { length, ends }))
}

/// The ends of a line without its end; `None` if it is malformed.
fn ends_of_line(line: &str) -> Option<Option<(SocketAddr, SocketAddr)>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (from, to) = (words.next()?, words.next()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let (from, to): (IpAddr, IpAddr) = match family {
        "TCP4" => (Ipv4Addr::from_str(from).ok()?.into(), Ipv4Addr::from_str(to).ok()?.into()),
        "TCP6" => (Ipv6Addr::from_str(from).ok()?.into(), Ipv6Addr::from_str(to).ok()?.into()),
        _ => return None,
    };
    let ends = (SocketAddr::new(from, source_port), SocketAddr::new(to, destination_port));
    words.next().is_none().then_some(Some(ends))
}

/// A port as decimal digits without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text.bytes().all(|it| it.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn parse_v2(bytes: &[u8]) -> Look<Header> {
    let Some(&[command, family, high, low]) = bytes.get(12..V2_FIXED) else { return Look::More };
    let size = usize::from(u16::from_be_bytes([high, low]));
    let length = V2_FIXED + size;
    if length > V2_LONGEST {
        return Look::Not;
    }
    let Some(addresses) = bytes.get(V2_FIXED..length) else { return Look::More };
    let ends = match (command, family) {
        // The load balancer speaks for itself, say to see whether anybody is there.
        (0x20, _) | (0x21, 0x00) => Some(None),
        (0x21, 0x11) => ends_v4(addresses).map(Some),
        (0x21, 0x21) => ends_v6(addresses).map(Some),
        _ => None,
    };
    ends.map_or(Look::Not, |ends| Look::Found(Header { length, ends }))
}

fn ends_v4(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    Some((
        SocketAddr::new(ip(0)?, port_at(bytes, 8)?),
        SocketAddr::new(ip(4)?, port_at(bytes, 10)?),
    ))
}

fn ends_v6(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
    Some((
        SocketAddr::new(ip(0)?, port_at(bytes, 32)?),
        SocketAddr::new(ip(16)?, port_at(bytes, 34)?),
    ))
}

fn port_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
