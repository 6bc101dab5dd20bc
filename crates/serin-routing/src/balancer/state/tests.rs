//! Choices over the life of a cluster.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::balancer::testing::{cluster, endpoint, endpoints, place, unhealthy};
use crate::balancer::{LocalityPolicy, WarmUp};
use crate::model::{Cluster, Endpoint, Endpoints};
use crate::outlier::Config;
use crate::retry;
use crate::test_rng::{Draws, Seeded};

const START: Instant = Instant::ZERO;

fn set(cluster: &Cluster, list: Endpoints) -> Arc<EndpointSet> {
    Arc::new(EndpointSet::new(cluster, Arc::new(list)))
}

fn observed(cluster: &Cluster, list: Endpoints) -> Observed {
    Observed::new(set(cluster, list))
}

/// A state whose turns start with the first endpoint.
fn state(cluster: &Cluster, list: Endpoints) -> ClusterState {
    ClusterState::new(observed(cluster, list), START, &mut Draws::of([0]))
}

impl ClusterState {
    /// Goes on with other endpoints.
    fn change(&mut self, set: Arc<EndpointSet>, now: Instant) {
        self.update(self.observed.next(set), now);
    }
}

fn with(policy: Policy, list: Vec<Endpoint>) -> ClusterState {
    state(&cluster(policy), endpoints(list))
}

/// So many endpoints of weight 1.
fn some(count: u8) -> Vec<Endpoint> {
    (0..count).map(|number| endpoint(number, 1)).collect()
}

fn ejecting(policy: Policy) -> Cluster {
    Cluster {
        outlier: Some(Config {
            consecutive_5xx: 1,
            max_ejection_percent: 100,
            ..Config::default()
        }),
        locality: LocalityPolicy { panic_threshold_percent: 0.0, ..LocalityPolicy::default() },
        ..cluster(policy)
    }
}

/// The number of the endpoint of the next choice.
fn next_of(
    state: &mut ClusterState,
    hash: Option<u64>,
    now: Instant,
    rng: &mut impl Rng,
) -> Option<usize> {
    match state.choose(hash, &mut Attempts::default(), now, rng) {
        Choice::Endpoint { index, .. } => Some(index),
        Choice::NoHealthyEndpoint => None,
        Choice::OriginalDestination => panic!("not a passthrough cluster"),
    }
}

fn counts(state: &mut ClusterState, choices: usize) -> Vec<usize> {
    let mut rng = Seeded(7);
    let mut counts = vec![0; state.endpoints().len()];
    for _ in 0..choices {
        counts[next_of(state, None, START, &mut rng).unwrap()] += 1;
    }
    counts
}

fn ids(state: &mut ClusterState) -> Vec<EndpointId> {
    (0..state.endpoints().len() as u32).map(|index| state.slots.id(index).unwrap()).collect()
}

fn eject(state: &mut ClusterState, index: usize, now: Instant) {
    let id = ids(state)[index];
    assert!(matches!(
        state.report(id, Outcome::Response(500), now),
        Some(Detection::Ejected { .. })
    ));
}

#[test]
fn t_least_request_is_the_default() {
    assert_eq!(Policy::default(), Policy::LeastRequest);
}

#[test]
fn round_robin_takes_turns_from_a_start_of_its_own() {
    let turns = |seed: u64, list: Vec<Endpoint>, count: usize| -> Vec<usize> {
        let cluster = cluster(Policy::RoundRobin);
        let mut state =
            ClusterState::new(observed(&cluster, endpoints(list)), START, &mut Draws::of([seed]));
        (0..count).map(|_| next_of(&mut state, None, START, &mut Draws::of([0])).unwrap()).collect()
    };
    assert_eq!(turns(0, some(3), 5), [0, 1, 2, 0, 1]);
    assert_eq!(turns(2, some(3), 3), [2, 0, 1]);
    assert_eq!(turns(0, vec![endpoint(0, 1), endpoint(1, 2)], 8), [1, 0, 1, 1, 0, 1, 1, 0]);
}

