//! A try as the workload sees it that it comes to: what the mesh's proxy beside it would report.
//!
//! Where both ends are served by this process, the one proxy is both proxies. The sending side counts a request once, with all its
//! tries; the receiving side counts each try that came to it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serin_routing::response::{Failure, Flag, Flags};
use serin_routing::time::Instant;
use serin_telemetry::{Protocol, Reporter, Request as Counted};

use super::custom::custom_received;
use super::{Counters, Telemetry};
use crate::clock::Clock;
use crate::exchange::is_grpc;
use crate::record::Record;
use crate::request::Request;
use crate::upstream::Target;

/// A try that has come to a workload. It is counted when this is dropped: one that was given up, as one whose client went away.
pub(crate) struct Visit {
    counters: Rc<Counters>,
    clock: Clock,
    started: Instant,
    is_grpc: bool,
    counted: Cell<Counted>,
}

impl Visit {
    /// A try that begins; `None` if its end is not seen from here.
    pub(crate) fn begin(
        telemetry: &Telemetry,
        clock: Clock,
        target: &Target,
        (request, record): (&Request, &Record),
        is_mirror: bool,
    ) -> Option<Self> {
        target.is_received().then(|| Self {
            counters: Rc::clone(&telemetry.counters),
            clock,
            started: clock.now(),
            is_grpc: is_grpc(request),
            counted: Cell::new(Counted {
                reporter: Reporter::Destination,
                source: telemetry.source.get(),
                destination: target.destination,
                protocol: Protocol::Grpc(None),
                status: 0,
                flags: Flags::NONE.with(Flag::DownstreamConnectionTermination),
                is_mirror,
                custom: custom_received(
                    &telemetry.counters,
                    (telemetry.source.get(), target.destination),
                    request,
                    record,
                ),
                duration: Duration::ZERO,
                request_bytes: 0,
                response_bytes: 0,
                request_messages: 0,
                response_messages: 0,
            }),
        })
    }

    fn change(&self, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.get();
        change(&mut counted);
        self.counted.set(counted);
    }

    /// So many bytes and messages of the request have been sent to it.
    pub(crate) fn sent(&self, bytes: u64, messages: u64) {
        self.change(|counted| {
            (counted.request_bytes, counted.request_messages) = (bytes, messages)
        });
    }

    /// It has answered.
    pub(crate) fn answered(&self, status: u16, grpc_status: Option<u32>) {
        self.change(|counted| {
            counted.status = status;
            counted.protocol = Protocol::Grpc(grpc_status);
        });
    }

    /// Its answer was taken in whole.
    pub(crate) fn complete(&self) {
        self.change(|counted| counted.flags = Flags::NONE);
    }

    /// The answer went on downstream as `record` tells, in whole or not.
    pub(crate) fn passed_on(&self, request: &Request, record: &Record, is_complete: bool) {
        let Counted { source, destination, .. } = self.counted.get();
        let custom = custom_received(&self.counters, (source, destination), request, record);
        self.change(|counted| {
            counted.custom = custom;
            counted.response_bytes = record.response_bytes;
            counted.response_messages = record.response_messages;
            counted.protocol = Protocol::Grpc(record.grpc_status);
            counted.flags = if is_complete { Flags::NONE } else { record.flags };
        });
    }

    /// It gave no answer: the proxy beside it would say so in its place. That the sender has waited long enough is the sender's
    /// matter.
    pub(crate) fn failed(&self, failure: Failure) {
        if matches!(failure, Failure::PerTryTimeout | Failure::ResponseTimeout) {
            return;
        }
        let reply = failure.reply();
        self.change(|counted| {
            counted.status = reply.status;
            counted.flags = reply.flag.map_or(Flags::NONE, |flag| Flags::NONE.with(flag));
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut counted = self.counted.get();
        counted.duration = self.clock.now().since(self.started);
        if !self.is_grpc {
            counted.protocol = Protocol::Http;
        }
        self.counters.metrics.borrow_mut().count(&counted);
    }
}
