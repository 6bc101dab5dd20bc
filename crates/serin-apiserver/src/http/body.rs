//! What the server answers with: nothing, bytes, or a stream without an end.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};

/// The body of a response.
pub struct Body(Content);

enum Content {
    /// Bytes that are known.
    Whole(Option<Bytes>),
    /// A watch or a log that goes on, or the answer of another service.
    Stream(UnsyncBoxBody<Bytes, Infallible>),
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Content::Whole(None))
    }

    /// A stream that the client ends, or the server when it stops.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        let frames = stream.map(|bytes| Ok(Frame::data(bytes)));
        Self(Content::Stream(StreamBody::new(frames).boxed_unsync()))
    }

    /// The answer of another service.
    pub(crate) const fn of(body: UnsyncBoxBody<Bytes, Infallible>) -> Self {
        Self(Content::Stream(body))
    }

    /// Whether it has no end of its own.
    pub(crate) const fn is_endless(&self) -> bool {
        matches!(&self.0, Content::Stream(_))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(Content::Whole(Some(bytes.into())))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Whole(bytes) => write!(f, "Body({bytes:?})"),
            Content::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(body) => body.size_hint(),
        }
    }
}

/// Bytes that are shared with the store, without a copy.
pub(crate) fn shared(bytes: Arc<[u8]>) -> Bytes {
    Bytes::from_owner(bytes)
}
