//! Bodies on their way through: a source that is asked for the next piece, a sink that takes it.
//!
//! Each has one variant per protocol; what stands between them knows neither. Nothing is read before the piece before it was
//! written, so that a slow reader slows the writer down and at most one piece stands between them: on HTTP/1 by not reading,
//! on HTTP/2 by giving the window back only for what was used up.

mod frames;
mod http1;
mod http2;

use std::io;
use std::ops::Deref;

use bytes::Bytes;

use crate::exchange::CopySource;
use crate::message::Headers;

pub(crate) use frames::GrpcFrames;
pub(crate) use http1::{Http1Sink, Http1Source};
pub(crate) use http2::{Http2Out, Http2Sink, Http2Source};

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
    /// The stream was reset, or its connection failed.
    #[error("the stream was reset")]
    Http2(#[source] h2::Error),
    /// A copy that could not keep up was given up.
    #[error("the copy was given up")]
    GivenUp,
}

/// Bytes of a body that a sink is to take.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'p> {
    /// In a buffer that is used again.
    Borrowed(&'p [u8]),
    /// In memory of their own, which can be kept without copying.
    Shared(&'p Bytes),
}

impl Piece<'_> {
    /// The bytes, to be kept.
    pub(crate) fn to_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes) => bytes.clone(),
        }
    }
}

impl Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A body being read.
pub(crate) enum Source<'c> {
    /// From an HTTP/1 connection.
    Http1(Http1Source<'c>),
    /// From a stream of an HTTP/2 connection.
    Http2(Http2Source),
    /// What another request hands on of its own body.
    Copy(CopySource),
}

impl Source<'_> {
    /// Whether the message has no body at all, which is known from its head.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Http1(source) => source.is_empty(),
            Self::Http2(source) => source.is_empty(),
            Self::Copy(source) => source.is_empty(),
        }
    }

    /// Makes the next piece available; `false` at the end. The piece before must have been consumed. Can be given up and called
    /// again.
    pub(crate) async fn next(&mut self) -> Result<bool, BodyError> {
        match self {
            Self::Http1(source) => source.next().await,
            Self::Http2(source) => source.next().await,
            Self::Copy(source) => source.next().await,
        }
    }

    /// The piece that `next` made available.
    pub(crate) fn piece(&self) -> Piece<'_> {
        match self {
            Self::Http1(source) => Piece::Borrowed(source.piece()),
            Self::Http2(source) => Piece::Shared(source.piece()),
            Self::Copy(source) => Piece::Shared(source.piece()),
        }
    }

    /// The piece is used up.
    pub(crate) fn consume(&mut self) {
        match self {
            Self::Http1(source) => source.consume(),
            Self::Http2(source) => source.consume(),
            Self::Copy(source) => source.consume(),
        }
    }

    /// Trailers that came after the last piece.
    pub(crate) const fn trailers(&self) -> &Headers {
        match self {
            Self::Http1(source) => source.trailers(),
            Self::Http2(source) => source.trailers(),
            Self::Copy(source) => source.trailers(),
        }
    }

    /// After the end of the body: waits until the sender has gone. What it may send already of a next message is kept.
    pub(crate) async fn gone(&mut self) {
        match self {
            Self::Http1(source) => source.gone().await,
            // Streams are watched by their connections.
            Self::Http2(_) | Self::Copy(_) => std::future::pending().await,
        }
    }
}

/// A body being written.
pub(crate) enum Sink<'c> {
    /// To an HTTP/1 connection.
    Http1(Http1Sink<'c>),
    /// To a stream of an HTTP/2 connection.
    Http2(Http2Sink<'c>),
}

impl Sink<'_> {
    /// Writes a piece; comes back when the next one can be taken.
    pub(crate) async fn write(&mut self, piece: Piece<'_>) -> io::Result<()> {
        match self {
            Self::Http1(sink) => sink.write(&piece).await,
            Self::Http2(sink) => sink.write(piece.to_bytes()).await,
        }
    }

    /// Lets leave what waits for the next piece.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Http1(sink) => sink.flush().await,
            Self::Http2(_) => Ok(()),
        }
    }

    /// Ends the body.
    pub(crate) async fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        match self {
            Self::Http1(sink) => sink.finish(trailers).await,
            Self::Http2(sink) => sink.finish(trailers),
        }
    }

    /// Makes the next piece of `source` available; if it has to be waited for, what was written leaves first.
    pub(crate) async fn next_of(&mut self, source: &mut Source<'_>) -> Result<bool, Broken> {
        {
            let mut next = std::pin::pin!(source.next());
            let now = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx)));
            if let std::task::Poll::Ready(next) = now.await {
                return next.map_err(Broken::Source);
            }
        }
        self.flush().await.map_err(|_| Broken::Sink)?;
        source.next().await.map_err(Broken::Source)
    }
}

/// Which end of a body's way broke.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The one that is read.
    Source(BodyError),
    /// The one that is written.
    Sink,
}
