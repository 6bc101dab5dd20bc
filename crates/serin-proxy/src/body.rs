//! Bodies on their way through: a source that is asked for the next piece, a sink that takes it.
//!
//! Nothing is read before the piece before it was written, so that a slow reader slows the writer down and at most one
//! buffer stands between them.

use std::io::{self, IoSlice};

use serin_http1::{Decoder, Framing, Step, chunk_head, last_chunk};

use crate::io::{Buffer, Io};

/// What interrupted a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The connection ended before the body did.
    #[error("the connection ended inside the body")]
    Truncated,
    /// The framing is malformed.
    #[error("the body is malformed")]
    Malformed(#[source] serin_http1::Error),
}

/// A body being read.
pub(crate) enum Source<'c> {
    /// There is none.
    Empty,
    /// From an HTTP/1 connection.
    Http1(Http1Source<'c>),
}

impl Source<'_> {
    /// Makes the next piece available; `false` at the end.
    pub(crate) async fn next(&mut self) -> Result<bool, BodyError> {
        match self {
            Self::Empty => Ok(false),
            Self::Http1(source) => source.next().await,
        }
    }

    /// The piece that `next` made available.
    pub(crate) fn piece(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Http1(source) => source.piece(),
        }
    }

    /// The piece is used up.
    pub(crate) fn consume(&mut self) {
        match self {
            Self::Empty => {}
            Self::Http1(source) => source.consume(),
        }
    }

    /// Trailers that came after the last piece, as HTTP/1 lines.
    pub(crate) fn trailers(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Http1(source) => &source.trailers,
        }
    }
}

/// A body on an HTTP/1 connection.
pub(crate) struct Http1Source<'c> {
    io: &'c Io,
    input: &'c mut Buffer,
    decoder: &'c mut Decoder,
    ready: usize,
    trailers: Vec<u8>,
}

impl<'c> Http1Source<'c> {
    pub(crate) const fn new(io: &'c Io, input: &'c mut Buffer, decoder: &'c mut Decoder) -> Self {
        Self { io, input, decoder, ready: 0, trailers: Vec::new() }
    }

    async fn next(&mut self) -> Result<bool, BodyError> {
        loop {
            match self.decoder.step(self.input.data()).map_err(BodyError::Malformed)? {
                Step::Content(count) => {
                    self.ready = count;
                    return Ok(true);
                }
                Step::Skip(count) => self.input.consume(count),
                Step::Trailer(count) => {
                    self.trailers
                        .extend_from_slice(self.input.data().get(..count).unwrap_or_default());
                    self.input.consume(count);
                }
                Step::End => return Ok(false),
                Step::More if self.input.fill(self.io).await.map_err(BodyError::Io)? > 0 => {}
                Step::More if self.decoder.ends_with_connection() => return Ok(false),
                Step::More => return Err(BodyError::Truncated),
            }
        }
    }

    fn piece(&self) -> &[u8] {
        self.input.data().get(..self.ready).unwrap_or_default()
    }

    fn consume(&mut self) {
        self.input.consume(std::mem::take(&mut self.ready));
    }
}

/// A body being written. The head waits in `pending` and leaves with the first piece.
pub(crate) struct Sink<'c> {
    io: &'c Io,
    pending: Vec<u8>,
    chunked: bool,
}

impl<'c> Sink<'c> {
    pub(crate) const fn new(io: &'c Io, head: Vec<u8>, framing: Framing) -> Self {
        Self { io, pending: head, chunked: matches!(framing, Framing::Chunked) }
    }

    /// Writes a piece.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.chunked && !piece.is_empty() {
            chunk_head(&mut self.pending, piece.len());
            self.send(piece, b"\r\n").await
        } else {
            self.send(piece, b"").await
        }
    }

    /// Ends the body. `trailers` are whole lines.
    pub(crate) async fn finish(&mut self, trailers: &[u8]) -> io::Result<()> {
        if self.chunked {
            last_chunk(&mut self.pending, trailers);
        }
        self.send(&[], b"").await?;
        self.io.flush().await
    }

    async fn send(&mut self, piece: &[u8], after: &[u8]) -> io::Result<()> {
        let mut pieces = [IoSlice::new(&self.pending), IoSlice::new(piece), IoSlice::new(after)];
        self.io.write_all(&mut pieces).await?;
        self.pending.clear();
        Ok(())
    }
}