#[test]
fn random_ignores_weights_and_turns() {
    let mut state = with(Policy::Random, vec![endpoint(0, 1), endpoint(1, 100)]);
    let counts = counts(&mut state, 1000);
    assert!(counts[0].abs_diff(500) < 60, "{counts:?}");
}

#[test]
fn least_request_takes_the_less_busy_of_two() {
    let mut state = with(Policy::LeastRequest, some(3));
    let ids = ids(&mut state);
    let _busy = state.begin(ids[0]).unwrap();
    // The draws: one for the priority, two for the endpoints.
    let mut choose = |first, second| {
        next_of(&mut state, None, START, &mut Draws::of([0, first, second])).unwrap()
    };
    assert_eq!(choose(0, 1), 1);
    assert_eq!(choose(1, 0), 1);
    assert_eq!(choose(2, 1), 2, "of two that are equal the first");
    assert_eq!(choose(0, 0), 0);
}

#[test]
fn least_request_with_unequal_weights_divides_weights_by_requests() {
    let mut state = with(Policy::LeastRequest, vec![endpoint(0, 1), endpoint(1, 3)]);
    let idle = counts(&mut state, 400);
    assert!(idle[0].abs_diff(100) <= 1, "{idle:?}");
    let ids = ids(&mut state);
    let _busy: Vec<_> = (0..2).map(|_| state.begin(ids[1]).unwrap()).collect();
    counts(&mut state, 10);
    let busy = counts(&mut state, 400);
    assert!(
        busy[0].abs_diff(200) <= 1,
        "three requests of weight three are as one of one: {busy:?}"
    );
}

#[test]
fn a_request_is_active_until_it_is_dropped_even_over_updates() {
    let cluster = cluster(Policy::LeastRequest);
    let mut state = state(&cluster, endpoints(some(2)));
    let ids = ids(&mut state);
    let request = state.begin(ids[1]).unwrap();
    assert_eq!((state.active(ids[0]), state.active(ids[1])), (0, 1));

    // The endpoint keeps its identity under another number.
    state.change(set(&cluster, endpoints(vec![endpoint(1, 1), endpoint(9, 1)])), START);
    assert_eq!(state.active(ids[1]), 1);
    assert_eq!(state.slots.id(0), Some(ids[1]));
    assert!(state.begin(ids[0]).is_none(), "the first has left");

    // Its slot goes to another endpoint, which has nothing to do with it.
    state.change(set(&cluster, endpoints(vec![endpoint(8, 1), endpoint(9, 1)])), START);
    assert!(state.begin(ids[1]).is_none());
    drop(request);
    let new = self::ids(&mut state);
    assert_eq!((state.active(new[0]), state.active(new[1])), (0, 0));
}

#[test]
fn an_original_destination_needs_no_endpoint() {
    let mut state = with(Policy::Passthrough, vec![]);
    let choice = state.choose(None, &mut Attempts::default(), START, &mut Draws::of([0]));
    assert_eq!(choice, Choice::OriginalDestination);
}

#[test]
fn no_endpoint_is_no_choice_whatever_the_policy() {
    let ring = Policy::RingHash { minimum_ring_size: 1024 };
    for policy in [
        Policy::RoundRobin,
        Policy::LeastRequest,
        Policy::Random,
        ring,
        Policy::Maglev { table_size: 17 },
    ] {
        assert_eq!(next_of(&mut with(policy, vec![]), Some(1), START, &mut Draws::of([0])), None);
    }
}

#[test]
fn unhealthy_endpoints_get_nothing_until_too_few_are_healthy() {
    let list = |healthy: u8| {
        (0..4).map(|n| if n < healthy { endpoint(n, 1) } else { unhealthy(n) }).collect()
    };
    assert_eq!(counts(&mut with(Policy::RoundRobin, list(2)), 40), [20, 20, 0, 0]);
    assert_eq!(
        counts(&mut with(Policy::RoundRobin, list(1)), 40),
        [10; 4],
        "below half, health is ignored"
    );
    let calm = Cluster {
        locality: LocalityPolicy { panic_threshold_percent: 0.0, ..LocalityPolicy::default() },
        ..cluster(Policy::RoundRobin)
    };
    assert_eq!(counts(&mut state(&calm, endpoints(list(1))), 40), [40, 0, 0, 0]);
    assert_eq!(
        next_of(&mut state(&calm, endpoints(list(0))), None, START, &mut Draws::of([0])),
        None
    );
}

