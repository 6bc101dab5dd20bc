//! Bodies on streams of HTTP/2 connections, downstream and upstream alike.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use super::BodyError;
use crate::message::Headers;

/// A body being read from a stream.
pub(crate) struct Http2Source {
    stream: RecvStream,
    is_empty: bool,
    piece: Bytes,
    trailers: Headers,
}

impl Http2Source {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let is_empty = stream.is_end_stream();
        Self { stream, is_empty, piece: Bytes::new(), trailers: Headers::default() }
    }

    /// Takes no notice of what comes.
    pub(crate) const fn ignore(&mut self) {
        self.is_empty = true;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(super) async fn next(&mut self) -> Result<bool, BodyError> {
        if self.is_empty {
            return Ok(false);
        }
        loop {
            match poll_fn(|cx| self.stream.poll_data(cx)).await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.piece = piece;
                    return Ok(true);
                }
                Some(Err(error)) => return Err(BodyError::Http2(error)),
                None => break,
            }
        }
        let trailers = poll_fn(|cx| self.stream.poll_trailers(cx)).await;
        if let Some(trailers) = trailers.map_err(BodyError::Http2)? {
            self.trailers.copy_trailers(&trailers);
        }
        Ok(false)
    }

    pub(super) const fn piece(&self) -> &Bytes {
        &self.piece
    }

    /// Gives the window back, so that the peer may send as much again.
    pub(super) fn consume(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        // The stream may be over already; then nobody wants the window.
        let _ = self.stream.flow_control().release_capacity(piece.len());
    }

    pub(super) const fn trailers(&self) -> &Headers {
        &self.trailers
    }
}

/// The outgoing half of a stream. Shared by what writes to it and what waits for the peer to reset it, both in one task.
pub(crate) struct Http2Out(RefCell<State>);

enum State {
    /// The head of the response is not sent.
    Response(SendResponse<Bytes>),
    /// The body is under way.
    Body(SendStream<Bytes>),
}

impl Http2Out {
    /// A response that is not sent.
    pub(crate) const fn response(response: SendResponse<Bytes>) -> Self {
        Self(RefCell::new(State::Response(response)))
    }

    /// A request whose head is sent.
    pub(crate) const fn body(body: SendStream<Bytes>) -> Self {
        Self(RefCell::new(State::Body(body)))
    }

    /// Sends an interim response.
    pub(crate) fn inform(&self, response: http::Response<()>) -> Result<(), h2::Error> {
        match &mut *self.0.borrow_mut() {
            State::Response(send) => send.send_informational(response),
            State::Body(_) => Ok(()),
        }
    }

    /// Sends the head of the response.
    pub(crate) fn start(
        &self,
        response: http::Response<()>,
        is_end: bool,
    ) -> Result<(), h2::Error> {
        let mut state = self.0.borrow_mut();
        if let State::Response(send) = &mut *state {
            let body = send.send_response(response, is_end)?;
            *state = State::Body(body);
        }
        Ok(())
    }

    /// Waits until the peer has reset the stream, or its connection has failed.
    pub(crate) async fn reset_by_peer(&self) {
        // The reason makes no difference: nobody is there any more.
        let _ = poll_fn(|cx| match &mut *self.0.borrow_mut() {
            State::Response(send) => send.poll_reset(cx),
            State::Body(body) => body.poll_reset(cx),
        })
        .await;
    }

    /// Breaks the stream off.
    pub(crate) fn reset(&self, reason: Reason) {
        match &mut *self.0.borrow_mut() {
            State::Response(send) => send.send_reset(reason),
            State::Body(body) => body.send_reset(reason),
        }
    }

    /// Waits until the window allows at least one byte of so many; how many it allows.
    async fn capacity(&self, wanted: usize) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            let State::Body(body) = &mut *state else { return Poll::Ready(Err(gone())) };
            body.reserve_capacity(wanted);
            loop {
                let capacity = body.capacity();
                if capacity > 0 {
                    return Poll::Ready(Ok(capacity));
                }
                match body.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(gone())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn send(&self, piece: Bytes, is_end: bool) -> io::Result<()> {
        match &mut *self.0.borrow_mut() {
            State::Body(body) => body.send_data(piece, is_end).map_err(|_| gone()),
            State::Response(_) => Err(gone()),
        }
    }

    fn send_trailers(&self, trailers: &Headers) -> io::Result<()> {
        match &mut *self.0.borrow_mut() {
            State::Body(body) => body.send_trailers(trailers.to_map()).map_err(|_| gone()),
            State::Response(_) => Err(gone()),
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// A body being written to a stream whose head is sent.
pub(crate) struct Http2Sink<'c> {
    out: &'c Http2Out,
    /// Bytes that are still to come, if that is known: the last of them end the stream.
    left: Option<u64>,
    ended: bool,
}

impl<'c> Http2Sink<'c> {
    pub(crate) const fn new(out: &'c Http2Out, length: Option<u64>) -> Self {
        Self { out, left: length, ended: false }
    }

    /// The head was all.
    pub(crate) const fn ended(out: &'c Http2Out) -> Self {
        Self { out, left: None, ended: true }
    }

    pub(super) async fn write(&mut self, mut piece: Bytes) -> io::Result<()> {
        while !piece.is_empty() && !self.ended {
            let count = self.out.capacity(piece.len()).await?.min(piece.len());
            let part = piece.split_to(count);
            self.left = self.left.map(|left| left.saturating_sub(count as u64));
            self.ended = self.left == Some(0);
            self.out.send(part, self.ended)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if trailers.is_empty() {
            self.out.send(Bytes::new(), true)
        } else {
            self.out.send_trailers(trailers)
        }
    }
}
