//! What is told of requests: Istio's counters and a sample for whoever looks, which are a core's; lines of the access log and spans,
//! which are a workload's.

mod connection;
mod custom;
pub(crate) mod facts;
mod focus;
mod sample;
mod span;
mod visit;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use serin_routing::decide::Decision;
use serin_routing::model::{EndpointAddress, Origin, WorkloadIdentity};
use serin_routing::time::Instant;
use serin_telemetry::access_log::{AccessLog, Buffer};
use serin_telemetry::customization::CustomId;
use serin_telemetry::trace::Tracing;
use serin_telemetry::{
    Hits, Metrics, Path, Protocol, Reporter, Request as Counted, SourceId, Workload,
};

use crate::clock::wall_time;
use crate::exchange::is_grpc;
use crate::message::Headers;
use crate::record::Record;
use crate::request::Request;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::tcp::TcpRecord;
use crate::upstream::{Upstream, Version};

pub(crate) use connection::{ConnectionDetail, Refused};
use custom::{Custom, Nothing, Received};
use facts::LogFacts;
use focus::Closer;
pub(crate) use focus::Shadow;
use sample::Sample;
pub use sample::Seen;
pub(crate) use visit::Visit;

/// What a core counts, for all its workloads.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) metrics: RefCell<Metrics>,
    pub(crate) hits: RefCell<Hits>,
    sample: RefCell<Sample>,
    sample_due: Cell<Instant>,
    /// How far apart requests are that are kept.
    sample_every: Duration,
    closer: Closer,
    received: Received,
    pub(crate) mirrors_dropped: Cell<u64>,
    /// Connections that clients opened.
    pub(crate) accepted: Cell<u64>,
}

impl Counters {
    /// Nothing is counted yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { sample_every: settings.sample_every, ..Self::default() }
    }

    /// The sample, the latest last.
    pub(crate) fn sampled(&self) -> Vec<Seen> {
        self.sample.borrow().all()
    }
}

/// The telemetry of a workload on one core.
pub(crate) struct Telemetry {
    counters: Rc<Counters>,
    key: Arc<str>,
    source: Cell<SourceId>,
    is_silent: Cell<bool>,
    workload: RefCell<Workload>,
    log: RefCell<Option<Log>>,
    tracing: RefCell<Option<Arc<Tracing>>>,
    custom: Custom,
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
    /// Whose the endpoint is.
    pub(crate) upstream: Option<Arc<WorkloadIdentity>>,
    /// This side's address of the connection to the endpoint.
    pub(crate) upstream_local: Option<SocketAddr>,
    pub(crate) upstream_version: Option<Version>,
    /// The rule that does not let it in; `none` if it is for want of one.
    pub(crate) denied_by: Option<Arc<str>>,
    /// When the last byte of the request had come.
    pub(crate) received: Option<Instant>,
    /// When the head of the answer came from the endpoint.
    pub(crate) answered: Option<Instant>,
    /// When all of the answer had gone downstream.
    pub(crate) delivered: Option<Instant>,
    pub(crate) response: Headers,
    pub(crate) trailers: Headers,
}

impl Detail {
    /// Takes note of the rule that takes the request.
    fn decided(&mut self, decision: &Decision<'_>) {
        self.virtual_host = decision.virtual_host.map(|host| Arc::clone(&host.name));
        if let Some(rule) = decision.rule {
            self.route = Some(Arc::clone(&rule.route().name));
            self.origin = Some(rule.route().origin.clone());
        }
    }
}

impl Telemetry {
    /// The telemetry of a workload of which nothing is known yet.
    pub(crate) fn new(key: &Arc<str>, counters: Rc<Counters>) -> Self {
        Self {
            counters,
            key: Arc::clone(key),
            source: Cell::default(),
            is_silent: Cell::default(),
            workload: RefCell::default(),
            log: RefCell::default(),
            tracing: RefCell::default(),
            custom: Custom::default(),
        }
    }

    /// Follows a new version of the workload's model.
    pub(crate) fn take(&self, snapshot: &Snapshot) {
        if *self.workload.borrow() != snapshot.workload {
            let number = self.counters.metrics.borrow_mut().source(snapshot.workload.clone());
            self.source.set(number);
            *self.workload.borrow_mut() = snapshot.workload.clone();
        }
        self.is_silent.set(snapshot.is_silent);
        self.custom.take(snapshot, &self.counters);
        self.set_log(snapshot.access_log.as_ref());
        (*self.tracing.borrow_mut()).clone_from(&snapshot.tracing);
    }

