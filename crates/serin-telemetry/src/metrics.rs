//! Counters of one core.

use std::time::Duration;

use serin_routing::response::Flags;

use crate::destination::{Destination, DestinationId, Destinations, FastMap};
use crate::histogram::Histogram;

/// What a request spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// gRPC, with the status it ended with; `None` if it had none.
    Grpc(Option<u32>),
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where it went.
    pub destination: DestinationId,
    /// What it spoke.
    pub protocol: Protocol,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// How it went.
    pub flags: Flags,
    /// It is a copy of a request, whose answer nobody gets.
    pub is_mirror: bool,
    /// From its head to the end of the answer.
    pub duration: Duration,
    /// Bytes of the bodies.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// Messages of gRPC from the client.
    pub request_messages: u64,
    /// Messages of gRPC to the client.
    pub response_messages: u64,
}

/// What makes two requests count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    destination: DestinationId,
    flags: Flags,
    status: u16,
    protocol: Protocol,
    is_mirror: bool,
}

/// What makes two connections count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TcpKey {
    destination: DestinationId,
    flags: Flags,
}

/// Counters of requests that have all labels in common.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub(crate) requests: u64,
    pub(crate) duration: Histogram,
    pub(crate) request_bytes: Histogram,
    pub(crate) response_bytes: Histogram,
    pub(crate) request_messages: u64,
    pub(crate) response_messages: u64,
}

/// Counters of connections that have all labels in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    /// Connections that began.
    pub opened: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

/// What a core has counted. It grows with the number of different label sets, and nothing is ever forgotten, as counters
/// must not fall.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    destinations: Destinations,
    places: FastMap<Key, usize>,
    counted: Vec<Counted>,
    tcp: FastMap<TcpKey, Tcp>,
}

impl Metrics {
    /// The number of a destination on this core; the same again for one that is known.
    pub fn destination(&mut self, destination: Destination) -> DestinationId {
        self.destinations.intern(destination)
    }

    /// Counts a request that is over.
    pub fn count(&mut self, request: &Request) {
        let key = Key {
            destination: request.destination,
            flags: request.flags,
            status: request.status,
            protocol: request.protocol,
            is_mirror: request.is_mirror,
        };
        let next = self.counted.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.counted.push(Counted::default());
        }
        let Some(counted) = self.counted.get_mut(place) else { return };
        counted.requests += 1;
        let milliseconds = u64::try_from(request.duration.as_millis()).unwrap_or(u64::MAX);
        counted.duration.record(milliseconds);
        counted.request_bytes.record(request.request_bytes);
        counted.response_bytes.record(request.response_bytes);
        counted.request_messages += request.request_messages;
        counted.response_messages += request.response_messages;
    }

    /// Counts a connection of bytes that begins.
    pub fn opened(&mut self, destination: DestinationId) {
        self.tcp.entry(TcpKey { destination, flags: Flags::NONE }).or_default().opened += 1;
    }

    /// Counts one that is over, with the bytes it carried.
    pub fn closed(&mut self, destination: DestinationId, flags: Flags, sent: u64, received: u64) {
        let counted = self.tcp.entry(TcpKey { destination, flags }).or_default();
        counted.closed += 1;
        counted.sent += sent;
        counted.received += received;
    }

    /// Hands every series to `request`.
    pub(crate) fn requests(&self, mut each: impl FnMut(Series<'_>, &Counted)) {
        for (key, place) in &self.places {
            let (Some(destination), Some(counted)) =
                (self.destinations.get(key.destination), self.counted.get(*place))
            else {
                continue;
            };
            let Key { flags, status, protocol, is_mirror, .. } = *key;
            each(Series { destination, flags, status, protocol, is_mirror }, counted);
        }
    }

    /// Hands every series of connections to `each`.
    pub(crate) fn connections(&self, mut each: impl FnMut(&Destination, Flags, &Tcp)) {
        for (key, counted) in &self.tcp {
            if let Some(destination) = self.destinations.get(key.destination) {
                each(destination, key.flags, counted);
            }
        }
    }
}

/// The labels of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'m> {
    pub(crate) destination: &'m Destination,
    pub(crate) flags: Flags,
    pub(crate) status: u16,
    pub(crate) protocol: Protocol,
    pub(crate) is_mirror: bool,
}
