//! What went from one workload to another, by how it went: the counters that a release is judged by.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serin_routing::response::{Flag, Flags};

use crate::destination::{Destination, DestinationId, FastMap, SourceId, Workload};
use crate::histogram::Histogram;
use crate::metrics::{Counted, Ends, Metrics, Protocol, Reporter, Series};

/// Requests that went wrong before any endpoint had them: nobody there, no connection, a breaker, no route.
const UNREACHED: [Flag; 5] = [
    Flag::NoHealthyUpstream,
    Flag::UpstreamConnectionFailure,
    Flag::UpstreamOverflow,
    Flag::NoClusterFound,
    Flag::NoRouteFound,
];

/// What one workload has sent to one destination so far. All numbers only grow.
///
/// A destination whose workload has no name is a service (and subset) for which no endpoint was found.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Who sent it.
    pub source: Workload,
    /// Where it went: the workload that answered, or was tried last.
    pub destination: Destination,
    /// Requests as their senders saw them end, after all tries; among them those that no endpoint ever had.
    pub sent: Tally,
    /// Tries as the receiving side saw them; counted only where that side is in the mesh, on this node.
    pub received: Tally,
    /// Copies of requests, as the sending side saw them end.
    pub mirrored: Tally,
    /// Copies of requests, as the receiving side saw them.
    pub mirrored_received: Tally,
}

/// Counters of requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// By the hundreds of their status; 0 for those without an answer.
    pub classes: [u64; 6],
    /// Requests that failed by the server's doing: a 5xx, no answer, or a status of gRPC other than 0 in an answer of 200.
    pub failures: u64,
    /// Of those, requests that no endpoint had.
    pub unreached: u64,
    /// By their response flags, those without any left out.
    pub flags: BTreeMap<Flags, u64>,
    /// Milliseconds from the head to the end of the answer.
    pub duration: Histogram,
}

impl Tally {
    fn count(&mut self, series: &Series<'_>, counted: &Counted) {
        let count = counted.requests;
        self.requests += count;
        let class = usize::from(series.status / 100).min(self.classes.len() - 1);
        self.classes[class] += count;
        if has_failed(series.ends.reporter, series.status, series.protocol, series.flags) {
            self.failures += count;
        }
        if was_unreached(series.flags) {
            self.unreached += count;
        }
        if series.flags != Flags::NONE {
            *self.flags.entry(series.flags).or_default() += count;
        }
        self.duration.add(&counted.duration);
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.unreached += other.unreached;
        for (mine, more) in self.classes.iter_mut().zip(other.classes) {
            *mine += more;
        }
        for (flags, more) in &other.flags {
            *self.flags.entry(*flags).or_default() += more;
        }
        self.duration.add(&other.duration);
    }
}

/// Whether a request failed by the server's doing. That the client went away says nothing of the server.
pub(crate) fn has_failed(
    reporter: Reporter,
    status: u16,
    protocol: Protocol,
    flags: Flags,
) -> bool {
    match (status, protocol) {
        (0, _) => !has_left(flags) || reporter == Reporter::Destination,
        (500.., _) => true,
        (200, Protocol::Grpc(status)) => status.is_some_and(|status| status != 0),
        _ => false,
    }
}

/// Whether the client went away before it had its answer.
pub(crate) fn has_left(flags: Flags) -> bool {
    flags.contains(Flag::DownstreamConnectionTermination)
}

/// Whether no endpoint ever had the request.
pub(crate) fn was_unreached(flags: Flags) -> bool {
    UNREACHED.iter().any(|flag| flags.contains(*flag))
}

impl Traffic {
    /// What one core has counted, in no order. The work is in whole numbers, for it is done between two requests.
    pub fn of_core(core: &Metrics) -> Vec<Self> {
        let mut all: FastMap<(SourceId, DestinationId), Self> = FastMap::default();
        core.requests(|series, counted| {
            let Ends { reporter, source, destination } = series.ends;
            let traffic = all.entry(series.numbers).or_insert_with(|| Self {
                source: source.clone(),
                destination: destination.clone(),
                ..Self::default()
            });
            let tally = match (reporter, series.is_mirror) {
                (Reporter::Source, false) => &mut traffic.sent,
                (Reporter::Source, true) => &mut traffic.mirrored,
                (Reporter::Destination, false) => &mut traffic.received,
                (Reporter::Destination, true) => &mut traffic.mirrored_received,
            };
            tally.count(&series, counted);
        });
        all.into_values().collect()
    }

