//! Between two requests of a connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::io::Io;
use crate::listening::Drain;
use crate::worker::Worker;

/// So long a connection that is in use keeps what serving it takes.
const IN_USE: Duration = Duration::from_millis(100);

/// What a connection waits for beside a request. It stays registered from request to request.
pub(super) struct Waiting<'w, D> {
    /// Longest time without a request.
    pub(super) limit: Duration,
    pub(super) timer: Pin<&'w mut Sleep>,
    pub(super) draining: &'w Drain,
    pub(super) drained: Pin<&'w mut D>,
}

impl<D: Future<Output = ()>> Waiting<'_, D> {
    /// Waits for a request; false if none comes in time. A client of a listener that drains may already be sending its next
    /// one, which is answered still.
    pub(super) async fn next_request(&mut self, worker: &Worker, io: &Io) -> bool {
        let since = worker.clock.now();
        while !self.draining.has_started() {
            tokio::select! {
                biased;
                ready = io.readable() => return ready.is_ok(),
                () = &mut self.drained => {}
                () = &mut self.timer => {
                    // It was set for an earlier request: setting it for each would cost more than this.
                    let idle = worker.clock.now().since(since);
                    if idle >= self.limit {
                        return false;
                    }
                    self.timer.as_mut().reset(Instant::now() + (self.limit - idle));
                }
            }
        }
        // Boxed, for hardly any connection comes to this, and all have room for what they may come to.
        let last = Box::pin(sleep(worker.settings.last_request_time.min(self.limit)));
        tokio::select! {
            biased;
            ready = io.readable() => ready.is_ok(),
            () = last => false,
        }
    }
}

/// What a connection in use waits for: the next request, for a moment. What it is woken by stays registered from request to request,
/// since all of it is polled by the connection's own task.
pub(super) struct Follows<'f> {
    timer: Pin<Box<Sleep>>,
    draining: &'f Drain,
    drained: Pin<Box<dyn Future<Output = ()> + 'f>>,
    is_registered: bool,
}

impl<'f> Follows<'f> {
    pub(super) fn new(draining: &'f Drain) -> Self {
        let (timer, drained) = (Box::pin(sleep(IN_USE)), Box::pin(draining.started()));
        Self { timer, draining, drained, is_registered: false }
    }

    /// Waits; false if there is none for now, or the listener drains.
    pub(super) async fn next_request(&mut self, worker: &Worker, io: &Io) -> bool {
        let since = worker.clock.now();
        poll_fn(|cx| {
            if io.poll_readable(cx).is_ready() {
                return Poll::Ready(true);
            }
            if self.draining.has_started() {
                return Poll::Ready(false);
            }
            let idle = worker.clock.now().since(since);
            self.register(idle, cx)
        })
        .await
    }

    fn register(&mut self, idle: Duration, cx: &mut Context<'_>) -> Poll<bool> {
        if self.is_registered && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        if idle >= IN_USE {
            return Poll::Ready(false);
        }
        if self.is_registered {
            self.timer.as_mut().reset(Instant::now() + (IN_USE - idle));
        }
        self.is_registered = true;
        // Neither is over: that was looked at.
        let _ = self.drained.as_mut().poll(cx);
        let _ = self.timer.as_mut().poll(cx);
        Poll::Pending
    }
}
