//! HTTP/1 towards an endpoint.

use std::net::SocketAddr;

use serin_http1::{
    Error, FieldName, Framing, Head, Kind, Limits, Version, request_line, response_framing,
    write_field,
};
use serin_routing::breaker;
use serin_routing::time::Instant;

use super::UpstreamError;
use super::pool::Open;
use crate::body::{Http1Sink, Http1Source};
use crate::clock::Clock;
use crate::io::{Buffer, BufferPool, Io, Stream};
use crate::memory;
use crate::request::{Request, Upgrade};
use crate::response::Response;

/// A connection that speaks HTTP/1.
pub(crate) struct Http1Connection {
    io: Io,
    input: Buffer,
    requests: u32,
    opened: Instant,
    _open: Open,
}

impl Http1Connection {
    pub(super) fn new(stream: Stream, buffers: &BufferPool, open: Open) -> Self {
        Self {
            opened: open.now(),
            io: Io::new(stream),
            input: Buffer::new(buffers),
            requests: 0,
            _open: open,
        }
    }

    /// Begins a request.
    pub(super) fn call(
        &mut self,
        request: &Request,
        is_empty: bool,
    ) -> (Http1Sink<'_>, Http1Answer<'_>) {
        self.requests = self.requests.saturating_add(1);
        let framing = framing(request, is_empty);
        let head = request_head(request, framing);
        let is_tunnel = request.is_tunnel();
        let sink = if is_tunnel {
            Http1Sink::tunnel(&self.io, head)
        } else {
            Http1Sink::new(&self.io, head, framing)
        };
        let method = match request.method_text() {
            b"HEAD" => &b"HEAD"[..],
            b"CONNECT" => b"CONNECT",
            _ => b"",
        };
        let answer = Http1Answer {
            io: &self.io,
            input: &mut self.input,
            method,
            is_tunnel,
            framing: Framing::None,
            keep_alive: false,
        };
        (sink, answer)
    }

    /// This side's address.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.io.local_addr()
    }

    /// Whether it may serve another request.
    pub(super) fn may_serve(&self, clock: Clock, limits: &breaker::Limits) -> bool {
        let most = limits.max_requests_per_connection;
        let is_young = |limit| clock.now().since(self.opened) < limit;
        (most == 0 || self.requests < most) && limits.max_connection_duration.is_none_or(is_young)
    }

    /// Whether the peer has sent or closed something while nothing was asked.
    pub(super) fn has_news(&self) -> bool {
        !self.input.is_empty() || self.io.has_news()
    }

    /// Gives buffers back until the next request.
    pub(super) fn rest(&mut self) {
        self.input.release();
    }
}

/// How the request's body goes upstream.
fn framing(request: &Request, is_empty: bool) -> Framing {
    if is_empty {
        return Framing::None;
    }
    let length = request.headers.known(FieldName::ContentLength);
    let length = length.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    length.map_or(Framing::Chunked, Framing::Length)
}

fn request_head(request: &Request, framing: Framing) -> Vec<u8> {
    let mut head = memory::take();
    request_line(&mut head, request.method_text(), request.target_text());
    write_field(&mut head, b"host", request.authority_text());
    let without = (framing == Framing::Chunked).then_some(FieldName::ContentLength);
    request.headers.write(&mut head, without);
    let has_length = request.headers.known(FieldName::ContentLength).is_some();
    match framing {
        Framing::Chunked => write_field(&mut head, b"transfer-encoding", b"chunked"),
        Framing::None if !has_length && is_usually_with_body(request) => {
            write_field(&mut head, b"content-length", b"0");
        }
        _ => {}
    }
    if request.upgrade == Upgrade::WebSocket {
        write_field(&mut head, b"connection", b"upgrade");
        write_field(&mut head, b"upgrade", b"websocket");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Whether a server may wait for a body where nothing is said of one (RFC 9110 §8.6).
fn is_usually_with_body(request: &Request) -> bool {
    !matches!(request.method_text(), b"GET" | b"HEAD" | b"DELETE" | b"TRACE" | b"CONNECT")
}

/// An answer as it comes on a connection.
pub(crate) struct Http1Answer<'c> {
    io: &'c Io,
    input: &'c mut Buffer,
    /// `HEAD`, `CONNECT` or nothing: which answers have no body whatever they say.
    method: &'static [u8],
    is_tunnel: bool,
    framing: Framing,
    keep_alive: bool,
}

impl<'c> Http1Answer<'c> {
    /// Reads the next head.
    pub(super) async fn head(&mut self, limits: Limits) -> Result<Response, UpstreamError> {
        loop {
            if !self.input.is_empty()
                && let Some(response) = self.take_over(limits).map_err(UpstreamError::Malformed)?
            {
                return Ok(response);
            }
            match self.input.fill(self.io).await {
                Ok(0) => return Err(UpstreamError::Closed),
                Ok(_) => {}
                Err(error) => return Err(UpstreamError::Read(error)),
            }
        }
    }

    /// Takes over a head, if it is complete.
    fn take_over(&mut self, limits: Limits) -> Result<Option<Response>, Error> {
        memory::with_head(|head: &mut Head| {
            if head.read(Kind::Response, self.input.data_mut(), limits)?.is_none() {
                return Ok(None);
            }
            let buffer = self.input.data();
            self.framing = response_framing(head, buffer, self.method)?;
            self.keep_alive = self.framing != Framing::UntilClose && keeps_alive(head, buffer);
            let is_agreed = self.method == b"CONNECT" && matches!(head.status(), 200..=299);
            // Who switches says to what (RFC 9110 §15.2.2), and that is what was asked for.
            let to_websocket = || {
                head.all(FieldName::Upgrade)
                    .any(|field| has_token(field.value(buffer), b"websocket"))
            };
            if head.status() == 101 && !(self.is_tunnel && to_websocket()) {
                return Err(Error::UnwantedSwitch);
            }
            if head.status() == 101 || is_agreed {
                (self.framing, self.keep_alive) = (Framing::UntilClose, false);
            }
            let mut response = Response::default();
            response.read_http1(head, buffer);
            self.input.consume(head.length());
            Ok(Some(response))
        })
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    pub(super) const fn is_reusable(&self) -> bool {
        self.keep_alive
    }

    pub(super) fn into_body(self) -> Http1Source<'c> {
        Http1Source::new(self.io, self.input, self.framing)
    }
}

/// Whether a connection is to be used again after a message (RFC 9112 §9.3).
pub(crate) fn keeps_alive(head: &Head, buffer: &[u8]) -> bool {
    let mentions = |token: &[u8]| {
        head.all(FieldName::Connection).any(|field| has_token(field.value(buffer), token))
    };
    match head.version() {
        Version::Http11 => !mentions(b"close"),
        Version::Http10 => mentions(b"keep-alive") && !mentions(b"close"),
    }
}

/// Whether a comma-separated list has a token, without regard to case.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
