//! Bodies on HTTP/1 connections.

use std::io::{self, IoSlice};

use serin_http1::{Decoder, Framing, Step, chunk_head, last_chunk, write_field};

use super::BodyError;
use crate::io::{Buffer, Io};
use crate::memory;
use crate::message::Headers;

/// A client that sends the next requests before it has its answer may fill so much; then it is no longer listened to.
const AHEAD: usize = 8 * 1024;

/// A piece so small is put behind the head: copying it costs less than a list of pieces costs the system.
const SMALL: usize = 4 * 1024;

/// A body being read from a connection.
pub(crate) struct Http1Source<'c> {
    io: &'c Io,
    input: &'c mut Buffer,
    decoder: Decoder,
    is_empty: bool,
    ready: usize,
    trailers: Headers,
}

impl<'c> Http1Source<'c> {
    pub(crate) fn new(io: &'c Io, input: &'c mut Buffer, framing: Framing) -> Self {
        let decoder = Decoder::new(framing);
        let is_empty = decoder.is_done();
        Self { io, input, decoder, is_empty, ready: 0, trailers: Headers::default() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(super) async fn next(&mut self) -> Result<bool, BodyError> {
        loop {
            match self.decoder.step(self.input.data()).map_err(BodyError::Malformed)? {
                Step::Content(count) => {
                    self.ready = count;
                    return Ok(true);
                }
                Step::Skip(count) => self.input.consume(count),
                Step::Trailer(count) => {
                    let line = self.input.data().get(..count).unwrap_or_default();
                    self.trailers.append_line(line);
                    self.input.consume(count);
                }
                Step::End => return Ok(false),
                Step::More if self.input.fill(self.io).await.map_err(BodyError::Io)? > 0 => {}
                Step::More if self.decoder.ends_with_connection() => return Ok(false),
                Step::More => return Err(BodyError::Truncated),
            }
        }
    }

    pub(super) fn piece(&self) -> &[u8] {
        self.input.data().get(..self.ready).unwrap_or_default()
    }

    pub(super) fn consume(&mut self) {
        self.input.consume(std::mem::take(&mut self.ready));
    }

    pub(super) const fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Waits until the peer has closed the connection. As in Envoy, a client that closes its direction has gone.
    pub(super) async fn gone(&mut self) {
        while self.input.data().len() < AHEAD {
            if self.io.readable().await.is_err() {
                return;
            }
            match self.input.fill(self.io).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }
}

/// A body being written to a connection. The head waits in `pending` and leaves with the first piece.
pub(crate) struct Http1Sink<'c> {
    io: &'c Io,
    pending: Vec<u8>,
    chunked: bool,
    /// Bytes without end until the direction is closed.
    tunnel: bool,
}

impl<'c> Http1Sink<'c> {
    /// `head` is memory that is [kept](memory) afterwards.
    pub(crate) const fn new(io: &'c Io, head: Vec<u8>, framing: Framing) -> Self {
        Self { io, pending: head, chunked: matches!(framing, Framing::Chunked), tunnel: false }
    }

    /// What is written is the bytes of another protocol.
    pub(crate) const fn tunnel(io: &'c Io, head: Vec<u8>) -> Self {
        Self { io, pending: head, chunked: false, tunnel: true }
    }

    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.chunked && !piece.is_empty() {
            chunk_head(&mut self.pending, piece.len());
            self.send(piece, b"\r\n").await
        } else {
            self.send(piece, b"").await
        }
    }

    /// What was sent has left already.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() { Ok(()) } else { self.send(&[], b"").await }
    }

    pub(super) async fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        if self.chunked {
            let mut lines = memory::take();
            for (_, name, value) in trailers.iter() {
                write_field(&mut lines, name, value);
            }
            last_chunk(&mut self.pending, &lines);
            memory::give_back(lines);
        }
        self.flush().await?;
        if self.tunnel { self.io.shutdown().await } else { Ok(()) }
    }

    async fn send(&mut self, piece: &[u8], after: &[u8]) -> io::Result<()> {
        if piece.len() <= SMALL {
            self.pending.extend_from_slice(piece);
            self.pending.extend_from_slice(after);
            self.io.write_all(&mut [IoSlice::new(&self.pending)]).await?;
        } else {
            let pieces = [&self.pending, piece, after];
            self.io.write_all(&mut pieces.map(IoSlice::new)).await?;
        }
        self.pending.clear();
        Ok(())
    }
}

impl Drop for Http1Sink<'_> {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.pending));
    }
}