    /// Where lines go from here on.
    fn set_log(&self, settings: Option<&Arc<AccessLog>>) {
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
        let is_sampled = now >= self.counters.sample_due.get();
        if is_sampled {
            self.counters.sample_due.set(now + self.counters.sample_every);
            record.is_sampled = true;
        }
        if is_sampled || self.custom.wants_detail() || self.log.borrow().is_some() {
            record.started_at = wall_time();
            record.detail = Some(Box::default());
        }
        record
    }

    /// It is known which rule takes a request.
    pub(crate) fn decided(&self, decision: &Decision<'_>, record: &mut Record) {
        if let Some(rule) = decision.rule {
            self.counters.hits.borrow_mut().count(rule.route());
        }
        if let Some(detail) = &mut record.detail {
            detail.decided(decision);
        }
    }

    /// A request is over.
    pub(crate) fn end(&self, request: &Request, record: &Record, version: Version, now: Instant) {
        if let Some(reason) = &record.transport_failure {
            tracing::debug!(reason, "an endpoint could not be connected to");
        }
        let duration = now.since(record.started);
        let protocol =
            if is_grpc(request) { Protocol::Grpc(record.grpc_status) } else { Protocol::Http };
        let custom = self.custom_sent(request, record, version, duration);
        self.count(record, protocol, duration, (custom, false));
        if self.counters.closer.is_used() && !self.is_silent.get() {
            self.count_closer(request, record, protocol, duration);
        }
        let Some(detail) = &record.detail else { return };
        if let Some(Log { settings, buffer }) = &mut *self.log.borrow_mut() {
            let (sender, is_received) = (&*self.workload.borrow(), false);
            let facts =
                LogFacts { request, record, detail, version, duration, sender, is_received };
            settings.log(record.status, &facts, buffer);
        }
        if let (Some(place), Some(tracing)) = (record.span, &*self.tracing.borrow()) {
            tracing.report(span::of(request, record, detail, (place, duration)));
        }
        if record.is_sampled {
            let seen = Seen::new(&self.key, request, record, detail, duration);
            self.counters.sample.borrow_mut().add(seen);
        }
    }

    /// A copy of a request is over.
    pub(crate) fn end_mirror(&self, request: &Request, record: &Record, now: Instant) {
        let protocol =
            if is_grpc(request) { Protocol::Grpc(record.grpc_status) } else { Protocol::Http };
        let duration = now.since(record.started);
        let custom = self.custom_sent(request, record, Version::Http1, duration);
        self.count(record, protocol, duration, (custom, true));
        self.compare(request, record, protocol, duration);
    }

    /// Counts a copy that was given up because it did not keep up.
    pub(crate) fn mirror_dropped(&self) {
        let dropped = &self.counters.mirrors_dropped;
        dropped.set(dropped.get() + 1);
    }

    /// A connection of bytes has reached its endpoint.
    pub(crate) fn begin_connection(&self, record: &TcpRecord) {
        let paths = self.paths(record);
        let mut metrics = self.counters.metrics.borrow_mut();
        paths.for_each(|path| metrics.opened(path));
    }

    /// A connection of bytes is over.
    pub(crate) fn end_connection(&self, record: &TcpRecord) {
        if !record.has_opened {
            self.begin_connection(record);
        }
        let paths = self.paths(record);
        let mut metrics = self.counters.metrics.borrow_mut();
        let TcpRecord { flags, sent, received, .. } = *record;
        paths.for_each(|path| metrics.closed(path, flags, sent, received));
    }

    /// The sides that a connection is counted on.
    fn paths(&self, record: &TcpRecord) -> impl Iterator<Item = Path> + use<> {
        let source = self.source.get();
        let destination = record.destination;
        let received = self.counters.custom_received(destination, &Nothing);
        let sending = (!self.is_silent.get()).then_some((Reporter::Source, record.custom));
        let receiving = record.is_received.then_some((Reporter::Destination, received));
        let path = move |(reporter, custom)| Path { reporter, source, destination, custom };
        sending.into_iter().chain(receiving).map(path)
    }

    fn count(
        &self,
        record: &Record,
        protocol: Protocol,
        duration: Duration,
        (custom, is_mirror): (CustomId, bool),
    ) {
        if self.is_silent.get() {
            return;
        }
        self.counters.metrics.borrow_mut().count(&Counted {
            reporter: Reporter::Source,
            source: self.source.get(),
            destination: record.destination,
            protocol,
            status: record.status,
            flags: record.flags,
            is_mirror,
            custom,
            duration,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            request_messages: record.request_messages,
            response_messages: record.response_messages,
        });
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

    /// A try has come as far as the cluster, but to none of its endpoints.
    pub(crate) fn nowhere(&mut self, upstream: &Upstream) {
        self.destination = upstream.destination();
        if let Some(detail) = &mut self.detail {
            detail.endpoint = None;
            detail.upstream = None;
        }
    }
}
