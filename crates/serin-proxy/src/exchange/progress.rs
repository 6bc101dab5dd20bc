//! How far a request is, told by the phase that moves it to those that wait for it.
//!
//! All of them are polled by one task, the one that moves first; who waits here needs no waker.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serin_routing::time::Instant;
use tokio::time::sleep;

use crate::clock::Clock;

/// What came to an end first.
pub(super) enum Step<S, O> {
    /// Sending the request.
    Sending(S),
    /// What was done beside it.
    Other(O),
}

/// How far a request is.
pub(super) struct Progress {
    /// What was read of the body is kept, so that it can be sent again.
    pub(super) replayable: Cell<bool>,
    /// When the whole request was received.
    whole: Cell<Option<Instant>>,
    /// The whole request was written, so that another one can follow on the upstream's connection.
    pub(super) sent: Cell<bool>,
    /// The connection has become a tunnel.
    pub(super) switched: Cell<bool>,
    /// Bytes of the body that were received.
    pub(super) bytes: Cell<u64>,
    /// Messages in it, for gRPC.
    pub(super) messages: Cell<u64>,
    /// When something last moved, if anybody wants to know.
    moved: Cell<Option<Instant>>,
    clock: Clock,
}

impl Progress {
    /// Of a request that has just begun; `watched` if somebody will want to know when something last moved.
    pub(super) fn new(clock: Clock, watched: bool) -> Self {
        Self {
            replayable: Cell::new(true),
            whole: Cell::new(None),
            sent: Cell::new(false),
            switched: Cell::new(false),
            bytes: Cell::new(0),
            messages: Cell::new(0),
            moved: Cell::new(watched.then(|| clock.now())),
            clock,
        }
    }

    /// Something moved, in either direction.
    pub(super) fn moved(&self) {
        if self.moved.get().is_some() {
            self.moved.set(Some(self.clock.now()));
        }
    }

    /// The whole request was received.
    pub(super) fn received(&self) {
        self.whole.set(Some(self.clock.now()));
    }

    /// When the whole request was received, if it was.
    pub(super) const fn whole(&self) -> Option<Instant> {
        self.whole.get()
    }

    /// Waits until nothing has moved for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        while let Some(moved) = self.moved.get() {
            let idle = self.clock.now().since(moved);
            if idle >= limit {
                return;
            }
            sleep(limit - idle).await;
        }
        std::future::pending().await
    }

    /// Waits for so long after the whole request was received, as Envoy's timeouts do: a client that is slow, or a stream that
    /// goes on, is not the upstream's fault.
    pub(super) async fn after_whole(&self, limit: Duration) {
        until(|| self.whole.get().is_some()).await;
        sleep(limit).await;
    }

    /// Goes on sending the request, if any of it is left, and does something else meanwhile; tells which of the two came to an
    /// end. A request that is sent is only watched for the client's going: that is looked at last.
    pub(super) async fn with_sending<S: Future + Unpin, O: Future>(
        &self,
        mut sending: Option<&mut S>,
        mut other: Pin<&mut O>,
    ) -> Step<S::Output, O::Output> {
        poll_fn(|cx| {
            let mut poll_sending = |cx: &mut Context<'_>| match sending.as_deref_mut() {
                Some(sending) => Pin::new(sending).poll(cx).map(Step::Sending),
                None => Poll::Pending,
            };
            let is_sent = self.sent.get();
            if !is_sent && let Poll::Ready(ended) = poll_sending(cx) {
                return Poll::Ready(ended);
            }
            if let Poll::Ready(ended) = other.as_mut().poll(cx) {
                return Poll::Ready(Step::Other(ended));
            }
            if is_sent { poll_sending(cx) } else { Poll::Pending }
        })
        .await
    }

    /// Waits until the connection has become a tunnel.
    pub(super) async fn until_switched(&self) {
        until(|| self.switched.get()).await;
    }
}

async fn until(is_so: impl Fn() -> bool) {
    poll_fn(|_| if is_so() { Poll::Ready(()) } else { Poll::Pending }).await;
}
