//! HTTP/1 towards an endpoint.

use std::io;

use serin_http1::{FieldName, Framing, Head, Kind, Limits, Version, response_framing};
use serin_routing::breaker::Permit;

use crate::io::{Buffer, BufferPool, Io, Stream};

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Reading the response failed.
    #[error("reading the response failed")]
    Read(#[source] io::Error),
    /// The connection ended before the response began.
    #[error("the connection ended before the response")]
    Closed,
    /// The response is malformed.
    #[error("the response is malformed")]
    Malformed(#[source] serin_http1::Error),
}

/// A connection that speaks HTTP/1.
pub(crate) struct Http1Connection {
    io: Io,
    input: Buffer,
    head: Head,
    /// Memory for heads of requests.
    head_buffer: Vec<u8>,
    requests: u32,
    _permit: Permit,
}

/// The two directions of a connection, to be used at the same time.
pub(crate) struct Parts<'c> {
    pub(crate) io: &'c Io,
    pub(crate) input: &'c mut Buffer,
    head: &'c mut Head,
}

impl Http1Connection {
    pub(crate) fn new(stream: Stream, buffers: &BufferPool, permit: Permit) -> Self {
        let (head, head_buffer) = (Head::default(), Vec::new());
        Self {
            io: Io::new(stream),
            input: Buffer::new(buffers),
            head,
            head_buffer,
            requests: 0,
            _permit: permit,
        }
    }

    /// The directions.
    pub(crate) const fn parts(&mut self) -> Parts<'_> {
        Parts { io: &self.io, input: &mut self.input, head: &mut self.head }
    }

    /// Memory for the head of the next request.
    pub(crate) fn take_head_buffer(&mut self) -> Vec<u8> {
        self.requests = self.requests.saturating_add(1);
        std::mem::take(&mut self.head_buffer)
    }

    /// How many requests it has served.
    pub(crate) const fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether the peer has sent or closed something while nothing was asked.
    pub(crate) fn has_news(&self) -> bool {
        !self.input.is_empty() || self.io.has_news()
    }

    /// Gives buffers back until the next request.
    pub(crate) fn rest(&mut self) {
        self.input.release();
    }

    /// The head was copied: what follows is the body.
    pub(crate) fn consume_head(&mut self) {
        self.input.consume(self.head.length());
    }
}

impl Parts<'_> {
    /// Waits until something of an answer is there, or the connection has failed, which reading will tell.
    pub(crate) async fn wait_for_answer(&mut self) {
        while self.input.is_empty() {
            if !matches!(self.input.fill(self.io).await, Ok(1..)) {
                return;
            }
        }
    }

    /// Reads the head of the final response; interim ones are passed over.
    pub(crate) async fn read_head(
        &mut self,
        method: &[u8],
        limits: Limits,
    ) -> Result<ResponseHead<'_>, UpstreamError> {
        loop {
            let complete = self.head.read(Kind::Response, self.input.data_mut(), limits);
            if complete.map_err(UpstreamError::Malformed)?.is_none() {
                match self.input.fill(self.io).await {
                    Ok(0) => return Err(UpstreamError::Closed),
                    Ok(_) => continue,
                    Err(error) => return Err(UpstreamError::Read(error)),
                }
            }
            if !matches!(self.head.status(), 100 | 102..=199) {
                break;
            }
            self.input.consume(self.head.length());
        }
        let (head, buffer) = (&*self.head, self.input.data());
        let framing = response_framing(head, buffer, method).map_err(UpstreamError::Malformed)?;
        let keep_alive =
            framing != Framing::UntilClose && head.status() != 101 && keeps_alive(head, buffer);
        Ok(ResponseHead { head, buffer, framing, keep_alive })
    }
}

/// The head of a response as it stands in the connection's buffer.
pub(crate) struct ResponseHead<'c> {
    pub(crate) head: &'c Head,
    pub(crate) buffer: &'c [u8],
    pub(crate) framing: Framing,
    /// The connection can be used again once the body was read.
    pub(crate) keep_alive: bool,
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
