//! The first message of TLS, as far as connections are told apart by it (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1).
//!
//! It is read here and not by the TLS library, which refuses messages that passing on does not depend on.

use super::{LIMIT, Look};

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;

/// What a client says first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// Lower-case; empty if it names none.
    pub(super) server_name: String,
    /// By ALPN, preferred first.
    pub(super) protocols: Vec<String>,
}

impl ClientHello {
    /// Reads it from the first bytes of a connection.
    pub(super) fn read(bytes: &[u8]) -> Look<Self> {
        let Some((message, is_end)) = handshake(bytes) else { return Look::Not };
        let mut message = Cursor(&message);
        match message.number(1) {
            Some(kind) if kind != usize::from(CLIENT_HELLO) => return Look::Not,
            _ => {}
        }
        let length = message.number(3);
        if length.is_some_and(|length| length > LIMIT) {
            return Look::Not;
        }
        match length.and_then(|length| message.take(length)) {
            Some(body) => Self::parse(Cursor(body)).map_or(Look::Not, Look::Found),
            None if is_end => Look::Not,
            None => Look::More,
        }
    }

    fn parse(mut body: Cursor<'_>) -> Option<Self> {
        // Version and random bytes, session, suites, compression.
        body.take(2 + 32)?;
        body.vector(1)?;
        body.vector(2)?;
        body.vector(1)?;
        let mut hello = Self::default();
        if body.0.is_empty() {
            return Some(hello);
        }
        let mut extensions = Cursor(body.vector(2)?);
        while !extensions.0.is_empty() {
            let kind = extensions.number(2)?;
            let mut data = Cursor(extensions.vector(2)?);
            if kind == usize::from(SERVER_NAME) {
                let mut names = Cursor(data.vector(2)?);
                if names.number(1)? == usize::from(HOST_NAME) {
                    let name = std::str::from_utf8(names.vector(2)?).ok()?;
                    hello.server_name = name.to_ascii_lowercase();
                }
            } else if kind == usize::from(APPLICATION_PROTOCOLS) {
                let mut protocols = Cursor(data.vector(2)?);
                while !protocols.0.is_empty() {
                    let protocol = String::from_utf8_lossy(protocols.vector(1)?);
                    hello.protocols.push(protocol.into_owned());
                }
            }
        }
        Some(hello)
    }
}

/// The content of the handshake records at the beginning, which a message may be spread over, and whether anything else follows
/// them. `None` if it does not begin with one.
fn handshake(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut content = Vec::new();
    let mut rest = Cursor(bytes);
    loop {
        let is_first = content.is_empty();
        match rest.0.first() {
            None => return Some((content, false)),
            Some(&kind) if kind != HANDSHAKE_RECORD => {
                return if is_first { None } else { Some((content, true)) };
            }
            Some(_) => {}
        }
        if rest.0.get(1).is_some_and(|&major| major != 3) {
            return None;
        }
        let Some(_) = rest.take(3) else { return Some((content, false)) };
        match rest.number(2) {
            None => return Some((content, false)),
            // An empty record, or one that is larger than records may be.
            Some(length) if length == 0 || length > (1 << 14) + 256 => return None,
            Some(length) => match rest.take(length) {
                Some(fragment) => content.extend_from_slice(fragment),
                None => {
                    content.extend_from_slice(rest.0);
                    return Some((content, false));
                }
            },
        }
    }
}

/// What is left to read.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, size: usize) -> Option<usize> {
        Some(self.take(size)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// Bytes after their number, which has `size` bytes.
    fn vector(&mut self, size: usize) -> Option<&'b [u8]> {
        let length = self.number(size)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests;
