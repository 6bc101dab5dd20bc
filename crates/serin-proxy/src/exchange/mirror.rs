//! Copies of requests, whose answers are thrown away.
//!
//! A copy is made once, of the request as it goes upstream after all its changes (Envoy's shadow policies). Its body is handed on
//! piece by piece as the primary's is read. Between the two stands a bounded queue: a mirror that does not keep up is given up
//! and counted, for the primary must never wait for it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use serin_routing::balancer::Attempts;
use serin_routing::breaker::Resource;
use serin_routing::outlier::Outcome;
use serin_routing::response::{Failure, grpc_status_of};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::forward::Trip;
use super::is_grpc;
use super::outgoing::Outgoing;
use super::progress::Progress;
use crate::body::{BodyError, Broken, Source};
use crate::inbound;
use crate::message::Headers;
use crate::record::Record;
use crate::request::{Request, Upgrade};
use crate::telemetry::Visit;
use crate::upstream::{Connection, OpenError, Target, Upstream, Version, open};
use crate::worker::Worker;

/// Bytes that may wait for a mirror.
const QUEUE: usize = 1024 * 1024;
/// Time for a mirror whose rule sets no timeout.
const LONGEST: Duration = Duration::from_secs(60);

/// Starts the copies that were drawn for a request.
pub(super) fn start(
    trip: &Trip<'_>,
    request: &Request,
    outgoing: &mut Outgoing<'_>,
    record: &mut Record,
) {
    if request.upgrade != Upgrade::None {
        return;
    }
    if trip.forwarding.mirrors.iter().next().is_some() {
        record.shadow = trip.exchange.worker.telemetry.shadow();
    }
    let is_empty = outgoing.is_empty();
    let mut copies = Vec::new();
    for mirror in trip.forwarding.mirrors.iter() {
        let (copy, source) = pair(is_empty, trip.exchange.worker);
        let mut request = request.copy_head();
        // As Envoy marks requests that it makes itself.
        request.headers.set(b"x-envoy-internal", b"true");
        let job = Mirror {
            worker: Rc::clone(trip.exchange.worker),
            cluster: Arc::clone(&mirror.cluster),
            request,
            version: trip.exchange.version,
        };
        let limit = trip.forwarding.timeout.unwrap_or(LONGEST);
        let shadow = record.shadow.clone();
        spawn_local(async move {
            let worker = Rc::clone(&job.worker);
            let mut record = Record::new(worker.clock.now());
            // What becomes of a copy is nobody's business but the counters'.
            let ended = timeout(limit, job.run(source, &mut record)).await;
            if ended != Ok(Copied::GivenUp) {
                record.shadow = shadow;
            }
            worker.telemetry.end_mirror(&job.request, &record, worker.clock.now());
        });
        if !is_empty {
            copies.push(copy);
        }
    }
    outgoing.copy_to(copies);
}

struct Mirror {
    worker: Rc<Worker>,
    cluster: Arc<str>,
    request: Request,
    version: Version,
}

/// What became of a copy.
#[derive(Debug, PartialEq)]
enum Copied {
    /// It was answered, or failed.
    Over,
    /// It was given up for reasons that are none of its destination's.
    GivenUp,
}

impl Mirror {
    /// Sends the copy and reads the answer.
    async fn run(&self, source: CopySource, record: &mut Record) -> Copied {
        self.exchange(source, record).await.unwrap_or(Copied::Over)
    }

    /// What it comes in as by the workload's own rules; `None` if it does not, which counts there.
    fn come_in(
        &self,
        upstream: &Upstream,
        target: &Target,
        record: &Record,
    ) -> Option<Option<Box<Request>>> {
        let worker = &self.worker;
        let ends = (upstream, target);
        match inbound::of_request(worker, &worker.snapshot(), ends, &self.request) {
            Ok(changed) => Some(changed),
            Err(rejection) => {
                let begun = (&self.request, record);
                let visit = Visit::begin(&worker.telemetry, worker.clock, target, begun, true);
                visit.iter().for_each(|it| it.failed(rejection.failure));
                None
            }
        }
    }

    /// A connection to the endpoint.
    async fn open(
        &self,
        upstream: &Upstream,
        target: &Target,
        request: &Request,
    ) -> Option<Connection> {
        let opened = open(&self.worker, upstream, target, request, self.version).await;
        let outcome = match &opened {
            Ok(_) => Outcome::Connected,
            // None of the endpoint's doing.
            Err(OpenError::Overflow) => return None,
            Err(_) => Outcome::Failed,
        };
        upstream.report(target.id, outcome);
        opened.ok()
    }

