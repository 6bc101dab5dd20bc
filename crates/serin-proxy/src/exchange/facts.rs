//! What header changes and logs may ask about a request.

use std::net::SocketAddr;
use std::time::Duration;

use serin_routing::format::{Address, Facts, Property};
use serin_routing::request::Request as _;

use crate::clock::wall_time;
use crate::request::Request;

/// The facts of a request.
pub(super) struct RequestFacts<'r> {
    pub(super) request: &'r Request,
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
        self.request.tls.as_ref().is_some_and(|tls| tls.append(property, out))
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        let downstream = &self.request.downstream;
        match address {
            Address::DownstreamRemote => downstream.remote,
            Address::DownstreamDirectRemote => downstream.direct_remote,
            Address::DownstreamLocal => downstream.local,
            _ => None,
        }
    }
}
