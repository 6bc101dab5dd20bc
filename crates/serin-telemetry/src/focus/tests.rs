use serin_routing::response::Flag;

use super::*;

/// A core with a canary, its primary and something else, and a lens on the first two.
struct Core {
    metrics: Metrics,
    lenses: Lenses,
    focus: Arc<Focus>,
    canary: DestinationId,
    primary: DestinationId,
    other: DestinationId,
}

fn focus() -> Arc<Focus> {
    Focus::new(vec![Key::Cookie("session".into())], |destination| match &*destination.service {
        "canary" => Some(Side::Canary),
        "primary" => Some(Side::Primary),
        _ => None,
    })
}

impl Core {
    fn new() -> Self {
        let mut metrics = Metrics::default();
        let mut of = |name: &str| {
            metrics.destination(Destination { service: name.into(), ..Default::default() })
        };
        let (other, primary, canary) = (of("other"), of("primary"), of("canary"));
        let (focus, mut lenses) = (focus(), Lenses::default());
        assert_eq!(lenses.take(&focus, Instant::ZERO).canary.all.requests, 0);
        Self { metrics, lenses, focus, canary, primary, other }
    }

    fn count(&mut self, ending: &Ending, session: Option<u64>) {
        self.lenses.count(&self.metrics, ending, |keys| {
            assert_eq!(keys.len(), 1);
            session
        });
    }

    fn pair(&mut self, primary: &Ending, copy: &Ending, session: Option<u64>) {
        self.lenses.count_pair(&self.metrics, primary, copy, |_| session);
    }

    fn take(&mut self) -> Sight {
        self.lenses.take(&self.focus, Instant::ZERO)
    }
}

fn ending(destination: DestinationId, status: u16, milliseconds: u64) -> Ending {
    Ending {
        destination,
        status,
        protocol: Protocol::Http,
        flags: Flags::NONE,
        duration: Duration::from_millis(milliseconds),
        first_try_failed: false,
    }
}

#[test]
fn versions_are_told_apart_and_others_left_out() {
    let mut core = Core::new();
    core.count(&ending(core.canary, 200, 10), None);
    core.count(&ending(core.canary, 503, 10), None);
    core.count(&ending(core.primary, 200, 10), None);
    core.count(&ending(core.other, 500, 10), None);
    let unreached = Flags::NONE.with(Flag::NoHealthyUpstream);
    core.count(&Ending { flags: unreached, ..ending(core.canary, 503, 0) }, None);
    let sight = core.take();
    let of = |sum: &Sum| (sum.requests, sum.failures, sum.unreached, sum.latency.counts().count());
    assert_eq!((of(&sight.canary.all), of(&sight.primary.all)), ((3, 2, 1, 1), (1, 0, 0, 1)));
    assert_eq!(of(&core.take().canary.all), (0, 0, 0, 0), "what was taken is not there again");
}

#[test]
fn a_destination_that_comes_later_is_known() {
    let mut core = Core::new();
    core.count(&ending(core.canary, 200, 1), None);
    let late = Destination { service: "canary".into(), subset: "v2".into(), ..Default::default() };
    let late = core.metrics.destination(late);
    core.count(&ending(late, 200, 1), None);
    assert_eq!(core.take().canary.all.requests, 2);
}

#[test]
fn a_session_counts_once_on_all_cores_together() {
    let mut cores = [Core::new(), Core::new()];
    for core in &mut cores {
        core.count(&ending(core.canary, 200, 20), Some(7));
        core.count(&ending(core.canary, 500, 20), Some(7));
        core.count(&ending(core.canary, 500, 20), None);
    }
    let sight = Sight::sum(cores.iter_mut().map(Core::take));
    assert_eq!((sight.canary.all.requests, sight.canary.alone.requests), (6, 2));
    let expect = Session { failed: true, latency: Some(Duration::from_millis(20)) };
    assert_eq!(sight.canary.sessions, HashMap::from([(7, expect)]));
}

#[test]
fn sessions_are_bounded() {
    let mut core = Core::new();
    for id in 0..2 * SESSIONS as u64 {
        core.count(&ending(core.canary, 200, 1), Some(id));
    }
    core.count(&ending(core.canary, 500, 1), Some(0));
    let sight = core.take();
    assert_eq!(sight.canary.sessions.len(), SESSIONS);
    assert!(sight.canary.sessions[&0].failed, "one that is known is still counted");
    assert_eq!(sight.canary.all.requests, 2 * SESSIONS as u64 + 1);
}

#[test]
fn pairs_tell_which_version_was_worse() {
    let check = |primary: (u16, u64), copy: (u16, u64), expect: Option<Difference>| {
        let mut core = Core::new();
        let primary = ending(core.primary, primary.0, primary.1);
        let copy = ending(core.canary, copy.0, copy.1);
        core.pair(&primary, &copy, Some(1));
        let pairs = core.take().pairs;
        assert_eq!(pairs.all, 1);
        let seen: Vec<_> =
            pairs.differences.into_iter().map(|(_, difference)| difference).collect();
        assert_eq!(seen, Vec::from_iter(expect), "{primary:?} {copy:?}");
    };
    check((200, 10), (200, 11), None);
    check((200, 10), (500, 1), Some(Difference::CanaryFailed));
    check((200, 10), (0, 1), Some(Difference::CanaryFailed));
    check((503, 10), (200, 10), Some(Difference::PrimaryFailed));
    check((503, 10), (503, 90), None);
    check((200, 100), (200, 126), Some(Difference::CanarySlower));
    check((200, 100), (200, 125), None);
    check((200, 126), (200, 100), Some(Difference::PrimarySlower));
    check((404, 10), (200, 10), None);
}

#[test]
fn a_request_that_was_tried_again_is_compared_by_its_first_try() {
    for (status, expect) in [(503, None), (200, Some(Difference::PrimaryFailed))] {
        let mut core = Core::new();
        let primary = Ending { first_try_failed: true, ..ending(core.primary, 200, 10) };
        core.pair(&primary, &ending(core.canary, status, 10), None);
        let differences = core.take().pairs.differences;
        assert_eq!(differences.first().map(|(_, difference)| *difference), expect);
    }
}

#[test]
fn copies_are_counted_apart_from_what_users_asked() {
    let mut core = Core::new();
    for destination in [core.canary, core.primary, core.other] {
        core.lenses.count_copy(&core.metrics, &ending(destination, 500, 1));
    }
    let sight = core.take();
    assert_eq!((sight.copies.requests, sight.copies.failures), (1, 1));
    assert_eq!(sight.canary.all.requests, 0);
}

#[test]
fn pairs_of_others_and_of_clients_that_left_tell_nothing() {
    let mut core = Core::new();
    core.pair(&ending(core.other, 200, 1), &ending(core.canary, 500, 1), None);
    core.pair(&ending(core.primary, 200, 1), &ending(core.other, 500, 1), None);
    let left = Flags::NONE.with(Flag::DownstreamConnectionTermination);
    let left = Ending { flags: left, ..ending(core.primary, 0, 1) };
    core.pair(&left, &ending(core.canary, 200, 1), None);
    assert_eq!(core.take().pairs.all, 0);
}

#[test]
fn what_nobody_asks_about_is_forgotten() {
    let mut core = Core::new();
    core.lenses.tidy(Instant::ZERO + Duration::from_secs(59));
    assert!(!core.lenses.is_empty());
    core.lenses.tidy(Instant::ZERO + Duration::from_secs(60));
    assert!(core.lenses.is_empty());
}