    /// The sums over all cores, in the order of sources and destinations.
    pub fn sum(cores: impl IntoIterator<Item = Vec<Self>>) -> Vec<Self> {
        let mut all: BTreeMap<(Workload, Destination), Self> = BTreeMap::new();
        for traffic in cores.into_iter().flatten() {
            let key = (traffic.source.clone(), traffic.destination.clone());
            match all.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(traffic);
                }
                Entry::Occupied(mut sum) => sum.get_mut().add(&traffic),
            }
        }
        all.into_values().collect()
    }

    /// Adds what is known of the same source and destination from elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.sent.add(&other.sent);
        self.received.add(&other.received);
        self.mirrored.add(&other.mirrored);
        self.mirrored_received.add(&other.mirrored_received);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Request;

    fn request(core: &mut Metrics, to: &str) -> Request {
        let destination = Destination { service: to.into(), ..Destination::default() };
        Request {
            reporter: Reporter::Source,
            source: core.source(Workload::default()),
            destination: core.destination(destination),
            protocol: Protocol::Http,
            status: 200,
            flags: Flags::NONE,
            is_mirror: false,
            custom: crate::customization::CustomId::default(),
            duration: Duration::from_millis(7),
            request_bytes: 0,
            response_bytes: 0,
            request_messages: 0,
            response_messages: 0,
        }
    }

    #[test]
    fn cores_are_summed_by_source_and_destination() {
        let (mut one, mut two) = (Metrics::default(), Metrics::default());
        let (a, b) = (request(&mut one, "a"), request(&mut one, "b"));
        one.count(&a);
        one.count(&b);
        let a = request(&mut two, "a");
        two.count(&a);
        two.count(&Request { status: 503, ..a });
        let all = Traffic::sum([Traffic::of_core(&one), Traffic::of_core(&two)]);
        let seen: Vec<_> = all
            .iter()
            .map(|it| (&*it.destination.service, it.sent.requests, it.sent.classes[5]))
            .collect();
        assert_eq!(seen, [("a", 3, 1), ("b", 1, 0)]);
        assert_eq!(all[0].sent.duration.count(), 3);
    }

    #[test]
    fn sides_and_copies_are_kept_apart() {
        let mut core = Metrics::default();
        let sent = request(&mut core, "a");
        let received = Request { reporter: Reporter::Destination, ..sent };
        core.count(&sent);
        core.count(&received);
        core.count(&Request { status: 500, ..received });
        core.count(&Request { is_mirror: true, ..sent });
        core.count(&Request { is_mirror: true, ..received });
        let [all] = &Traffic::of_core(&core)[..] else { panic!("one destination") };
        let counts = [&all.sent, &all.received, &all.mirrored, &all.mirrored_received];
        assert_eq!(counts.map(|it| (it.requests, it.failures)), [(1, 0), (2, 1), (1, 0), (1, 0)]);
    }

    #[test]
    fn what_never_reached_an_endpoint_is_told_apart() {
        let check = |status: u16, flag: Option<Flag>, protocol: Protocol, expect: (u64, u64)| {
            let mut core = Metrics::default();
            let flags = flag.map_or(Flags::NONE, |flag| Flags::NONE.with(flag));
            let ok = request(&mut core, "a");
            core.count(&Request { status, flags, protocol, ..ok });
            let [all] = &Traffic::of_core(&core)[..] else { panic!("one destination") };
            assert_eq!((all.sent.failures, all.sent.unreached), expect, "{status} {flags}");
            assert_eq!(all.sent.flags.len(), usize::from(flag.is_some()));
        };
        check(200, None, Protocol::Http, (0, 0));
        check(503, None, Protocol::Http, (1, 0));
        check(503, Some(Flag::NoHealthyUpstream), Protocol::Http, (1, 1));
        check(503, Some(Flag::UpstreamConnectionFailure), Protocol::Http, (1, 1));
        check(503, Some(Flag::UpstreamOverflow), Protocol::Http, (1, 1));
        check(504, Some(Flag::UpstreamRequestTimeout), Protocol::Http, (1, 0));
        check(0, Some(Flag::DownstreamConnectionTermination), Protocol::Http, (0, 0));
        check(200, None, Protocol::Grpc(Some(0)), (0, 0));
        check(200, None, Protocol::Grpc(Some(14)), (1, 0));
        check(404, None, Protocol::Http, (0, 0));
    }
}
