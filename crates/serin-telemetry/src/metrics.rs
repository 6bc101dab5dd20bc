//! Counters of one core.

use std::sync::Arc;
use std::time::Duration;

use serin_routing::format::Facts;
use serin_routing::response::Flags;

use crate::customization::{CustomId, Customization, Customized};
use crate::destination::{Destination, DestinationId, FastMap, Numbers, SourceId, Workload};
use crate::histogram::Histogram;

/// Combinations of values that expressions of users may have on a core. From then on they are told as not known: without an end,
/// a label with a value for each request would fill the memory.
const CUSTOMIZED: usize = 10_000;

/// Which side of a request reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    /// The one that sends it: gateways, and sidecars for what their workload calls. Each request once, with all its tries.
    #[default]
    Source,
    /// The one that receives it: each try that came there.
    Destination,
}

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
    /// Who says so.
    pub reporter: Reporter,
    /// Who sent it.
    pub source: SourceId,
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
    /// How its metrics differ from Istio's.
    pub custom: CustomId,
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
    reporter: Reporter,
    source: SourceId,
    destination: DestinationId,
    flags: Flags,
    status: u16,
    protocol: Protocol,
    is_mirror: bool,
    custom: CustomId,
}

/// What makes two connections count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TcpKey {
    reporter: Reporter,
    source: SourceId,
    destination: DestinationId,
    custom: CustomId,
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

/// What counters of the same labels on several cores become.
pub(crate) trait Sum: Clone + Default {
    /// Adds what another has counted.
    fn add(&mut self, other: &Self);
}

impl Sum for Counted {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.request_messages += other.request_messages;
        self.response_messages += other.response_messages;
        self.duration.add(&other.duration);
        self.request_bytes.add(&other.request_bytes);
        self.response_bytes.add(&other.response_bytes);
    }
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

impl Sum for Tcp {
    fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// What a core has counted. It grows with the number of different label sets, and nothing is ever forgotten, as counters
/// must not fall.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    sources: Numbers<Workload>,
    destinations: Numbers<Destination>,
    customized: Numbers<Customized>,
    places: FastMap<Key, usize>,
    counted: Vec<Counted>,
    tcp: FastMap<TcpKey, Tcp>,
}

impl Metrics {
    /// The number of a destination on this core; the same again for one that is known.
    pub fn destination(&mut self, destination: Destination) -> DestinationId {
        self.destinations.intern(destination)
    }

    /// The destination of a number.
    pub fn destination_of(&self, id: DestinationId) -> Option<&Destination> {
        self.destinations.get(id)
    }

    /// The number of a workload that sends requests; the same again for one that is known.
    pub fn source(&mut self, workload: Workload) -> SourceId {
        self.sources.intern(workload)
    }

    /// The workload of a number.
    pub fn source_of(&self, id: SourceId) -> Option<&Workload> {
        self.sources.get(id)
    }

    /// The number of a customization with the values that its expressions have; the same again for those that are known.
    pub fn customized(&mut self, rules: &Arc<Customization>, facts: &dyn Facts) -> CustomId {
        let customized = Customized::new(rules, facts);
        if self.customized.len() < CUSTOMIZED || self.customized.has(&customized) {
            self.customized.intern(customized)
        } else {
            self.customized.intern(customized.without_values())
        }
    }

    /// Counts a request that is over.
    pub fn count(&mut self, request: &Request) {
        let key = Key {
            reporter: request.reporter,
            source: request.source,
            destination: request.destination,
            flags: request.flags,
            status: request.status,
            protocol: request.protocol,
            is_mirror: request.is_mirror,
            custom: request.custom,
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
    pub fn opened(&mut self, path: Path) {
        self.tcp.entry(path.key(Flags::NONE)).or_default().opened += 1;
    }

    /// Counts one that is over, with the bytes it carried.
    pub fn closed(&mut self, path: Path, flags: Flags, sent: u64, received: u64) {
        let counted = self.tcp.entry(path.key(flags)).or_default();
        counted.closed += 1;
        counted.sent += sent;
        counted.received += received;
    }

    /// Hands every series to `request`.
    pub(crate) fn requests<'m>(&'m self, mut each: impl FnMut(Series<'m>, &'m Counted)) {
        for (key, place) in &self.places {
            let (Some(source), Some(destination), Some(custom), Some(counted)) = (
                self.sources.get(key.source),
                self.destinations.get(key.destination),
                self.customized.get(key.custom),
                self.counted.get(*place),
            ) else {
                continue;
            };
            let Key { reporter, flags, status, protocol, is_mirror, .. } = *key;
            let ends = Ends { reporter, source, destination };
            let numbers = (key.source, key.destination);
            each(Series { ends, numbers, flags, status, protocol, is_mirror, custom }, counted);
        }
    }

    /// Hands every series of connections to `each`.
    pub(crate) fn connections(&self, mut each: impl FnMut(Ends<'_>, Flags, &Customized, &Tcp)) {
        for (key, counted) in &self.tcp {
            if let (Some(source), Some(destination), Some(custom)) = (
                self.sources.get(key.source),
                self.destinations.get(key.destination),
                self.customized.get(key.custom),
            ) {
                let ends = Ends { reporter: key.reporter, source, destination };
                each(ends, key.flags, custom, counted);
            }
        }
    }
}

/// The two ends of a connection, and which of them reports it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// Who says so.
    pub reporter: Reporter,
    /// Who opened it.
    pub source: SourceId,
    /// Where it went.
    pub destination: DestinationId,
    /// How its metrics differ from Istio's.
    pub custom: CustomId,
}

impl Path {
    const fn key(self, flags: Flags) -> TcpKey {
        let Self { reporter, source, destination, custom } = self;
        TcpKey { reporter, source, destination, custom, flags }
    }
}

/// The same by what they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'m> {
    pub(crate) reporter: Reporter,
    pub(crate) source: &'m Workload,
    pub(crate) destination: &'m Destination,
}

/// The labels of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'m> {
    pub(crate) ends: Ends<'m>,
    /// The ends' numbers on the core.
    pub(crate) numbers: (SourceId, DestinationId),
    pub(crate) flags: Flags,
    pub(crate) status: u16,
    pub(crate) protocol: Protocol,
    pub(crate) is_mirror: bool,
    pub(crate) custom: &'m Customized,
}
