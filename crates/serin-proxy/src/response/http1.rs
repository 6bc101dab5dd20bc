//! Responses to HTTP/1 clients.

use serin_http1::{FieldName, Framing, status_line, write_decimal, write_field};

use super::{Length, Response};
use crate::body::Http1Sink;
use crate::io::Io;
use crate::listening::Drain;
use crate::memory;

/// Where the response to an HTTP/1 request goes.
pub(crate) struct Http1Reply<'c> {
    pub(crate) io: &'c Io,
    /// The client speaks HTTP/1.0: no chunks, and no interim responses.
    pub(crate) is_http_10: bool,
    /// The connection is to be used again.
    pub(crate) keep_alive: bool,
    /// Unless the listener drains by the time the response begins.
    pub(crate) draining: &'c Drain,
}

impl<'c> Http1Reply<'c> {
    /// The head of an interim response.
    pub(super) async fn inform(&mut self, response: &Response) -> std::io::Result<()> {
        if self.is_http_10 {
            return Ok(());
        }
        let mut head = memory::take();
        status_line(&mut head, response.status);
        response.headers.write(&mut head, None);
        head.extend_from_slice(b"\r\n");
        let written = self.io.write_all(&mut [std::io::IoSlice::new(&head)]).await;
        memory::give_back(head);
        written
    }

    /// The head, which leaves with the first piece of the body.
    pub(super) fn start(
        &mut self,
        response: &Response,
        length: Length,
        is_head: bool,
    ) -> Http1Sink<'c> {
        let mut head = memory::take();
        self.keep_alive &= !self.draining.has_started();
        status_line(&mut head, response.status);
        let is_measured = !matches!(length, Length::Unknown | Length::Tunnel);
        let without = (!is_measured).then_some(FieldName::ContentLength);
        response.headers.write(&mut head, without);
        if let Length::Tunnel = length {
            write_field(&mut head, b"connection", b"upgrade");
            head.extend_from_slice(b"\r\n");
            self.keep_alive = false;
            return Http1Sink::tunnel(self.io, head);
        }
        let has_length = response.headers.known(FieldName::ContentLength).is_some();
        let framing = self.framing(&mut head, response.status, length, has_length, is_head);
        if !self.keep_alive {
            write_field(&mut head, b"connection", b"close");
        } else if self.is_http_10 {
            write_field(&mut head, b"connection", b"keep-alive");
        }
        head.extend_from_slice(b"\r\n");
        Http1Sink::new(self.io, head, framing)
    }

    fn framing(
        &mut self,
        head: &mut Vec<u8>,
        status: u16,
        length: Length,
        has_length: bool,
        is_head: bool,
    ) -> Framing {
        let never_has_body = is_head || matches!(status, 100..=199 | 204 | 304);
        match length {
            Length::Exact(count) | Length::Declared(count) if !has_length => {
                head.extend_from_slice(b"content-length: ");
                write_decimal(head, count);
                head.extend_from_slice(b"\r\n");
            }
            Length::None if !has_length && !never_has_body => {
                write_field(head, b"content-length", b"0");
            }
            Length::Unknown if self.is_http_10 => self.keep_alive = false,
            Length::Unknown => {
                write_field(head, b"transfer-encoding", b"chunked");
                return Framing::Chunked;
            }
            _ => {}
        }
        Framing::None
    }
}
