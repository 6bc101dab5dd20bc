//! Bytes through an endpoint that leads them on, as it is asked to in HTTP: by `CONNECT`, or as the body of a `POST` and of its answer
//! (Envoy's `tunneling_config`). In which version of HTTP goes by the cluster, whose connections of HTTP/2 tunnels share.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

use serin_routing::balancer::Attempts;
use serin_routing::decide::source_hash;
use serin_routing::model::{TcpProxy, Tunnel};
use serin_routing::outlier::Outcome;
use serin_routing::response::{Flag, Flags};
use tokio::time::timeout;

use super::{
    Broken, CONNECT_ATTEMPTS, Carried, NOBODY_TOOK_IT, TcpRecord, broken, flags_of, is_reset,
    until_done,
};
use crate::body::{Piece, Sink, Source};
use crate::connection::Ends;
use crate::inbound;
use crate::io::{Buffer, BufferPool, Io, Stream};
use crate::message::Headers;
use crate::request::Request;
use crate::upstream::{Answer, OpenError, Target, Upstream, Version, open};
use crate::worker::Worker;

/// What a connection is led by.
pub(super) struct Way<'w> {
    pub(super) worker: &'w Rc<Worker>,
    pub(super) proxy: &'w TcpProxy,
    pub(super) upstream: &'w Upstream,
    pub(super) ends: &'w Ends,
}

impl Way<'_> {
    /// Asks endpoints for a tunnel until one agrees, and carries bytes through it until both sides are done; how it ended.
    pub(super) async fn serve(
        &self,
        tunnel: &Tunnel,
        client: Stream,
        record: &mut TcpRecord,
        carried: &Carried,
    ) -> Flags {
        let Self { worker, proxy, upstream, ends } = *self;
        let request = Request::for_tunnel(tunnel, ends);
        let hash = proxy.hash_source_address.then(|| source_hash(ends.peer.ip()));
        let mut attempts = Attempts::new(None);
        for _ in 0..CONNECT_ATTEMPTS {
            let target =
                upstream.choose(hash, &mut attempts, ends.local, &mut worker.random.borrow_mut());
            let Some(target) = target else { return Flags::NONE.with(Flag::NoHealthyUpstream) };
            record.tries(&target);
            let snapshot = worker.snapshot();
            if inbound::of_request(worker, &snapshot, (upstream, &target), &request).is_err() {
                record.destination = target.destination;
                return Flags::NONE.with(Flag::UpstreamConnectionTermination);
            }
            let _active = upstream.begin(&target);
            let opened = open(worker, upstream, &target, &request, Version::Http1).await;
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(OpenError::Overflow) => return Flags::NONE.with(Flag::UpstreamOverflow),
                Err(error) => {
                    record.failed(error.transport_failure());
                    self.refused(&target, &error);
                    continue;
                }
            };
            let local = connection.local_addr();
            let (mut sink, answer) = match connection.call(&request, !tunnel.by_post) {
                Ok(call) => call,
                Err(error) => {
                    self.refused(&target, &error);
                    continue;
                }
            };
            let limit = upstream.shared.cluster.connect_timeout;
            let agreed = timeout(limit, self.agree(tunnel, &mut sink, answer)).await;
            let mut source = match agreed {
                Ok(Ok(source)) => source,
                Ok(Err(error)) => {
                    self.refused(&target, &error);
                    continue;
                }
                Err(late) => {
                    self.refused(&target, &late);
                    continue;
                }
            };
            upstream.report(target.id, Outcome::ConnectedFinally);
            record.destination = target.destination;
            record.is_received = target.is_received();
            record.has_opened = true;
            if let Some(detail) = &mut record.detail {
                detail.upstream_local = local;
            }
            worker.telemetry.begin_connection(record);
            let client = Io::new(client);
            let up = send(&client, &mut sink, &worker.buffers, &carried.received);
            let down = receive(&mut source, &client, &carried.sent);
            let carrying = async { tokio::try_join!(up, down).map(drop) };
            let ended = until_done(proxy, ends, carried, carrying).await;
            if matches!(&ended, Err(Broken::Upstream(error)) if is_reset(error)) {
                client.reset();
            }
            return flags_of(&ended);
        }
        NOBODY_TOOK_IT
    }

    /// The endpoint's answer, and the bytes that come through the tunnel.
    async fn agree<'c>(
        &self,
        tunnel: &Tunnel,
        sink: &mut Sink<'_>,
        mut answer: Answer<'c>,
    ) -> Result<Source<'c>, Refusal> {
        sink.flush().await.map_err(Refusal::Write)?;
        let response = loop {
            let response = answer.head(self.worker.settings.heads).await;
            let response = response.map_err(Refusal::NoAnswer)?;
            if !response.is_interim() {
                break response;
            }
        };
        // Whatever says success agrees to a `CONNECT` (RFC 9110 §9.3.6).
        let agrees = match response.status {
            200 => true,
            201..=299 => !tunnel.by_post,
            _ => false,
        };
        let source = answer.into_body().filter(|_| agrees);
        source.ok_or(Refusal::Status(response.status))
    }

    fn refused(&self, target: &Target, error: &(dyn std::error::Error + 'static)) {
        self.upstream.report(target.id, Outcome::Failed);
        tracing::debug!(peer = %self.ends.peer, error, "no tunnel through the endpoint");
    }
}

/// Why an endpoint leads nothing on.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request could not be sent")]
    Write(#[source] io::Error),
    #[error("there is no answer")]
    NoAnswer(#[source] crate::upstream::UpstreamError),
    #[error("it answers {0}")]
    Status(u16),
}

/// Carries what the client sends to its end.
async fn send(
    client: &Io,
    sink: &mut Sink<'_>,
    buffers: &BufferPool,
    count: &Cell<u64>,
) -> Result<(), Broken> {
    let mut buffer = Buffer::new(buffers);
    loop {
        client.readable().await.map_err(Broken::Downstream)?;
        let is_end = match buffer.fill(client).await {
            Ok(read) => read == 0,
            // TLS that ends without saying so: whoever depends on the end knows it by other means.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err(Broken::Downstream(error)),
        };
        if is_end {
            // The other side may be gone already.
            let _ = sink.finish(&Headers::default()).await;
            return Ok(());
        }
        sink.write(Piece::Borrowed(buffer.data())).await.map_err(Broken::Upstream)?;
        count.set(count.get() + buffer.data().len() as u64);
        buffer.consume(buffer.data().len());
        buffer.release();
    }
}

/// Carries what comes through the tunnel to its end.
async fn receive(source: &mut Source<'_>, client: &Io, count: &Cell<u64>) -> Result<(), Broken> {
    loop {
        let next = source.next().await;
        if !next.map_err(|error| broken(false, io::Error::other(error)))? {
            // The other side may be gone already.
            let _ = client.shutdown().await;
            return Ok(());
        }
        let piece = source.piece();
        let written = client.write_all(&mut [IoSlice::new(&piece)]).await;
        written.map_err(Broken::Downstream)?;
        count.set(count.get() + piece.len() as u64);
        source.consume();
    }
}
