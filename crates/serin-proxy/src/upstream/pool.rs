//! Idle HTTP/1 connections of one core to one endpoint, most recently used first.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serin_routing::time::Instant;

use super::Http1Connection;

/// Idle connections kept per endpoint and core; a burst's surplus is closed.
const KEPT: usize = 1024;

/// The idle connections to one endpoint.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    connection: Http1Connection,
    since: Instant,
}

/// A connection in use. Goes back to the pool only if the exchange that used it says so.
pub(crate) struct Lease {
    connection: Option<Http1Connection>,
    pool: Rc<Pool>,
    /// Whether the connection has served before: a failure before the first byte of an answer may then be the peer's idle timeout.
    pub(crate) reused: bool,
}

impl Pool {
    /// The connection used last that is still alive, as far as is known without asking the system.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let Idle { connection, .. } = self.idle.borrow_mut().pop()?;
            if !connection.has_news() {
                return Some(Lease {
                    connection: Some(connection),
                    pool: Rc::clone(self),
                    reused: true,
                });
            }
        }
    }

    /// A lease on a connection that was opened for it.
    pub(crate) fn lease(self: &Rc<Self>, connection: Http1Connection) -> Lease {
        Lease { connection: Some(connection), pool: Rc::clone(self), reused: false }
    }

    /// Closes connections that have been idle for longer than `limit`.
    pub(crate) fn close_idle(&self, now: Instant, limit: Duration) {
        self.idle
            .borrow_mut()
            .retain(|idle| now.since(idle.since) < limit && !idle.connection.has_news());
    }

    /// Whether no connection is idle.
    pub(crate) fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }
}

impl Lease {
    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut Http1Connection {
        #[expect(clippy::expect_used, reason = "the connection leaves only when the lease does")]
        self.connection.as_mut().expect("a lease holds its connection")
    }

    /// Gives the connection back for the next request.
    pub(crate) fn give_back(mut self, now: Instant) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.rest();
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < KEPT {
            idle.push(Idle { connection, since: now });
        }
    }
}
