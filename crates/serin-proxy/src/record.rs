//! What is known of a request when it is over: made once for each, however it ends.

use std::cell::Cell;

use serin_routing::response::{Failure, Flag, Flags};
use serin_routing::time::Instant;

use crate::tcp::TcpRecord;

/// The record of one request while it is under way.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    /// The status that was sent downstream; 0 before.
    pub(crate) status: u16,
    pub(crate) flags: Flags,
    pub(crate) details: &'static str,
    /// Why TLS towards the upstream failed.
    pub(crate) transport_failure: Option<String>,
    /// Tries upstream.
    pub(crate) attempts: u32,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// The gRPC status of the answer, from its trailers or its head.
    pub(crate) grpc_status: Option<u32>,
    /// Messages that the client and the upstream sent, for gRPC.
    pub(crate) request_messages: u64,
    pub(crate) response_messages: u64,
}

impl Record {
    pub(crate) const fn new(started: Instant) -> Self {
        Self {
            started,
            status: 0,
            flags: Flags::NONE,
            details: "-",
            transport_failure: None,
            attempts: 0,
            request_bytes: 0,
            response_bytes: 0,
            grpc_status: None,
            request_messages: 0,
            response_messages: 0,
        }
    }

    /// A flag that says how it went.
    pub(crate) const fn flag(&mut self, flag: Flag) {
        self.flags = self.flags.with(flag);
    }

    /// The client went away before it had its answer.
    pub(crate) const fn abandoned(&mut self) {
        self.flag(Flag::DownstreamConnectionTermination);
        self.details = "downstream_remote_disconnect";
    }

    /// It failed before anything was sent downstream.
    pub(crate) const fn failed(&mut self, failure: Failure) {
        let reply = failure.reply();
        self.details = reply.details;
        if let Some(flag) = reply.flag {
            self.flag(flag);
        }
    }
}

/// What a core has counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Cell<u64>,
    /// By hundreds: 0 for requests without a response.
    classes: [Cell<u64>; 6],
    /// Copies that were answered, that were not, and those of them that did not keep up.
    mirrored: Cell<u64>,
    mirrors_failed: Cell<u64>,
    mirrors_dropped: Cell<u64>,
    connections: Cell<u64>,
}

impl Counters {
    /// Counts a copy of a request that is over.
    pub(crate) fn mirrored(&self, is_answered: bool) {
        let counter = if is_answered { &self.mirrored } else { &self.mirrors_failed };
        counter.set(counter.get() + 1);
    }

    /// Counts a copy that was given up because it did not keep up.
    pub(crate) fn mirror_dropped(&self) {
        self.mirrors_dropped.set(self.mirrors_dropped.get() + 1);
    }

    /// Counts a connection that was no HTTP and is over.
    pub(crate) fn add_connection(&self, record: &TcpRecord) {
        self.connections.set(self.connections.get() + 1);
        let seconds = record.ended.since(record.started).as_secs_f64();
        let (flags, received, sent) = (record.flags, record.received, record.sent);
        tracing::trace!(?flags, received, sent, seconds, "a connection is over");
    }

    /// Counts a request that is over.
    pub(crate) fn add(&self, record: &Record) {
        if let Some(reason) = &record.transport_failure {
            tracing::debug!(reason, "TLS towards an endpoint failed");
        }
        let add = |counter: &Cell<u64>| counter.set(counter.get() + 1);
        add(&self.requests);
        if let Some(class) = self.classes.get(usize::from(record.status / 100)) {
            add(class);
        }
    }
}
