//! Ejections and returns as Envoy's detector has them.

use proptest::prelude::*;

use super::*;

const START: Instant = Instant::ZERO;

fn seconds(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

fn config() -> Config {
    Config { max_ejection_percent: 100, ..Config::default() }
}

/// A cluster of so many endpoints, whose sweeps are counted from the start.
fn cluster(config: Config, endpoints: usize) -> Detector {
    let detector = Detector::new(config, endpoints);
    detector.sweep(START);
    detector
}

/// Reports outcomes of one endpoint among ten and gives the last detection.
fn detect(config: Config, outcomes: &[Outcome]) -> Option<Cause> {
    let detector = cluster(config, 10);
    let mut last = None;
    for &outcome in outcomes {
        assert_eq!(last, None, "the detection must come with the last outcome");
        last = detector.report(0, outcome, START).map(|detection| match detection {
            Detection::Ejected { cause, .. } => cause,
            Detection::OverLimit { cause } => panic!("{cause:?} is over the limit"),
        });
    }
    last
}

fn eject(detector: &Detector, endpoint: usize, now: Instant) -> Option<Duration> {
    let detections: Vec<_> =
        (0..5).filter_map(|_| detector.report(endpoint, Outcome::Response(500), now)).collect();
    match detections[..] {
        [Detection::Ejected { time, .. }] => Some(time),
        [Detection::OverLimit { .. }] => None,
        _ => panic!("{detections:?}"),
    }
}

#[test]
fn consecutive_errors_eject_and_a_success_starts_the_count_anew() {
    use Outcome::Response;
    let five = [Response(500); 5];
    assert_eq!(detect(config(), &five), Some(Cause::Consecutive5xx));
    assert_eq!(detect(config(), &five[1..]), None);
    let broken =
        [Response(500), Response(500), Response(404), Response(500), Response(500), Response(500)];
    assert_eq!(detect(config(), &broken), None);
    assert_eq!(detect(Config { consecutive_5xx: 0, ..config() }, &[Response(500); 20]), None);
}

#[test]
fn gateway_errors_are_counted_apart() {
    use Outcome::Response;
    let rule = Config { consecutive_gateway_errors: 3, consecutive_5xx: 0, ..config() };
    let gateway = [Response(502), Response(503), Response(504)];
    assert_eq!(detect(rule.clone(), &gateway), Some(Cause::ConsecutiveGatewayErrors));
    assert_eq!(detect(rule, &[Response(502), Response(503), Response(500), Response(504)]), None);
    let both = Config { consecutive_gateway_errors: 5, ..config() };
    assert_eq!(detect(both, &[Response(503); 5]), Some(Cause::ConsecutiveGatewayErrors));
}

#[test]
fn local_failures_count_as_gateway_errors_unless_they_are_split() {
    let together = Config { consecutive_gateway_errors: 2, consecutive_5xx: 0, ..config() };
    assert_eq!(
        detect(together.clone(), &[Outcome::Failed, Outcome::TimedOut]),
        Some(Cause::ConsecutiveGatewayErrors)
    );
    let connected = [Outcome::Failed, Outcome::Connected, Outcome::Failed];
    assert_eq!(detect(together.clone(), &connected), Some(Cause::ConsecutiveGatewayErrors));
    let opened = [Outcome::Failed, Outcome::ConnectedFinally, Outcome::Failed];
    assert_eq!(detect(together.clone(), &opened), None);

    let split = Config {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failures: 3,
        ..together
    };
    assert_eq!(detect(split.clone(), &[Outcome::Failed, Outcome::TimedOut]), None);
    let failures = [Outcome::Failed, Outcome::Response(200), Outcome::TimedOut, Outcome::Failed];
    assert_eq!(detect(split.clone(), &failures), Some(Cause::ConsecutiveLocalOriginFailures));
    assert_eq!(
        detect(split, &[Outcome::Failed, Outcome::Failed, Outcome::Connected, Outcome::Failed]),
        None
    );
}

#[test]
fn t_outlier_ten_percent_of_two_pods_is_no_ejection() {
    let detector = cluster(Config::default(), 2);
    assert_eq!(eject(&detector, 0, START), None);
    assert_eq!(eject(&detector, 0, START), None, "the count started anew");
    assert!(!detector.is_ejected(0));
}

#[test]
fn the_largest_share_counts_the_endpoint_about_to_be_ejected() {
    for (percent, endpoints, expect) in [
        (10, 9, 0),
        (10, 10, 1),
        (10, 19, 1),
        (50, 2, 1),
        (49, 2, 0),
        (100, 3, 3),
        (0, 5, 0),
        (200, 2, 2),
    ] {
        let detector = cluster(Config { max_ejection_percent: percent, ..config() }, endpoints);
        for endpoint in 0..endpoints {
            eject(&detector, endpoint, START);
        }
        assert_eq!(detector.ejected(), expect, "{percent} % of {endpoints}");
    }
}

#[test]
fn an_ejected_endpoint_returns_at_the_first_sweep_after_its_time() {
    let detector = cluster(config(), 2);
    assert_eq!(eject(&detector, 1, seconds(5)), Some(Duration::from_secs(30)));
    assert!(detector.sweep(seconds(30)).is_empty());
    assert!(detector.sweep(seconds(35)).is_empty(), "its time is over, but no sweep is due");
    let version = detector.version();
    assert_eq!(detector.sweep(seconds(40)), [1]);
    assert!(!detector.is_ejected(1));
    assert_ne!(detector.version(), version);
    assert!(detector.sweep(seconds(40)).is_empty(), "another core has come first");
}

#[test]
fn errors_of_an_ejected_endpoint_do_not_eject_it_twice() {
    let detector = cluster(config(), 2);
    eject(&detector, 0, START);
    for _ in 0..20 {
        assert_eq!(detector.report(0, Outcome::Response(500), START), None);
    }
    assert_eq!(detector.ejected(), 1);
    detector.sweep(seconds(30));
    for _ in 0..4 {
        assert_eq!(detector.report(0, Outcome::Response(500), seconds(30)), None);
    }
}

#[test]
fn ejections_grow_longer_up_to_the_limit_and_shorter_again_while_all_is_well() {
    let rule = Config { max_ejection_time: Duration::from_secs(100), ..config() };
    let detector = cluster(rule, 1);
    let mut now = START;
    for expect in [30, 60, 90, 100, 100] {
        let time = eject(&detector, 0, now).unwrap();
        assert_eq!(time, Duration::from_secs(expect));
        now = now + time;
        assert_eq!(detector.sweep(now), [0]);
    }
    // The multiplier has reached 5; every quiet interval takes one off.
    for _ in 0..3 {
        now = now + Duration::from_secs(10);
        assert!(detector.sweep(now).is_empty());
    }
    assert_eq!(eject(&detector, 0, now), Some(Duration::from_secs(90)));
}

#[test]
fn the_longest_ejection_is_never_below_the_base() {
    let rule = Config { base_ejection_time: Duration::from_secs(600), ..config() };
    let detector = cluster(rule, 1);
    assert_eq!(eject(&detector, 0, START), Some(Duration::from_secs(600)));
}

#[test]
fn an_endpoint_that_leaves_makes_room_for_other_ejections() {
    let detector = cluster(Config { max_ejection_percent: 50, ..config() }, 4);
    eject(&detector, 0, START);
    eject(&detector, 1, START);
    assert_eq!(eject(&detector, 2, START), None);
    let fewer = detector.next(&[Some(1), Some(2), Some(3)]);
    assert_eq!(fewer.ejected(), 1);
    assert_eq!(eject(&fewer, 1, START), None, "two of three would be more than half");
    let more = fewer.next(&[Some(0), Some(1), Some(2), None]);
    assert!(eject(&more, 1, START).is_some());
    assert!(detector.is_ejected(2), "who has not heard of the change yet knows all the same");
}

proptest! {
    #[test]
    fn ejected_endpoints_are_counted_and_never_exceed_their_share(
        percent in 0_u32..=100,
        endpoints in 1_usize..12,
        steps in prop::collection::vec((0_usize..12, 0_u16..3, 0_u64..20), 1..300),
    ) {
        let rule = Config { consecutive_5xx: 2, max_ejection_percent: percent, ..Config::default() };
        let detector = cluster(rule, endpoints);
        let mut now = START;
        for (endpoint, kind, wait) in steps {
            now = now + Duration::from_secs(wait);
            detector.sweep(now);
            let outcome = [Outcome::Response(200), Outcome::Response(500), Outcome::Failed][usize::from(kind)];
            detector.report(endpoint % endpoints, outcome, now);
            prop_assert!(detector.ejected() * 100 <= percent as usize * endpoints);
        }
        // Left alone, everything returns.
        detector.sweep(now + Duration::from_secs(300));
        prop_assert_eq!(detector.ejected(), 0);
    }
}
