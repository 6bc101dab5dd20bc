//! Bytes between a client and an endpoint, for everything that is not HTTP.
//!
//! Each direction ends by itself (a half-closed connection stays so), holds a buffer only while there is something in it, and
//! reads no more than the other side has taken. A side that resets its connection resets the other's.

mod tunnel;

use std::cell::Cell;
use std::future::pending;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use serin_routing::balancer::{Active, Attempts};
use serin_routing::breaker::{Permit, Resource};
use serin_routing::decide::source_hash;
use serin_routing::model::TcpProxy;
use serin_routing::outlier::Outcome;
use serin_routing::response::{Flag, Flags};
use serin_routing::time::Instant;
use serin_telemetry::DestinationId;
use serin_telemetry::customization::CustomId;
use tokio::time::timeout;

use crate::connection::Ends;
use crate::inbound;
use crate::io::{Buffer, BufferPool, Io, Stream};
use crate::telemetry::ConnectionDetail;
use crate::upstream::{ConnectError, Manner, Target, Upstream, connect};
use crate::worker::Worker;

/// Endpoints that are tried until one takes the connection.
const CONNECT_ATTEMPTS: u32 = 10;

/// How a connection ends that no endpoint took.
const NOBODY_TOOK_IT: Flags =
    Flags::NONE.with(Flag::UpstreamConnectionFailure).with(Flag::UpstreamRetryLimitExceeded);

/// What is known of a connection when it is over.
#[derive(Debug, Default)]
pub(crate) struct TcpRecord {
    pub(crate) flags: Flags,
    /// Where it went, as far as it came.
    pub(crate) destination: DestinationId,
    /// It came to a pod of the mesh in this process, for which it counts too.
    pub(crate) is_received: bool,
    /// It was counted as opened when it reached its endpoint.
    pub(crate) has_opened: bool,
    /// From the client.
    pub(crate) received: u64,
    /// To the client.
    pub(crate) sent: u64,
    pub(crate) started: Instant,
    /// How its metrics differ from Istio's.
    pub(crate) custom: CustomId,
    /// What only logs want to know; `None` if there is none.
    pub(crate) detail: Option<Box<ConnectionDetail>>,
}

impl TcpRecord {
    /// An endpoint is about to be asked.
    fn tries(&mut self, target: &Target) {
        if let Some(detail) = &mut self.detail {
            detail.endpoint = Some(target.address.clone());
            detail.transport_failure = None;
        }
    }

    /// It did not take the connection, for this reason.
    fn failed(&mut self, transport_failure: Option<String>) {
        if let Some(detail) = &mut self.detail {
            detail.transport_failure = transport_failure;
        }
    }
}

/// Connects a client to an endpoint and carries bytes until both are done. One draw per connection.
pub(crate) async fn serve(worker: &Rc<Worker>, proxy: &TcpProxy, client: Stream, ends: Rc<Ends>) {
    let carried = Carried::default();
    let (started, detail) = (worker.clock.now(), worker.telemetry.connection());
    let custom = worker.telemetry.custom_connection(&ends);
    let mut record = TcpRecord { started, custom, detail, ..TcpRecord::default() };
    let limit = proxy.max_duration.filter(|limit| !limit.is_zero());
    let serving = connect_and_carry(worker, proxy, client, &ends, (&mut record, &carried));
    let served = match limit {
        Some(limit) => timeout(limit, serving).await.ok(),
        None => Some(serving.await),
    };
    record.flags = served.unwrap_or(Flags::NONE.with(Flag::DurationTimeout));
    record.received = carried.received.get();
    record.sent = carried.sent.get();
    worker.telemetry.end_connection(&record);
    worker.telemetry.log_connection(&ends, &record, worker.clock.now());
}