#[test]
fn traffic_spills_over_to_the_next_priority() {
    let list = |healthy: u8| {
        let first =
            (0..10).map(|n| if n < healthy { endpoint(n, 1) } else { unhealthy(n) }).collect();
        Endpoints {
            localities: vec![place(0, None, first), place(1, None, vec![endpoint(100, 1)])],
        }
    };
    let spilt = |healthy| {
        let mut state = state(&cluster(Policy::RoundRobin), list(healthy));
        // Every draw of the priority once.
        (0..100)
            .filter(|&draw| next_of(&mut state, None, START, &mut Draws::of([draw])) == Some(10))
            .count()
    };
    assert_eq!([10, 8, 5, 0].map(spilt), [0, 0, 30, 100]);
}

#[test]
fn places_share_by_weight_and_lose_share_with_their_endpoints() {
    let weighted = Cluster {
        locality: LocalityPolicy {
            weighted: true,
            panic_threshold_percent: 0.0,
            ..LocalityPolicy::default()
        },
        ..cluster(Policy::RoundRobin)
    };
    let list = |second: Vec<Endpoint>| Endpoints {
        localities: vec![
            place(0, Some(1), some(1)),
            place(0, Some(3), second),
            place(0, Some(0), vec![endpoint(50, 1)]),
        ],
    };
    assert_eq!(
        counts(&mut state(&weighted, list(vec![endpoint(10, 1), endpoint(11, 1)])), 400),
        [100, 150, 150, 0]
    );
    // Half healthy, times 1.4: three becomes 2.1.
    let half = counts(&mut state(&weighted, list(vec![endpoint(10, 1), unhealthy(11)])), 310);
    assert!(half[0].abs_diff(100) <= 1 && half[2] == 0, "{half:?}");
    let unweighted = cluster(Policy::RoundRobin);
    assert_eq!(
        counts(&mut state(&unweighted, list(some(2))), 400),
        [100; 4],
        "weights of places do not count"
    );
}

