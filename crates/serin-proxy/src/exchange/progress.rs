//! How far a request is, told by the phase that moves it to those that wait for it.
//!
//! All of them are polled by one task, the one that moves first; who waits here needs no waker.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use serin_routing::time::Instant;
use tokio::time::sleep;

use crate::clock::Clock;

/// How far a request is.
pub(super) struct Progress {
    /// What was read of the body is kept, so that it can be sent again.
    pub(super) replayable: Cell<bool>,
    /// The whole request was received.
    pub(super) whole: Cell<bool>,
    /// The whole request was written, so that another one can follow on the upstream's connection.
    pub(super) sent: Cell<bool>,
    /// The connection has become a tunnel.
    pub(super) switched: Cell<bool>,
    /// Bytes of the body that were received.
    pub(super) bytes: Cell<u64>,
    /// Messages in it, for gRPC.
    pub(super) messages: Cell<u64>,
    /// When something last moved, if anybody wants to know.
    moved: Cell<Option<(Clock, Instant)>>,
}

impl Progress {
    pub(super) fn new(watch: Option<Clock>) -> Self {
        Self {
            replayable: Cell::new(true),
            whole: Cell::new(false),
            sent: Cell::new(false),
            switched: Cell::new(false),
            bytes: Cell::new(0),
            messages: Cell::new(0),
            moved: Cell::new(watch.map(|clock| (clock, clock.now()))),
        }
    }

    /// Something moved, in either direction.
    pub(super) fn moved(&self) {
        if let Some((clock, _)) = self.moved.get() {
            self.moved.set(Some((clock, clock.now())));
        }
    }

    /// Waits until nothing has moved for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        while let Some((clock, moved)) = self.moved.get() {
            let idle = clock.now().since(moved);
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
        until(&self.whole).await;
        sleep(limit).await;
    }

    /// Waits until the connection has become a tunnel.
    pub(super) async fn until_switched(&self) {
        until(&self.switched).await;
    }
}

async fn until(flag: &Cell<bool>) {
    poll_fn(|_| if flag.get() { Poll::Ready(()) } else { Poll::Pending }).await;
}
