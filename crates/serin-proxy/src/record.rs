//! What is known of a request when it is over: made once for each, however it ends.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::response::{BrokenOff, Failure, Flag, Flags};
use serin_routing::time::Instant;
use serin_telemetry::DestinationId;
use serin_telemetry::trace::Context;

use crate::telemetry::{Detail, Shadow};

/// The record of one request while it is under way.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    /// The time of day, if there is a `detail`; since the Unix epoch.
    pub(crate) started_at: Duration,
    /// Where it went, as far as it is known yet.
    pub(crate) destination: DestinationId,
    /// It is kept to be looked at.
    pub(crate) is_sampled: bool,
    /// Its place in a trace that is reported, and the span it belongs to.
    pub(crate) span: Option<(Context, Option<u64>)>,
    /// Where it meets its copies, if someone wants to compare them.
    pub(crate) shadow: Option<Rc<Shadow>>,
    /// What the client asked to be told.
    pub(crate) explanation: Option<Box<str>>,
    /// What only logs and samples want to know; `None` if neither will.
    pub(crate) detail: Option<Box<Detail>>,
    /// The status that was sent downstream; 0 before.
    pub(crate) status: u16,
    pub(crate) flags: Flags,
    pub(crate) details: &'static str,
    /// Why there is no connection to the upstream.
    pub(crate) transport_failure: Option<String>,
    /// Tries upstream.
    pub(crate) attempts: u32,
    /// Whether the first of them failed, and there was another.
    pub(crate) first_try_failed: bool,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// The gRPC status of the answer, from its trailers or its head.
    pub(crate) grpc_status: Option<u32>,
    /// Messages that the client and the upstream sent, for gRPC.
    pub(crate) request_messages: u64,
    pub(crate) response_messages: u64,
}

impl Record {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            started_at: Duration::ZERO,
            destination: DestinationId::default(),
            is_sampled: false,
            span: None,
            shadow: None,
            explanation: None,
            detail: None,
            status: 0,
            flags: Flags::NONE,
            details: "-",
            transport_failure: None,
            attempts: 0,
            first_try_failed: false,
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

    /// It is not let in, by a rule of this name if that is why.
    pub(crate) fn denied(&mut self, denied_by: Option<Arc<str>>) {
        if let Some(detail) = &mut self.detail {
            detail.denied_by = denied_by;
        }
    }

    /// What became of it in Envoy's words, with the rule that denied it or the reason of the transport where that is why.
    pub(crate) fn details_in_full(&self) -> Cow<'static, str> {
        if let Some(rule) = self.detail.as_ref().and_then(|it| it.denied_by.as_deref()) {
            return format!("{}_matched_policy[{rule}]", self.details).into();
        }
        let unconnected = self.details.strip_suffix("{remote_connection_failure}");
        match unconnected.zip(self.transport_failure.as_deref()) {
            Some((details, reason)) => {
                format!("{details}{{remote_connection_failure|{reason}}}").into()
            }
            None => self.details.into(),
        }
    }

    /// The client went away before it had its answer.
    pub(crate) const fn abandoned(&mut self) {
        self.flag(Flag::DownstreamConnectionTermination);
        self.details = "downstream_remote_disconnect";
    }

    /// The upstream's answer broke off on its way downstream.
    pub(crate) const fn broken_off(&mut self, how: BrokenOff) {
        let (flag, details) = how.told();
        self.flag(flag);
        self.details = details;
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