    /// `None` if it did not come as far as an answer.
    async fn exchange(&self, source: CopySource, record: &mut Record) -> Option<Copied> {
        let worker = &self.worker;
        let upstream = worker.upstream(&self.cluster)?;
        record.destination = upstream.destination();
        let _permit = upstream.shared.breaker.take(Resource::Requests).ok()?;
        let mut attempts = Attempts::new(None);
        let meant = self.request.downstream.local;
        let target =
            upstream.choose(None, &mut attempts, meant, &mut worker.random.borrow_mut())?;
        record.destination = target.destination;
        let _active = upstream.begin(&target);
        let report = |outcome| upstream.report(target.id, outcome);
        let changed = self.come_in(&upstream, &target, record)?;
        let request = changed.as_deref().unwrap_or(&self.request);
        let mut connection = self.open(&upstream, &target, request).await?;
        let begun = (request, &*record);
        let visit = Visit::begin(&worker.telemetry, worker.clock, &target, begun, true);
        let progress = Progress::new(worker.clock, false);
        let mut outgoing = Outgoing::new(Source::Copy(source), 0, &progress);
        let is_reusable = {
            let (mut sink, mut answer) = connection.call(request, outgoing.is_empty()).ok()?;
            let mut sending = std::pin::pin!(outgoing.send(&mut sink));
            let mut is_sending = true;
            let (status, grpc_status) = loop {
                tokio::select! {
                    biased;
                    failed = &mut sending, if is_sending => match failed {
                        // The primary's body broke off, or the mirror is too slow.
                        Err(Broken::Source(_)) => return Some(Copied::GivenUp),
                        Err(Broken::Sink) => is_sending = false,
                    },
                    head = answer.head(worker.settings.heads) => match head {
                        Ok(head) if head.is_interim() => {}
                        Ok(head) => break (head.status, head.headers.grpc_status()),
                        Err(_) => {
                            report(Outcome::Failed);
                            if let Some(visit) = &visit {
                                visit.failed(Failure::ConnectionTermination);
                            }
                            return None;
                        }
                    },
                }
            };
            report(Outcome::Response(status));
            record.status = status;
            if let Some(visit) = &visit {
                visit.answered(status, grpc_status);
            }
            let is_reusable = answer.is_reusable();
            let mut body = answer.into_body()?;
            let is_read = loop {
                tokio::select! {
                    biased;
                    _ = &mut sending, if is_sending => is_sending = false,
                    next = body.next() => match next {
                        Ok(true) => body.consume(),
                        Ok(false) => break true,
                        Err(_) => break false,
                    },
                }
            };
            let told = grpc_status.or_else(|| body.trailers().grpc_status());
            let untold = || is_grpc(request).then(|| u32::from(grpc_status_of(status)));
            record.grpc_status = told.or_else(untold);
            if let (Some(visit), true) = (&visit, is_read) {
                visit.sent(progress.bytes.get(), 0);
                visit.complete();
            }
            is_reusable && is_read && progress.sent.get()
        };
        if is_reusable {
            connection.give_back(worker.clock.now(), &upstream);
        }
        Some(Copied::Over)
    }
}

/// What stands between a request and its copy.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    size: usize,
    end: Option<End>,
    reader: Option<Waker>,
}

enum End {
    /// The body is complete.
    Complete(Headers),
    /// It will not be.
    GivenUp,
}

impl Queue {
    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn pair(is_empty: bool, worker: &Rc<Worker>) -> (Copy, CopySource) {
    let queue = Rc::new(RefCell::new(Queue::default()));
    let copy = Copy { queue: Rc::clone(&queue), worker: Rc::clone(worker) };
    (copy, CopySource { queue, is_empty, piece: Bytes::new(), trailers: Headers::default() })
}

/// The end that a request hands its body's pieces to. Dropped before the end of the body, it gives the copy up.
pub(super) struct Copy {
    queue: Rc<RefCell<Queue>>,
    worker: Rc<Worker>,
}

impl Copy {
    /// Hands on a piece; `false` if the copy is given up.
    pub(super) fn give(&self, piece: &Bytes) -> bool {
        let mut queue = self.queue.borrow_mut();
        if Rc::strong_count(&self.queue) == 1 {
            return false;
        }
        queue.size += piece.len();
        if queue.size > QUEUE {
            queue.end(End::GivenUp);
            self.worker.telemetry.mirror_dropped();
            return false;
        }
        queue.pieces.push_back(piece.clone());
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
        true
    }

    /// The body is complete.
    pub(super) fn finish(self, trailers: &Headers) {
        self.queue.borrow_mut().end(End::Complete(trailers.clone()));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.queue.borrow_mut().end(End::GivenUp);
    }
}

/// The body of a copy.
pub(crate) struct CopySource {
    queue: Rc<RefCell<Queue>>,
    is_empty: bool,
    piece: Bytes,
    trailers: Headers,
}

impl CopySource {
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(crate) async fn next(&mut self) -> Result<bool, BodyError> {
        if self.is_empty {
            return Ok(false);
        }
        poll_fn(|cx| {
            let mut queue = self.queue.borrow_mut();
            if matches!(queue.end, Some(End::GivenUp)) {
                return Poll::Ready(Err(BodyError::GivenUp));
            }
            if let Some(piece) = queue.pieces.pop_front() {
                self.piece = piece;
                return Poll::Ready(Ok(true));
            }
            if let Some(End::Complete(trailers)) = &mut queue.end {
                self.trailers = std::mem::take(trailers);
                return Poll::Ready(Ok(false));
            }
            queue.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(crate) const fn piece(&self) -> &Bytes {
        &self.piece
    }

    pub(crate) fn consume(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        let mut queue = self.queue.borrow_mut();
        queue.size = queue.size.saturating_sub(piece.len());
    }

    pub(crate) const fn trailers(&self) -> &Headers {
        &self.trailers
    }
}
