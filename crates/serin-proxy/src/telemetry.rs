//! What one core tells of its requests: Istio's counters, lines of the access log, and a sample for whoever looks.

mod facts;
mod sample;
mod span;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use serin_routing::decide::Decision;
use serin_routing::model::{EndpointAddress, Origin};
use serin_routing::time::Instant;
use serin_telemetry::access_log::{AccessLog, Buffer};
use serin_telemetry::trace::Tracing;
use serin_telemetry::{Metrics, Protocol, Request as Counted};

use crate::clock::wall_time;
use crate::exchange::is_grpc;
use crate::message::Headers;
use crate::record::Record;
use crate::request::Request;
use crate::tcp::TcpRecord;
use crate::upstream::{Upstream, Version};

use facts::LogFacts;
use sample::Sample;
pub use sample::Seen;

/// Requests that are kept to be looked at come so far apart at least.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// The telemetry of a core.
pub(crate) struct Telemetry {
    pub(crate) metrics: Rc<RefCell<Metrics>>,
    log: RefCell<Option<Log>>,
    tracing: RefCell<Option<Arc<Tracing>>>,
    sample: RefCell<Sample>,
    sample_due: Cell<Instant>,
    pub(crate) mirrors_dropped: Cell<u64>,
    /// Connections that clients opened.
    pub(crate) accepted: Cell<u64>,
}

struct Log {
    settings: Arc<AccessLog>,
    buffer: Buffer,
}

/// What only logs and samples want to know of a request.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    pub(crate) route: Option<Arc<str>>,
    pub(crate) origin: Option<Origin>,
    pub(crate) virtual_host: Option<Arc<str>>,
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) endpoint: Option<EndpointAddress>,
    pub(crate) response: Headers,
}

impl Detail {
    /// Takes note of the rule that takes the request.
    pub(crate) fn decided(&mut self, decision: &Decision<'_>) {
        self.virtual_host = decision.virtual_host.map(|host| Arc::clone(&host.name));
        if let Some(rule) = decision.rule {
            self.route = Some(Arc::clone(&rule.route().name));
            self.origin = Some(rule.route().origin.clone());
        }
    }
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        Self {
            metrics: Rc::default(),
            log: RefCell::default(),
            tracing: RefCell::default(),
            sample: RefCell::default(),
            sample_due: Cell::new(Instant::ZERO),
            mirrors_dropped: Cell::new(0),
            accepted: Cell::new(0),
        }
    }

    /// Where lines go from here on.
    pub(crate) fn set_log(&self, settings: Option<&Arc<AccessLog>>) {
        let mut log = self.log.borrow_mut();
        let is_same = match (&*log, settings) {
            (Some(log), Some(new)) => Arc::ptr_eq(&log.settings, new),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            *log = settings
                .map(|settings| Log { buffer: settings.buffer(), settings: Arc::clone(settings) });
        }
    }

    /// How requests are traced from here on.
    pub(crate) fn set_tracing(&self, tracing: Option<Arc<Tracing>>) {
        *self.tracing.borrow_mut() = tracing;
    }

    /// Gives a request its place in a trace, and tells the upstream of it.
    pub(crate) fn trace(&self, request: &mut Request, record: &mut Record, random: &mut impl Rng) {
        let tracing = self.tracing.borrow();
        let Some(tracing) = &*tracing else { return };
        let (context, parent) = span::begin(&mut request.headers, tracing.share, random);
        if context.sampled == Some(true) {
            record.span = Some((context, parent));
            if record.detail.is_none() {
                record.started_at = wall_time();
                record.detail = Some(Box::default());
            }
        }
    }

    /// Hands over lines that have waited.
    pub(crate) fn flush(&self) {
        if let Some(log) = &mut *self.log.borrow_mut() {
            log.buffer.flush();
        }
    }

    /// The record of a request that begins, with room for details if anybody will ask for them.
    pub(crate) fn begin(&self, now: Instant) -> Record {
        let mut record = Record::new(now);
        let is_sampled = now >= self.sample_due.get();
        if is_sampled {
            self.sample_due.set(now + SAMPLE_EVERY);
            record.is_sampled = true;
        }
        if is_sampled || self.log.borrow().is_some() {
            record.started_at = wall_time();
            record.detail = Some(Box::default());
        }
        record
    }

    /// A request is over.
    pub(crate) fn end(&self, request: &Request, record: &Record, version: Version, now: Instant) {
        if let Some(reason) = &record.transport_failure {
            tracing::debug!(reason, "TLS towards an endpoint failed");
        }
        let duration = now.since(record.started);
        let protocol =
            if is_grpc(request) { Protocol::Grpc(record.grpc_status) } else { Protocol::Http };
        self.metrics.borrow_mut().count(&counted(record, protocol, duration, false));
        let Some(detail) = &record.detail else { return };
        if let Some(Log { settings, buffer }) = &mut *self.log.borrow_mut() {
            let facts = LogFacts { request, record, detail, version, duration };
            settings.log(record.status, &facts, buffer);
        }
        if let (Some(place), Some(tracing)) = (record.span, &*self.tracing.borrow()) {
            tracing.report(span::of(request, record, detail, (place, duration)));
        }
        if record.is_sampled {
            self.sample.borrow_mut().add(Seen::new(request, record, detail, duration));
        }
    }

    /// A copy of a request is over.
    pub(crate) fn end_mirror(&self, request: &Request, record: &Record, now: Instant) {
        let protocol = if is_grpc(request) { Protocol::Grpc(None) } else { Protocol::Http };
        let duration = now.since(record.started);
        self.metrics.borrow_mut().count(&counted(record, protocol, duration, true));
    }

    /// Counts a copy that was given up because it did not keep up.
    pub(crate) fn mirror_dropped(&self) {
        self.mirrors_dropped.set(self.mirrors_dropped.get() + 1);
    }

    /// A connection of bytes has reached its endpoint.
    pub(crate) fn begin_connection(&self, record: &TcpRecord) {
        self.metrics.borrow_mut().opened(record.destination);
    }

    /// A connection of bytes is over.
    pub(crate) fn end_connection(&self, record: &TcpRecord) {
        let mut metrics = self.metrics.borrow_mut();
        if !record.has_opened {
            metrics.opened(record.destination);
        }
        metrics.closed(record.destination, record.flags, record.sent, record.received);
    }

    /// The sample, the latest last.
    pub(crate) fn sampled(&self) -> Vec<Seen> {
        self.sample.borrow().all()
    }
}

fn counted(record: &Record, protocol: Protocol, duration: Duration, is_mirror: bool) -> Counted {
    Counted {
        destination: record.destination,
        protocol,
        status: record.status,
        flags: record.flags,
        is_mirror,
        duration,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        request_messages: record.request_messages,
        response_messages: record.response_messages,
    }
}

impl Record {
    /// The request goes to a cluster.
    pub(crate) fn routed(&mut self, upstream: &Upstream) {
        self.destination = upstream.destination();
        if let Some(detail) = &mut self.detail {
            detail.cluster = Some(Arc::clone(&upstream.shared.cluster.name));
        }
    }
}