/// The life of a connection; how it ended.
async fn connect_and_carry(
    worker: &Rc<Worker>,
    proxy: &TcpProxy,
    client: Stream,
    ends: &Ends,
    (record, carried): (&mut TcpRecord, &Carried),
) -> Flags {
    if !inbound::connection_at_gateway(&worker.snapshot(), ends) {
        return Flags::NONE;
    }
    let upstream = match draw(worker, proxy, record) {
        Ok(upstream) => upstream,
        Err(flag) => return Flags::NONE.with(flag),
    };
    if let Some(wanted) = &proxy.tunnel {
        let way = tunnel::Way { worker, proxy, upstream: &upstream, ends };
        return Box::pin(way.serve(wanted, client, record, carried)).await;
    }
    let reached = match Box::pin(reach(worker, proxy, &upstream, ends, record)).await {
        Ok(reached) => reached,
        Err(flags) => return flags,
    };
    record.has_opened = true;
    if let Some(detail) = &mut record.detail {
        detail.upstream_local = reached.stream.local_addr();
    }
    worker.telemetry.begin_connection(record);
    let server = Io::new(reached.stream);
    let client = Io::new(client);
    let buffers = &worker.buffers;
    let up = async {
        let carried = carry(&client, &server, buffers, &carried.received).await;
        carried.map_err(|(is_reading, error)| broken(is_reading, error))
    };
    let down = async {
        let carried = carry(&server, &client, buffers, &carried.sent).await;
        carried.map_err(|(is_reading, error)| broken(!is_reading, error))
    };
    let carrying = async { tokio::try_join!(up, down).map(drop) };
    let ended = until_done(proxy, ends, carried, carrying).await;
    match &ended {
        Err(Broken::Upstream(error)) if is_reset(error) => client.reset(),
        Err(Broken::Downstream(error)) if is_reset(error) => server.reset(),
        _ => {}
    }
    flags_of(&ended)
}

/// Chooses a cluster.
fn draw(worker: &Worker, proxy: &TcpProxy, record: &mut TcpRecord) -> Result<Rc<Upstream>, Flag> {
    let total = proxy.destinations.total_weight().max(1);
    let ticket = worker.random.borrow_mut().next_u64() % total;
    let destination = proxy.destinations.at(ticket).ok_or(Flag::NoRouteFound)?;
    let upstream = worker.upstream(&destination.cluster).ok_or(Flag::NoClusterFound)?;
    record.destination = upstream.destination();
    if let Some(detail) = &mut record.detail {
        detail.cluster = Some(Arc::clone(&upstream.shared.cluster.name));
    }
    Ok(upstream)
}

/// A connection to an endpoint, and what it counts against while it lives.
struct Reached {
    stream: Stream,
    _permit: Permit,
    _active: Option<Active>,
}

/// Connects to one of a cluster's endpoints.
async fn reach(
    worker: &Worker,
    proxy: &TcpProxy,
    upstream: &Upstream,
    ends: &Ends,
    record: &mut TcpRecord,
) -> Result<Reached, Flags> {
    let flags = |flag| Flags::NONE.with(flag);
    let hash = proxy.hash_source_address.then(|| source_hash(ends.peer.ip()));
    let mut attempts = Attempts::new(None);
    for attempt in 1.. {
        let permit = upstream.shared.breaker.take(Resource::Connections);
        let permit = permit.map_err(|_| flags(Flag::UpstreamOverflow))?;
        let target =
            upstream.choose(hash, &mut attempts, ends.local, &mut worker.random.borrow_mut());
        let target = target.ok_or(flags(Flag::NoHealthyUpstream))?;
        record.tries(&target);
        if !inbound::of_connection(&worker.snapshot(), (upstream, &target), ends) {
            record.destination = target.destination;
            return Err(flags(Flag::UpstreamConnectionTermination));
        }
        match reach_once(worker, upstream, &target, ends).await {
            Ok((stream, active)) => {
                record.destination = target.destination;
                record.is_received = target.is_received();
                return Ok(Reached { stream, _permit: permit, _active: active });
            }
            Err(error) => {
                record.failed(error.transport_failure());
                if attempt >= CONNECT_ATTEMPTS {
                    break;
                }
            }
        }
    }
    Err(NOBODY_TOOK_IT)
}

