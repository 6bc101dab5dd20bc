//! The connections of one core to one endpoint: idle ones of HTTP/1, most recently used first, and those of HTTP/2, which
//! requests share; and the requests that wait for one.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(super) use serin_routing::breaker::Limits;
use serin_routing::breaker::{Breaker, Permit, Resource};
use serin_routing::model::EndpointAddress;
use serin_routing::time::Instant;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::connect::ConnectError;
use super::http1::Http1Connection;
use super::http2::{Http2Connection, Http2Stream, drive};
use super::{Manner, Place, Upstream, connect};
use crate::clock::Clock;
use crate::snapshot::SharedCluster;
use crate::worker::Worker;

/// Idle connections kept per endpoint and core; a burst's surplus is closed.
const KEPT: usize = 1024;
/// How often a request that waits for a stream asks the connection itself.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections to one endpoint.
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Http2Connection>>>,
    /// An HTTP/2 connection is being opened; whoever needs one waits for it.
    opening: Cell<bool>,
    /// How often that has failed.
    failures: Cell<u64>,
    /// Why it failed last, unless the connection was made and then was no HTTP/2.
    last_failure: RefCell<Option<Rc<ConnectError>>>,
    occupancy: Rc<Occupancy>,
}

struct Idle {
    connection: Http1Connection,
    since: Instant,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A circuit breaker is open.
    #[error("too many connections or waiting requests")]
    Overflow,
    /// It could not be made.
    #[error("the endpoint could not be connected to")]
    Connect(#[source] Rc<ConnectError>),
    /// The endpoint does not speak HTTP/2.
    #[error("the endpoint does not speak HTTP/2")]
    Protocol,
}

impl OpenError {
    /// Why the transport failed, if it did.
    pub(crate) fn transport_failure(&self) -> Option<String> {
        match self {
            Self::Connect(error) => error.transport_failure(),
            Self::Overflow | Self::Protocol => None,
        }
    }
}

/// How many connections there are, and who waits for them to change.
pub(super) struct Occupancy {
    open: Cell<usize>,
    change: Notify,
    clock: Clock,
}

impl Occupancy {
    /// Something was given back: one that waits can go on.
    pub(super) fn changed(&self) {
        self.change.notify_one();
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// A connection counts as open while this lives.
pub(super) struct Open {
    occupancy: Rc<Occupancy>,
    /// Its share of the cluster's limit, and who waits for one; `None` once it is given back.
    permit: Option<Permit>,
    shared: Arc<SharedCluster>,
}

impl Open {
    fn new(occupancy: &Rc<Occupancy>, permit: Permit, shared: &Arc<SharedCluster>) -> Self {
        occupancy.open.set(occupancy.open.get() + 1);
        let (occupancy, shared) = (Rc::clone(occupancy), Arc::clone(shared));
        Self { occupancy, permit: Some(permit), shared }
    }

    pub(super) fn changed(&self) {
        self.occupancy.changed();
    }

    pub(super) fn now(&self) -> Instant {
        self.occupancy.now()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.occupancy.open.set(self.occupancy.open.get().saturating_sub(1));
        // Whoever is told must find it given back.
        drop(self.permit.take());
        self.occupancy.changed();
        self.shared.connection_closed();
    }
}

impl Pool {
    pub(super) fn new(clock: Clock) -> Self {
        let (open, change) = (Cell::new(0), Notify::new());
        Self {
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: Cell::new(false),
            failures: Cell::new(0),
            last_failure: RefCell::default(),
            occupancy: Rc::new(Occupancy { open, change, clock }),
        }
    }

    /// Connections that are open or being opened.
    pub(super) fn open(&self) -> usize {
        self.occupancy.open.get()
    }

    /// An HTTP/1 connection: one that is idle, or a new one.
    pub(super) async fn lease(
        self: &Rc<Self>,
        worker: &Worker,
        place: Place<'_>,
    ) -> Result<Lease, OpenError> {
        let limits = &place.upstream.shared.cluster.limits;
        if let Some(lease) = self.take(limits) {
            return Ok(lease);
        }
        let breaker = &place.upstream.shared.breaker;
        let pending = breaker.take(Resource::PendingRequests).map_err(|_| OpenError::Overflow)?;
        let permit = loop {
            let mut turn = pin!(place.upstream.shared.turn());
            turn.as_mut().enable();
            if let Some(permit) = self.permit(breaker) {
                break permit;
            }
            self.wait(turn).await;
            if let Some(lease) = self.take(limits) {
                return Ok(lease);
            }
        };
        let open = Open::new(&self.occupancy, permit, &place.upstream.shared);
        let stream = connect(
            worker.settings.networks(),
            &place.upstream.shared,
            place.address,
            place.manner,
        )
        .await;
        drop(pending);
        let stream = stream.map_err(|error| OpenError::Connect(Rc::new(error)))?;
        let connection = Http1Connection::new(stream, &worker.buffers, open);
        Ok(Lease { connection: Some(connection), pool: Rc::clone(self) })
    }

    /// A stream of an HTTP/2 connection, which is opened if there is none with room.
    pub(super) async fn stream(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        place: Place<'_>,
    ) -> Result<Http2Stream, OpenError> {
        let limits = &place.upstream.shared.cluster.limits;
        if let Some(stream) = self.admit(limits) {
            return Ok(stream);
        }
        let breaker = &place.upstream.shared.breaker;
        let _pending = breaker.take(Resource::PendingRequests).map_err(|_| OpenError::Overflow)?;
        let failures = self.failures.get();
        loop {
            let mut turn = pin!(place.upstream.shared.turn());
            turn.as_mut().enable();
            if !self.opening.get()
                && let Some(permit) = self.permit(breaker)
            {
                let opening = Opening::new(self);
                let counted = Open::new(&self.occupancy, permit, &place.upstream.shared);
                let upstream = Upstream::clone(place.upstream);
                let (address, manner) = (place.address.clone(), place.manner.clone());
                spawn_local(open(Rc::clone(worker), opening, upstream, counted, (address, manner)));
            }
            // Nobody tells when a peer lets more streams be opened.
            let _ = timeout(LOOK_AGAIN, self.wait(turn)).await;
            if let Some(stream) = self.admit(limits) {
                return Ok(stream);
            }
            if self.failures.get() != failures {
                let error = self.last_failure.borrow().clone();
                return Err(error.map_or(OpenError::Protocol, OpenError::Connect));
            }
        }
    }

    /// Room for another connection. An endpoint without any gets one in any case.
    fn permit(&self, breaker: &Arc<Breaker>) -> Option<Permit> {
        if self.occupancy.open.get() == 0 {
            return Some(breaker.take_first_connection());
        }
        breaker.take(Resource::Connections).ok()
    }

    /// Waits until something may have changed here, or a connection of the cluster was closed, on whichever core.
    async fn wait(&self, turn: impl Future<Output = ()>) {
        tokio::select! {
            () = self.occupancy.change.notified() => {}
            () = turn => {}
        }
    }

    fn admit(&self, limits: &Limits) -> Option<Http2Stream> {
        let mut shared = self.shared.borrow_mut();
        let admitted =
            shared.iter().find_map(|connection| connection.admit(limits, &self.occupancy));
        shared.retain(|connection| !connection.is_closing());
        admitted
    }

    /// The connection used last that is still alive, as far as is known without asking the system.
    fn take(self: &Rc<Self>, limits: &Limits) -> Option<Lease> {
        loop {
            let Idle { connection, .. } = self.idle.borrow_mut().pop()?;
            if connection.may_serve(self.occupancy.clock, limits) && !connection.has_news() {
                return Some(Lease { connection: Some(connection), pool: Rc::clone(self) });
            }
        }
    }

    /// Whether nothing is lost if the pool is.
    pub(super) fn is_unused(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1
            && self.occupancy.open.get() == 0
            && self.idle.borrow().is_empty()
            && self.shared.borrow().is_empty()
    }

    /// Closes connections that have been idle for so long, those that have served all that they may, and those that have ended.
    pub(super) fn close_idle(&self, now: Instant, limits: &Limits, limit: Option<Duration>) {
        // Dropping a connection tells those that wait, who look here.
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        let is_fresh = |idle: &Idle| limit.is_none_or(|limit| now.since(idle.since) < limit);
        let may_serve = |idle: &Idle| {
            idle.connection.may_serve(self.occupancy.clock, limits) && !idle.connection.has_news()
        };
        let kept: Vec<Idle> =
            idle.into_iter().filter(|idle| is_fresh(idle) && may_serve(idle)).collect();
        self.idle.borrow_mut().extend(kept);
        self.shared.borrow_mut().retain(|connection| connection.is_wanted(now, limit));
    }
}

/// An HTTP/2 connection is being opened while this lives.
struct Opening {
    pool: Rc<Pool>,
    succeeded: bool,
}

impl Opening {
    fn new(pool: &Rc<Pool>) -> Self {
        pool.opening.set(true);
        Self { pool: Rc::clone(pool), succeeded: false }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.pool.opening.set(false);
        if !self.succeeded {
            self.pool.failures.set(self.pool.failures.get() + 1);
        }
        self.pool.occupancy.change.notify_waiters();
    }
}

/// Opens an HTTP/2 connection and drives it to its end.
async fn open(
    worker: Rc<Worker>,
    mut opening: Opening,
    upstream: Upstream,
    counted: Open,
    (address, manner): (EndpointAddress, Manner),
) {
    let cluster = &upstream.shared.cluster;
    *opening.pool.last_failure.borrow_mut() = None;
    let stream =
        match connect(worker.settings.networks(), &upstream.shared, &address, &manner).await {
            Ok(stream) => stream,
            Err(error) => {
                *opening.pool.last_failure.borrow_mut() = Some(Rc::new(error));
                return;
            }
        };
    let started = Http2Connection::start(stream, &worker.settings.http2, worker.clock.now()).await;
    let Ok((shared, connection)) = started else { return };
    let weak = Rc::downgrade(&shared);
    opening.pool.shared.borrow_mut().push(shared);
    opening.succeeded = true;
    drop(opening);
    let (keep_alive, lifetime) =
        (cluster.http2_keep_alive.clone(), cluster.limits.max_connection_duration);
    drop(upstream);
    drive(connection, weak, keep_alive, lifetime, counted).await;
}

/// An HTTP/1 connection in use. Goes back to the pool only if the exchange that used it says so.
pub(crate) struct Lease {
    connection: Option<Http1Connection>,
    pool: Rc<Pool>,
}

impl Lease {
    /// The connection.
    pub(super) fn connection(&mut self) -> &mut Http1Connection {
        #[expect(clippy::expect_used, reason = "the connection leaves only when the lease does")]
        self.connection.as_mut().expect("a lease holds its connection")
    }

    /// Gives the connection back for the next request, if it may serve one.
    pub(super) fn give_back(mut self, now: Instant, limits: &Limits) {
        let Some(mut connection) = self.connection.take() else { return };
        if !connection.may_serve(self.pool.occupancy.clock, limits) {
            return;
        }
        connection.rest();
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < KEPT {
            idle.push(Idle { connection, since: now });
        }
        self.pool.occupancy.changed();
    }
}
