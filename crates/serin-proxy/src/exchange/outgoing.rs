//! The request's body on its way upstream, kept for another try as long as it is small, and copied to mirrors.

use std::convert::Infallible;
use std::time::Duration;

use super::mirror::Copy;
use super::progress::Progress;
use crate::body::{Broken, GrpcFrames, Piece, Sink, Source};

/// What is read of a body that nobody wants any more, so that the next request on the connection can be read.
const DRAINED: u64 = 256 * 1024;
/// How long is waited for it.
const DRAINING: Duration = Duration::from_secs(1);

/// A request's body that may be sent more than once.
pub(super) struct Outgoing<'b> {
    source: Source<'b>,
    kept: Vec<u8>,
    limit: usize,
    ended: bool,
    is_tunnel: bool,
    frames: Option<GrpcFrames>,
    copies: Vec<Copy>,
    progress: &'b Progress,
}

impl<'b> Outgoing<'b> {
    /// A body of which nothing was read. Up to `limit` bytes are kept.
    pub(super) fn new(source: Source<'b>, limit: usize, progress: &'b Progress) -> Self {
        let ended = source.is_empty();
        if ended {
            progress.received();
        }
        Self {
            source,
            kept: Vec::new(),
            limit,
            ended,
            is_tunnel: false,
            frames: None,
            copies: Vec::new(),
            progress,
        }
    }

    /// The body is a stream of gRPC messages.
    pub(super) fn count_messages(&mut self) {
        self.frames = Some(GrpcFrames::default());
    }

    /// What follows is no body but the bytes of another protocol, if the upstream agrees.
    pub(super) fn tunnel(&mut self) {
        self.is_tunnel = true;
        self.limit = 0;
    }

    /// Whether there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.is_tunnel || self.source.is_empty()
    }

    /// How far it is.
    pub(super) const fn progress(&self) -> &'b Progress {
        self.progress
    }

    /// Nothing is kept from here on: there will be no other try.
    pub(super) fn forget(&mut self) {
        if self.kept.is_empty() {
            self.limit = 0;
        }
    }

    /// Copies what comes from here on.
    pub(super) fn copy_to(&mut self, copies: Vec<Copy>) {
        self.copies = copies;
    }

    /// Sends the whole body: what was kept, then what comes; and then watches whether the client is still there. Given up in the
    /// middle, it can be called again if the progress says that the body can be replayed.
    pub(super) async fn send(&mut self, sink: &mut Sink<'_>) -> Result<Infallible, Broken> {
        self.progress.sent.set(false);
        if self.is_tunnel {
            sink.flush().await.map_err(|_| Broken::Sink)?;
            self.progress.until_switched().await;
        }
        if !self.kept.is_empty() {
            sink.write(Piece::Borrowed(&self.kept)).await.map_err(|_| Broken::Sink)?;
        }
        while !self.ended && sink.next_of(&mut self.source).await? {
            self.see();
            if self.progress.replayable.get() && self.keep() {
                // Kept before it is written, so that nothing is lost if writing is given up.
                let start = self.kept.len() - self.source.piece().len();
                self.source.consume();
                let piece = Piece::Borrowed(self.kept.get(start..).unwrap_or_default());
                sink.write(piece).await.map_err(|_| Broken::Sink)?;
            } else {
                sink.write(self.source.piece()).await.map_err(|_| Broken::Sink)?;
                self.source.consume();
            }
        }
        self.ended = true;
        if self.progress.whole().is_none() {
            self.progress.received();
        }
        self.copies.drain(..).for_each(|copy| copy.finish(self.source.trailers()));
        sink.finish(self.source.trailers()).await.map_err(|_| Broken::Sink)?;
        self.progress.sent.set(true);
        if self.is_tunnel {
            return std::future::pending().await;
        }
        self.source.gone().await;
        Err(Broken::Source(crate::body::BodyError::Truncated))
    }

    /// Takes notice of the piece at hand.
    fn see(&mut self) {
        let piece = self.source.piece();
        self.progress.bytes.set(self.progress.bytes.get() + piece.len() as u64);
        self.progress.moved();
        if let Some(frames) = &mut self.frames {
            frames.see(&piece);
            self.progress.messages.set(frames.count());
        }
        if !self.copies.is_empty() {
            let bytes = piece.to_bytes();
            self.copies.retain(|copy| copy.give(&bytes));
        }
    }

    /// Keeps the piece at hand; if there is no room for it, nothing is kept any more.
    fn keep(&mut self) -> bool {
        let piece = self.source.piece();
        if self.kept.len() + piece.len() <= self.limit {
            self.kept.extend_from_slice(&piece);
            return true;
        }
        self.progress.replayable.set(false);
        self.kept = Vec::new();
        false
    }

    /// Reads what little may be left of the body of a request that was answered before its end; whether that was all of it.
    pub(super) async fn drain(&mut self) -> bool {
        if self.is_tunnel || !matches!(self.source, Source::Http1(_)) {
            return true;
        }
        self.source.consume();
        tokio::time::timeout(DRAINING, self.drain_source()).await.unwrap_or(false)
    }

    async fn drain_source(&mut self) -> bool {
        let mut left = DRAINED;
        while !self.ended {
            match self.source.next().await {
                Ok(true) => {
                    let Some(rest) = left.checked_sub(self.source.piece().len() as u64) else {
                        return false;
                    };
                    left = rest;
                    self.source.consume();
                }
                Ok(false) => self.ended = true,
                Err(_) => return false,
            }
        }
        true
    }
}
