//! What a pod's network needs of netlink: messages are built from bytes, sent in one piece, and each must be acknowledged.
//!
//! The layouts are the kernel's: `linux/netlink.h`, `rtnetlink.h`, `netfilter/nf_tables.h`.

use std::io;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

const HEADER: usize = 16;
const ERROR: u16 = 2;

pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

/// Bytes of a message, or of a nested attribute.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    /// Starts with a fixed part.
    pub(super) fn new(fixed: &[u8]) -> Self {
        Self(fixed.to_vec())
    }

    /// Adds an attribute.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // Attributes are far shorter than 64 KiB.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute that is made of attributes.
    pub(super) fn nested(self, kind: u16, inner: &Self) -> Self {
        self.attribute(kind | NESTED, &inner.0)
    }

    /// Adds a text, ended by a zero byte.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds a number in network order, as netfilter has them.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }
}

/// Messages that are sent together.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    acknowledged: usize,
}

impl Batch {
    /// Adds a message.
    pub(super) fn message(&mut self, kind: u16, flags: u16, payload: &Bytes) {
        self.sequence += 1;
        self.acknowledged += usize::from(flags & ACK != 0);
        let length = u32::try_from(HEADER + payload.0.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(&payload.0);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Sends all and waits until every message that asks for it is acknowledged.
    pub(super) fn send(self, protocol: Option<Protocol>) -> io::Result<()> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        send(&socket, &self.bytes, SendFlags::empty())?;
        let mut missing = self.acknowledged;
        let mut buffer = vec![0; 16 * 1024];
        while missing > 0 {
            let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, body, next)) = split(rest) {
                if kind == ERROR {
                    let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    missing = missing.saturating_sub(1);
                }
                rest = next;
            }
        }
        Ok(())
    }
}

/// Kind, body, and what follows the first message.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk::<4>()?)).ok()?;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let body = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}
