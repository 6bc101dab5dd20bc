//! What changes of headers may ask about a request and its answer.

use std::net::SocketAddr;
use std::time::Duration;

use serin_routing::decide::{Decision, Verdict};
use serin_routing::format::{Address, Facts, Property};
use serin_routing::request::Request as _;

use crate::clock::wall_time;
use crate::request::Request;
use crate::telemetry::facts::{endpoint, hostname, number, optional, socket, stream_id};
use crate::upstream::{Target, Version};

/// The facts of a request.
pub(super) struct RequestFacts<'r> {
    pub(super) request: &'r Request,
    pub(super) version: Version,
    pub(super) decision: &'r Decision<'r>,
    /// The status of its answer, and the endpoint that gave it; before there is one, neither is known.
    pub(super) status: Option<u16>,
    pub(super) target: Option<&'r Target>,
}

impl Facts for RequestFacts<'_> {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match name {
            ":method" => Some(self.request.method()),
            ":authority" | "host" => Some(self.request.authority()),
            ":path" => Some(self.request.target()),
            ":scheme" => Some(self.request.scheme()),
            _ => self.request.headers.find(name.as_bytes()),
        }
    }

    fn start_time(&self) -> Option<Duration> {
        Some(wall_time())
    }

    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        let decision = self.decision;
        match property {
            Property::Protocol => number(out, self.version.name()),
            Property::RouteName => optional(out, decision.rule.map(|it| &*it.route().name)),
            Property::VirtualHostName => optional(out, decision.virtual_host.map(|it| &*it.name)),
            Property::UpstreamCluster => match &decision.verdict {
                Verdict::Forward(forwarding) => number(out, &forwarding.cluster.name),
                _ => false,
            },
            Property::UpstreamHost => endpoint(out, self.target.map(|it| &it.address)),
            Property::ResponseCode => self.status.is_some_and(|status| number(out, status)),
            Property::StreamId => stream_id(out, self.request),
            Property::Hostname => hostname(out),
            _ => self.request.tls.as_ref().is_some_and(|tls| tls.append(property, out)),
        }
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        let downstream = &self.request.downstream;
        match address {
            Address::DownstreamRemote => downstream.remote,
            Address::DownstreamDirectRemote => downstream.direct_remote,
            Address::DownstreamLocal => downstream.local,
            Address::UpstreamRemote => socket(self.target.map(|it| &it.address)),
            Address::UpstreamLocal => None,
        }
    }
}
