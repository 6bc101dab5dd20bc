//! The request's body on its way upstream, kept for another try as long as it is small.

use crate::body::{Sink, Source};

/// A request's body that may be sent more than once.
pub(super) struct Outgoing<'b> {
    source: Source<'b>,
    kept: Vec<u8>,
    limit: usize,
    /// Everything that was read is kept.
    replayable: bool,
    ended: bool,
    count: u64,
}

impl<'b> Outgoing<'b> {
    /// A body of which nothing was read. Up to `limit` bytes are kept.
    pub(super) fn new(source: Source<'b>, limit: usize) -> Self {
        let ended = matches!(source, Source::Empty);
        Self { source, kept: Vec::new(), limit, replayable: true, ended, count: 0 }
    }

    /// Whether there is no body.
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty)
    }

    /// Whether the body can be sent again from its beginning.
    pub(super) const fn can_replay(&self) -> bool {
        self.replayable
    }

    /// Nothing is kept from here on: there will be no other try.
    pub(super) fn forget(&mut self) {
        if self.count > 0 || !self.kept.is_empty() {
            return;
        }
        self.limit = 0;
    }

    /// Bytes that were read.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Sends the whole body: what was kept, then what comes. Dropped in the middle, it can be called again if
    /// [`can_replay`](Self::can_replay).
    pub(super) async fn send(&mut self, sink: &mut Sink<'_>) -> Result<(), SendError> {
        if !self.kept.is_empty() {
            sink.write(&self.kept).await.map_err(|_| SendError::Upstream)?;
        }
        while !self.ended && self.source.next().await.map_err(|_| SendError::Downstream)? {
            let piece = self.source.piece();
            self.count += piece.len() as u64;
            if self.replayable && self.kept.len() + piece.len() <= self.limit {
                // Kept before it is written, so that nothing is lost if writing is given up.
                let start = self.kept.len();
                self.kept.extend_from_slice(piece);
                self.source.consume();
                let piece = self.kept.get(start..).unwrap_or_default();
                sink.write(piece).await.map_err(|_| SendError::Upstream)?;
            } else {
                self.replayable = false;
                self.kept = Vec::new();
                sink.write(piece).await.map_err(|_| SendError::Upstream)?;
                self.source.consume();
            }
        }
        self.ended = true;
        sink.finish(self.source.trailers()).await.map_err(|_| SendError::Upstream)
    }

    /// Whether the whole body was read. What little is left, such as the end of a chunked body, is read here.
    pub(super) async fn is_drained(&mut self) -> bool {
        self.ended
    }
}

/// Which side a body's way broke on.
#[derive(Debug)]
pub(super) enum SendError {
    /// The client's.
    Downstream,
    /// The upstream's.
    Upstream,
}