/// Connects to one endpoint.
async fn reach_once(
    worker: &Worker,
    upstream: &Upstream,
    target: &Target,
    ends: &Ends,
) -> Result<(Stream, Option<Active>), ConnectError> {
    let active = upstream.begin(target);
    let both = ends.local.map(|local| (ends.peer, local));
    // What passes through keeps the name that the client asked for.
    let host = ends.tls.as_ref().map_or("", |tls| &tls.server_name);
    let manner = Manner::of(&upstream.shared, target, host, both);
    let connected =
        connect(worker.settings.networks(), &upstream.shared, &target.address, &manner).await;
    let outcome = if connected.is_ok() { Outcome::ConnectedFinally } else { Outcome::Failed };
    upstream.report(target.id, outcome);
    if let Err(error) = &connected {
        let error = error as &dyn std::error::Error;
        tracing::debug!(peer = %ends.peer, error, "no connection to the endpoint");
    }
    connected.map(|stream| (stream, active))
}

/// Bytes that have been carried so far.
#[derive(Debug, Default)]
struct Carried {
    received: Cell<u64>,
    sent: Cell<u64>,
}

/// Which side a connection broke on, or that nothing came for too long.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the client's side failed")]
    Downstream(#[source] io::Error),
    #[error("the endpoint's side failed")]
    Upstream(#[source] io::Error),
    #[error("nothing came for {0:?}")]
    Idle(Duration),
}

/// Envoy's: neither what the client does nor time that runs out has a flag.
fn flags_of(ended: &Result<(), Broken>) -> Flags {
    match ended {
        Err(Broken::Upstream(error)) if is_reset(error) => {
            Flags::NONE.with(Flag::UpstreamRemoteReset)
        }
        Err(Broken::Upstream(_)) => Flags::NONE.with(Flag::UpstreamConnectionTermination),
        Ok(()) | Err(Broken::Downstream(_) | Broken::Idle(_)) => Flags::NONE,
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Carries until it is done, or nothing has been carried for too long; how it ended.
async fn until_done(
    proxy: &TcpProxy,
    ends: &Ends,
    carried: &Carried,
    carrying: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    let ended = tokio::select! {
        biased;
        ended = carrying => ended,
        limit = idle(proxy.idle_timeout, carried) => Err(Broken::Idle(limit)),
    };
    if let Err(error) = &ended {
        tracing::debug!(peer = %ends.peer, %error, "the connection broke");
    }
    ended
}

const fn broken(is_downstream: bool, error: io::Error) -> Broken {
    if is_downstream { Broken::Downstream(error) } else { Broken::Upstream(error) }
}

/// Carries one direction to its end. An error tells whether it was in reading.
async fn carry(
    from: &Io,
    to: &Io,
    buffers: &BufferPool,
    count: &Cell<u64>,
) -> Result<(), (bool, io::Error)> {
    let mut buffer = Buffer::new(buffers);
    loop {
        from.readable().await.map_err(|error| (true, error))?;
        let is_end = match buffer.fill(from).await {
            Ok(read) => read == 0,
            // TLS that ends without saying so: whoever depends on the end knows it by other means.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err((true, error)),
        };
        if is_end {
            // The other side may be gone already.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let written = to.write_all(&mut [IoSlice::new(buffer.data())]).await;
        written.map_err(|error| (false, error))?;
        count.set(count.get() + buffer.data().len() as u64);
        buffer.consume(buffer.data().len());
        buffer.release();
    }
}

/// Waits until nothing was carried for as long as the limit says.
async fn idle(limit: Option<Duration>, carried: &Carried) -> Duration {
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else { return pending().await };
    let count = || (carried.received.get(), carried.sent.get());
    loop {
        let before = count();
        tokio::time::sleep(limit).await;
        if count() == before {
            return limit;
        }
    }
}
