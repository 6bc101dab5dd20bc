//! A request that is over as access logs quote it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::format::{Address, Facts, Peer, PeerFacts, Property};
use serin_routing::model::EndpointAddress;
use serin_routing::request::Request as _;
use serin_routing::response::{Flag, Flags};
use serin_routing::time::Instant;
use serin_telemetry::Workload;

use super::Detail;
use crate::record::Record;
use crate::request::Request;
use crate::upstream::Version;

/// The facts of a request that is over.
pub(super) struct LogFacts<'l> {
    pub(super) request: &'l Request,
    pub(super) record: &'l Record,
    pub(super) detail: &'l Detail,
    pub(super) version: Version,
    pub(super) duration: Duration,
    /// The workload that sent it.
    pub(super) sender: &'l Workload,
    /// It is told by the workload that it came to.
    pub(super) is_received: bool,
}

impl Facts for LogFacts<'_> {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        let text = match name {
            ":method" => self.request.method(),
            ":authority" | "host" => self.request.authority(),
            ":path" => self.request.target(),
            ":scheme" => self.request.scheme(),
            _ => return self.request.headers.find(name.as_bytes()),
        };
        (!text.is_empty()).then_some(text)
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        self.detail.response.find(name.as_bytes())
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        self.detail.trailers.find(name.as_bytes())
    }

    fn start_time(&self) -> Option<Duration> {
        Some(self.record.started_at)
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        let downstream = &self.request.downstream;
        match address {
            Address::DownstreamRemote => downstream.remote,
            Address::DownstreamDirectRemote => downstream.direct_remote,
            Address::DownstreamLocal => downstream.local,
            Address::UpstreamRemote => socket(self.detail.endpoint.as_ref()),
            Address::UpstreamLocal => self.detail.upstream_local,
        }
    }

    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        let record = self.record;
        match property {
            Property::BytesReceived => number(out, record.request_bytes),
            Property::BytesSent => number(out, record.response_bytes),
            Property::Duration => number(out, self.duration.as_millis()),
            Property::RequestDuration => span(out, Some(record.started), self.detail.received),
            Property::ResponseDuration => span(out, Some(record.started), self.detail.answered),
            Property::ResponseTxDuration => span(out, self.detail.answered, self.detail.delivered),
            Property::RequestHeadersBytes => {
                let own = [":method", ":authority", ":path", ":scheme"];
                let own = own.iter().filter_map(|name| Some((*name, self.request_header(name)?)));
                let own: usize = own.map(|(name, value)| name.len() + value.len()).sum();
                number(out, own + self.request.headers.size())
            }
            Property::ResponseHeadersBytes if record.status == 0 => number(out, 0),
            Property::ResponseHeadersBytes => {
                number(out, ":status200".len() + self.detail.response.size())
            }
            Property::ResponseCode => number(out, record.status),
            Property::ResponseFlags => number(out, record.flags),
            Property::ResponseFlagsLong => flags_in_full(out, record.flags),
            Property::ResponseCodeDetails => {
                record.details != "-" && number(out, record.details_in_full())
            }
            Property::Protocol => number(out, self.version.name()),
            Property::RouteName => optional(out, self.detail.route.as_deref()),
            Property::VirtualHostName => optional(out, self.detail.virtual_host.as_deref()),
            Property::UpstreamCluster => optional(out, self.detail.cluster.as_deref()),
            Property::UpstreamHost => endpoint(out, self.detail.endpoint.as_ref()),
            Property::UpstreamRequestAttemptCount => number(out, record.attempts),
            Property::UpstreamTransportFailureReason => {
                optional(out, record.transport_failure.as_deref())
            }
            Property::UpstreamProtocol => {
                optional(out, self.detail.upstream_version.map(Version::name))
            }
            Property::GrpcStatus(form) => {
                record.grpc_status.is_some_and(|status| number(out, form.text(status)))
            }
            Property::StreamId => stream_id(out, self.request),
            Property::Hostname => hostname(out),
            _ => self.request.tls.as_ref().is_some_and(|tls| tls.append(property, out)),
        }
    }

    fn peer(&self, end: Peer) -> Option<PeerFacts> {
        match (end, self.is_received) {
            (Peer::Downstream, true) => {
                Some(known(self.sender)).filter(|it| *it != PeerFacts::default())
            }
            (Peer::Upstream, false) => {
                let identity = self.detail.upstream.as_deref()?;
                let workload = Workload::new(identity, &self.sender.cluster);
                Some(PeerFacts {
                    pod: Arc::clone(&identity.pod),
                    service_account: Arc::clone(&identity.service_account),
                    labels: identity.labels.clone(),
                    ..known(&workload)
                })
            }
            _ => None,
        }
    }
}

/// What metrics know of a workload.
fn known(workload: &Workload) -> PeerFacts {
    let labels = [("app", &workload.app), ("version", &workload.version)];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    PeerFacts {
        workload: Arc::clone(&workload.name),
        namespace: Arc::clone(&workload.namespace),
        cluster: Arc::clone(&workload.cluster),
        service: Arc::clone(&workload.canonical_service),
        revision: Arc::clone(&workload.canonical_revision),
        app: Arc::clone(&workload.app),
        version: Arc::clone(&workload.version),
        principal: Arc::clone(&workload.principal),
        labels: labels.map(|(name, value)| (name.into(), Arc::clone(value))).collect(),
        ..PeerFacts::default()
    }
}

/// An endpoint's address, if it is one of sockets.
pub(crate) fn socket(endpoint: Option<&EndpointAddress>) -> Option<SocketAddr> {
    match endpoint {
        Some(EndpointAddress::Socket(ip, port)) => Some((*ip, *port).into()),
        Some(EndpointAddress::Name(..) | EndpointAddress::Unix(_)) | None => None,
    }
}

pub(crate) fn endpoint(out: &mut Vec<u8>, endpoint: Option<&EndpointAddress>) -> bool {
    match endpoint {
        Some(EndpointAddress::Socket(ip, port)) => number(out, SocketAddr::new(*ip, *port)),
        Some(EndpointAddress::Name(name, port)) => number(out, format_args!("{name}:{port}")),
        Some(EndpointAddress::Unix(path)) => number(out, path),
        None => false,
    }
}

/// Milliseconds from one moment to another, if both were.
fn span(out: &mut Vec<u8>, from: Option<Instant>, to: Option<Instant>) -> bool {
    from.zip(to).is_some_and(|(from, to)| number(out, to.since(from).as_millis()))
}

pub(super) fn flags_in_full(out: &mut Vec<u8>, flags: Flags) -> bool {
    let names: Vec<&str> = flags.iter().map(Flag::name).collect();
    optional(out, Some(&names.join(",")))
}

pub(crate) fn stream_id(out: &mut Vec<u8>, request: &Request) -> bool {
    let id = request.headers.find(b"x-request-id").unwrap_or_default();
    optional(out, std::str::from_utf8(id).ok())
}

pub(crate) fn hostname(out: &mut Vec<u8>) -> bool {
    optional(out, rustix::system::uname().nodename().to_str().ok())
}

pub(crate) fn number(out: &mut Vec<u8>, value: impl std::fmt::Display) -> bool {
    // Writing to memory does not fail.
    write!(out, "{value}").is_ok()
}

pub(crate) fn optional(out: &mut Vec<u8>, value: Option<&str>) -> bool {
    let value = value.filter(|value| !value.is_empty());
    value.is_some_and(|value| number(out, value))
}