#[test]
fn a_new_endpoint_warms_up_while_old_ones_carry_the_load() {
    let warm_up =
        WarmUp { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
    for policy in [Policy::RoundRobin, Policy::LeastRequest] {
        let cluster = Cluster { warm_up: Some(warm_up.clone()), ..cluster(policy) };
        let mut state = state(&cluster, endpoints(some(1)));
        let joined = START + Duration::from_secs(1000);
        state.change(set(&cluster, endpoints(some(2))), joined);
        let share = |state: &mut ClusterState, after: u64| {
            let mut rng = Seeded(3);
            let now = joined + Duration::from_secs(after);
            (0..1000).filter(|_| next_of(state, None, now, &mut rng) == Some(1)).count()
        };
        for (after, expect) in [(0, 91), (5, 91), (50, 333), (99, 497)] {
            let share = share(&mut state, after);
            assert!(
                share.abs_diff(expect) < 12,
                "{share} of 1000 after {after} s with {:?}",
                cluster.balancer
            );
        }
        assert!(share(&mut state, 100).abs_diff(500) < 50);
    }
}

#[test]
fn the_share_of_a_warming_endpoint_follows_its_curve() {
    let warm_up = |aggression| WarmUp {
        duration: Duration::from_secs(100),
        minimum_percent: 10.0,
        aggression,
    };
    let share = |aggression, after| warm_up(aggression).share(Duration::from_secs(after));
    assert_eq!([0, 10, 25, 100, 200].map(|after| share(1.0, after)), [0.1, 0.1, 0.25, 1.0, 1.0]);
    assert_eq!([1, 25].map(|after| share(2.0, after)), [0.1, 0.5]);
    assert_eq!(share(0.0, 25), 0.25, "no curve is linear");
    assert_eq!(WarmUp { duration: Duration::ZERO, ..warm_up(1.0) }.share(Duration::ZERO), 1.0);
}

#[test]
fn an_endpoint_that_becomes_ready_warms_up_too() {
    let warm_up =
        WarmUp { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
    let cluster = Cluster { warm_up: Some(warm_up), ..cluster(Policy::RoundRobin) };
    let mut state = state(&cluster, endpoints(vec![endpoint(0, 1), endpoint(1, 1), unhealthy(2)]));
    let later = START + Duration::from_secs(1000);
    state.change(set(&cluster, endpoints(some(3))), later);
    let mut rng = Seeded(3);
    let third = (0..1000).filter(|_| next_of(&mut state, None, later, &mut rng) == Some(2)).count();
    assert!(third < 60, "{third} of 1000");
}

#[test]
fn an_ejected_endpoint_gets_nothing_until_it_returns() {
    let mut state = state(&ejecting(Policy::RoundRobin), endpoints(some(3)));
    eject(&mut state, 1, START);
    let ids = ids(&mut state);
    assert!(state.is_ejected(ids[1]));
    assert_eq!(counts(&mut state, 40), [20, 0, 20]);
    assert_eq!(state.sweep(START), [], "the first is in an interval");
    assert_eq!(state.sweep(START + Duration::from_secs(10)), []);
    assert_eq!(state.sweep(START + Duration::from_secs(30)), [ids[1]]);
    let counts = counts(&mut state, 30);
    assert_eq!(counts, [10, 10, 10]);
}

#[test]
fn an_ejection_outlives_an_update_and_an_outlier_rule_that_changes_does_not() {
    let cluster = ejecting(Policy::RoundRobin);
    let mut state = state(&cluster, endpoints(some(3)));
    eject(&mut state, 1, START);
    state.change(set(&cluster, endpoints(some(4))), START);
    assert_eq!(counts(&mut state, 30), [10, 0, 10, 10]);
    state.change(set(&Cluster { outlier: None, ..cluster }, endpoints(some(4))), START);
    assert_eq!(counts(&mut state, 40), [10; 4]);
    assert!(state.observed.detector().is_none());
}

#[test]
fn everything_ejected_is_no_healthy_endpoint_unless_panic_is_on() {
    let calm = ejecting(Policy::RoundRobin);
    let mut state = state(&calm, endpoints(some(2)));
    eject(&mut state, 0, START);
    eject(&mut state, 1, START);
    assert_eq!(next_of(&mut state, None, START, &mut Draws::of([0])), None);
    let panicking = Cluster { locality: LocalityPolicy::default(), ..calm };
    state.change(set(&panicking, endpoints(some(2))), START);
    assert_eq!(counts(&mut state, 10), [5, 5]);
}

#[test]
fn errors_count_over_all_cores_and_an_ejection_holds_for_all() {
    let cluster = Cluster {
        outlier: Some(Config {
            consecutive_5xx: 3,
            max_ejection_percent: 100,
            ..Config::default()
        }),
        ..ejecting(Policy::RoundRobin)
    };
    let all = observed(&cluster, endpoints(some(2)));
    let core = || ClusterState::new(all.clone(), START, &mut Draws::of([0]));
    let [mut first, mut second] = [core(), core()];
    let (id, error) = (ids(&mut first)[1], Outcome::Response(500));
    assert_eq!(first.report(id, error, START), None);
    assert_eq!(second.report(id, error, START), None);
    assert!(matches!(first.report(id, error, START), Some(Detection::Ejected { .. })));
    assert_eq!(counts(&mut second, 10), [10, 0]);
    // One has taken over a new version, the other has not yet.
    second.change(set(&cluster, endpoints(some(3))), START);
    assert_eq!(counts(&mut first, 10), [10, 0]);
    assert_eq!(counts(&mut second, 10), [5, 0, 5]);
    assert_eq!(second.sweep(START), []);
    assert_eq!(second.sweep(START + Duration::from_secs(30)), [id]);
    assert_eq!(first.sweep(START + Duration::from_secs(30)), [], "the other one has");
    assert_eq!(counts(&mut first, 10), [5, 5]);
    assert_eq!(counts(&mut second, 30), [10, 10, 10]);
}

#[test]
fn an_outcome_of_an_endpoint_that_left_is_ignored() {
    let cluster = ejecting(Policy::RoundRobin);
    let mut state = state(&cluster, endpoints(some(2)));
    let ids = ids(&mut state);
    state.change(set(&cluster, endpoints(vec![endpoint(1, 1)])), START);
    assert_eq!(state.report(ids[0], Outcome::Response(500), START), None);
}

#[test]
fn a_hash_keeps_its_endpoint_unless_that_is_ejected() {
    for policy in
        [Policy::RingHash { minimum_ring_size: 1024 }, Policy::Maglev { table_size: 65_537 }]
    {
        let mut state = state(&ejecting(policy), endpoints(some(10)));
        let hashes = || (0..500_u64).map(|hash| hash.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let choices = |state: &mut ClusterState| -> Vec<usize> {
            hashes()
                .map(|hash| next_of(state, Some(hash), START, &mut Draws::of([hash])).unwrap())
                .collect()
        };
        let before = choices(&mut state);
        assert_eq!(choices(&mut state), before);
        state.sweep(START);
        eject(&mut state, 3, START);
        let after = choices(&mut state);
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after && **before != 3)
            .count();
        assert!(!after.contains(&3));
        assert!(moved < 60, "{moved} of 500 hashes moved without need");
        state.sweep(START + Duration::from_secs(30));
        assert_eq!(choices(&mut state), before);
    }
}

#[test]
fn places_weigh_in_the_tables_of_hashes() {
    let weighted = Cluster {
        locality: LocalityPolicy { weighted: true, ..LocalityPolicy::default() },
        ..cluster(Policy::Maglev { table_size: 65_537 })
    };
    let list = Endpoints {
        localities: vec![
            place(0, Some(3), some(1)),
            place(0, Some(1), vec![endpoint(10, 1), endpoint(11, 1)]),
            place(0, None, vec![endpoint(12, 1)]),
        ],
    };
    let mut state = state(&weighted, list);
    let mut rng = Seeded(1);
    let mut counts = [0_usize; 4];
    for _ in 0..8000 {
        counts[next_of(&mut state, None, START, &mut rng).unwrap()] += 1;
    }
    assert!(
        counts[0].abs_diff(6000) < 200 && counts[1].abs_diff(1000) < 150 && counts[3] == 0,
        "{counts:?}"
    );
}

fn retrying(avoid: bool, remote: bool) -> retry::Policy {
    retry::Policy {
        avoid_previous_hosts: avoid,
        host_selection_attempts: 5,
        remote_localities: remote,
        ..retry::Policy::none()
    }
}

#[test]
fn a_retry_goes_where_the_request_has_not_been_in_up_to_five_more_draws() {
    let mut state = with(Policy::Random, some(2));
    let ids = ids(&mut state);
    let mut choose = |tried: &[EndpointId], avoid, draws: &[u64]| {
        let mut attempts = Attempts::new(Some(&retrying(avoid, false)));
        tried.iter().for_each(|id| attempts.record(*id));
        // A draw for the priority comes before each for the endpoint.
        let draws: Vec<u64> = draws.iter().flat_map(|&draw| [0, draw]).collect();
        match state.choose(None, &mut attempts, START, &mut Draws::of(draws)) {
            Choice::Endpoint { index, .. } => index,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(choose(&[], true, &[0, 1]), 0, "the first try takes what comes");
    assert_eq!(choose(&ids[..1], true, &[0, 0, 0, 0, 0, 1]), 1);
    assert_eq!(choose(&ids[..1], true, &[0, 0, 0, 0, 0, 0, 1]), 0, "five more draws are enough");
    assert_eq!(choose(&ids[..1], false, &[0, 1]), 0);
    assert_eq!(choose(&ids, true, &[1, 0, 1, 0, 1, 0]), 0, "everything was tried: the last draw");
}

#[test]
fn retries_to_remote_localities_leave_a_priority_after_two_tries() {
    let list = Endpoints {
        localities: vec![
            place(0, None, some(1)),
            place(1, None, vec![endpoint(10, 1)]),
            place(2, None, vec![endpoint(20, 1)]),
        ],
    };
    let mut state = state(&cluster(Policy::RoundRobin), list);
    let mut attempts = Attempts::new(Some(&retrying(false, true)));
    let mut visited = Vec::new();
    for _ in 0..7 {
        let Choice::Endpoint { id, index } =
            state.choose(None, &mut attempts, START, &mut Draws::of([0]))
        else {
            panic!("no endpoint");
        };
        attempts.record(id);
        visited.push(index);
    }
    assert_eq!(visited, [0, 0, 1, 1, 2, 2, 0]);
}

proptest! {
    #[test]
    fn whatever_happens_choices_are_endpoints_of_the_set_and_healthy_ones_if_there_are(
        policy in 0_usize..5,
        seed: u64,
        steps in prop::collection::vec((0_u8..4, prop::collection::vec((0_u8..8, 1_u32..4, any::<bool>(), 0_u32..3), 0..8), any::<u64>()), 1..25),
    ) {
        let policies = [
            Policy::RoundRobin,
            Policy::LeastRequest,
            Policy::Random,
            Policy::RingHash { minimum_ring_size: 16 },
            Policy::Maglev { table_size: 101 },
        ];
        let warm_up = WarmUp { duration: Duration::from_secs(20), minimum_percent: 10.0, aggression: 1.5 };
        let cluster = Cluster { warm_up: Some(warm_up), ..ejecting(policies[policy].clone()) };
        let mut rng = Seeded(seed);
        let mut state = ClusterState::new(observed(&cluster, endpoints(vec![])), START, &mut rng);
        let mut requests = Vec::new();
        let mut now = START;
        for (kind, list, hash) in steps {
            now = now + Duration::from_secs(hash % 15);
            match kind {
                0 => {
                    let places = list.into_iter().map(|(number, weight, healthy, priority)| {
                        let endpoint = endpoint(number, weight);
                        let health = if healthy { endpoint.health } else { crate::model::Health::Draining };
                        place(priority, None, vec![Endpoint { health, ..endpoint }])
                    });
                    state.change(set(&cluster, Endpoints { localities: places.collect() }), now);
                }
                1 => { state.sweep(now); }
                2 => requests.clear(),
                _ => {}
            }
            for _ in 0..5 {
                let choice = state.choose(Some(hash), &mut Attempts::default(), now, &mut rng);
                let usable = |index: usize| state.endpoints().members[index].healthy && !state.observed.is_ejected(index);
                match choice {
                    Choice::Endpoint { id, index } => {
                        prop_assert!(usable(index), "panic is off");
                        prop_assert_eq!(state.slots.id(index as u32), Some(id));
                        requests.push((id, state.begin(id).unwrap()));
                        let outcome = if hash % 7 == 0 { Outcome::Response(500) } else { Outcome::Response(200) };
                        state.report(id, outcome, now);
                    }
                    Choice::NoHealthyEndpoint => prop_assert!((0..state.endpoints().len()).all(|index| !usable(index))),
                    Choice::OriginalDestination => prop_assert!(false),
                }
            }
            for (id, _) in &requests {
                let expect = if state.slots.find(*id).is_some() { requests.iter().filter(|(other, _)| other == id).count() } else { 0 };
                prop_assert_eq!(state.active(*id) as usize, expect);
            }
            let ejected = (0..state.endpoints().len()).filter(|&index| state.observed.is_ejected(index)).count();
            prop_assert_eq!(ejected, state.observed.detector().unwrap().ejected());
        }
    }
}
