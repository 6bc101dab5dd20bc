//! Connections in access logs: those that carry bytes, and those that end before there is a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_http1::Error;
use serin_routing::format::{Address, Facts, Property};
use serin_routing::model::EndpointAddress;
use serin_routing::response::{Flag, Flags};
use serin_routing::time::Instant;
use serin_telemetry::customization::CustomId;

use super::facts::{endpoint, flags_in_full, hostname, number, optional, socket};
use super::{Log, Telemetry};
use crate::clock::wall_time;
use crate::connection::Ends;
use crate::tcp::TcpRecord;
use crate::upstream::Version;

/// What only logs want to know of a connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionDetail {
    /// When it came, since the Unix epoch.
    started_at: Duration,
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) endpoint: Option<EndpointAddress>,
    pub(crate) upstream_local: Option<SocketAddr>,
    /// Why there is no connection upstream.
    pub(crate) transport_failure: Option<String>,
}

/// Why a connection ends without a request, and what the client was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused {
    /// Status of the answer; 0 if there was none.
    pub(crate) status: u16,
    pub(crate) flags: Flags,
    pub(crate) details: &'static str,
    /// The version that the answer is in.
    pub(crate) version: Option<Version>,
    /// Bytes of the answer's body.
    pub(crate) sent: u64,
}

impl Refused {
    /// It cannot be read. The answer says in a body what is wrong.
    pub(crate) fn malformed(error: Error, version: Version) -> (Self, String) {
        let (status, body) = (error.status(), error.to_string());
        let details = match (error, version) {
            // What else may be wrong with a target, the library refuses by itself.
            (Error::Target, Version::Http2) => "path_normalization_failed",
            _ => error.details(),
        };
        let flags = Flags::NONE.with(Flag::DownstreamProtocolError);
        let sent = body.len() as u64;
        (Self { status, flags, details, version: Some(version), sent }, body)
    }

    /// No filter chain reads it. Istio's listeners log this and nothing else.
    pub(crate) fn no_filter_chain() -> Self {
        let flags = Flags::NONE.with(Flag::NoRouteFound);
        Self { flags, details: "filter_chain_not_found", ..Self::default() }
    }
}

impl Telemetry {
    /// Room for details of a connection, if anybody will ask for them.
    pub(crate) fn connection(&self) -> Option<Box<ConnectionDetail>> {
        let detail = || ConnectionDetail { started_at: wall_time(), ..ConnectionDetail::default() };
        self.log.borrow().is_some().then(|| Box::new(detail()))
    }

    /// What a connection counts as that a client has opened.
    pub(crate) fn custom_connection(&self, ends: &Ends) -> CustomId {
        let (detail, refused) = (&ConnectionDetail::default(), Refused::default());
        let (duration, received, sent) = (Duration::ZERO, 0, 0);
        let facts = ConnectionFacts { ends, detail, refused, duration, received, sent };
        self.custom.of(&self.counters, &facts)
    }

    /// Logs a connection of bytes that is over.
    pub(crate) fn log_connection(&self, ends: &Ends, record: &TcpRecord, now: Instant) {
        let Some(detail) = &record.detail else { return };
        let refused = Refused { flags: record.flags, ..Refused::default() };
        let (received, sent) = (record.received, record.sent);
        let duration = now.since(record.started);
        self.log(&ConnectionFacts { ends, detail, refused, duration, received, sent });
    }

    /// Logs a connection, or what was to become a request, that was refused.
    pub(crate) fn log_refused(&self, ends: &Ends, refused: Refused) {
        let Some(detail) = self.connection() else { return };
        let (detail, sent) = (&*detail, refused.sent);
        let duration = Duration::ZERO;
        self.log(&ConnectionFacts { ends, detail, refused, duration, received: 0, sent });
    }

    fn log(&self, facts: &ConnectionFacts<'_>) {
        if let Some(Log { settings, buffer }) = &mut *self.log.borrow_mut() {
            settings.log(facts.refused.status, facts, buffer);
        }
    }
}

/// The facts of a connection without a request.
struct ConnectionFacts<'l> {
    ends: &'l Ends,
    detail: &'l ConnectionDetail,
    refused: Refused,
    duration: Duration,
    received: u64,
    sent: u64,
}

impl Facts for ConnectionFacts<'_> {
    fn request_header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn start_time(&self) -> Option<Duration> {
        Some(self.detail.started_at)
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        match address {
            Address::DownstreamRemote | Address::DownstreamDirectRemote => Some(self.ends.peer),
            Address::DownstreamLocal => self.ends.local,
            Address::UpstreamRemote => socket(self.detail.endpoint.as_ref()),
            Address::UpstreamLocal => self.detail.upstream_local,
        }
    }

    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        match property {
            Property::BytesReceived => number(out, self.received),
            Property::BytesSent => number(out, self.sent),
            Property::Duration => number(out, self.duration.as_millis()),
            Property::ResponseCode => number(out, self.refused.status),
            Property::ResponseFlags => number(out, self.refused.flags),
            Property::ResponseFlagsLong => flags_in_full(out, self.refused.flags),
            Property::RequestHeadersBytes
            | Property::ResponseHeadersBytes
            | Property::UpstreamRequestAttemptCount => number(out, 0),
            Property::Hostname => hostname(out),
            Property::ResponseCodeDetails => optional(out, Some(self.refused.details)),
            Property::Protocol => self.refused.version.is_some_and(|it| number(out, it.name())),
            Property::UpstreamCluster => optional(out, self.detail.cluster.as_deref()),
            Property::UpstreamHost => endpoint(out, self.detail.endpoint.as_ref()),
            Property::UpstreamTransportFailureReason => {
                optional(out, self.detail.transport_failure.as_deref())
            }
            Property::RequestedServerName if self.ends.tls.is_none() => {
                optional(out, self.ends.server_name.as_deref())
            }
            _ => self.ends.tls.as_ref().is_some_and(|tls| tls.append(property, out)),
        }
    }
}
