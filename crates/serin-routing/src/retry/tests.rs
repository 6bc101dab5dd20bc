//! What is retried, how often and when.

use super::*;
use crate::breaker::Limits;
use crate::test_rng::Draws;

fn policy(retry_on: &[Condition]) -> Policy {
    Policy {
        attempts: 2,
        retry_on: retry_on.to_vec(),
        retriable_status_codes: vec![503, 425],
        ..Policy::none()
    }
}

fn no_limits() -> Arc<Breaker> {
    Breaker::new(Limits::default())
}

fn retries(conditions: &[Condition], failure: Failure<'_>) -> bool {
    let policy = policy(conditions);
    let mut state = State::new(&policy, &Headers::default()).unwrap();
    match state.decide(&policy, failure, &no_limits(), &mut Draws::of([0])) {
        Verdict::Retry { .. } => true,
        Verdict::Final => false,
        other => panic!("{other:?}"),
    }
}

fn no_header(_: &str) -> bool {
    false
}

fn status(status: u16) -> Failure<'static> {
    Failure::Answer { status, grpc_status: None, has_header: &no_header }
}

fn grpc(grpc_status: u32) -> Failure<'static> {
    Failure::Answer { status: 200, grpc_status: Some(grpc_status), has_header: &no_header }
}

fn sent(reason: ResetReason) -> Failure<'static> {
    Failure::NoAnswer { reason, request_sent: true }
}

const ALL: [Condition; 16] = {
    let mut all = [Condition::Any5xx; 16];
    let mut index = 0;
    while index < 16 {
        all[index] = Condition::NAMES[index].1;
        index += 1;
    }
    all
};

/// Checks that a failure is retried under exactly these conditions.
fn check(failure: Failure<'_>, expect: &[Condition]) {
    for condition in ALL {
        assert_eq!(retries(&[condition], failure), expect.contains(&condition), "{condition:?}");
    }
}

#[test]
fn each_condition_retries_what_envoys_does() {
    use Condition::*;
    check(status(200), &[]);
    check(status(404), &[]);
    check(status(409), &[Retriable4xx]);
    check(status(425), &[RetriableStatusCodes]);
    check(status(500), &[Any5xx]);
    check(status(502), &[Any5xx, GatewayError]);
    check(status(503), &[Any5xx, GatewayError, RetriableStatusCodes]);
    check(status(504), &[Any5xx, GatewayError]);
    check(status(599), &[Any5xx]);
    check(status(600), &[]);
    for (code, condition) in [
        (1, Cancelled),
        (4, DeadlineExceeded),
        (8, ResourceExhausted),
        (13, Internal),
        (14, Unavailable),
    ] {
        check(grpc(code), &[condition]);
    }
    check(grpc(0), &[]);
    check(grpc(5), &[]);
    check(sent(ResetReason::Overflow), &[]);
    check(sent(ResetReason::ConnectFailure), &[Any5xx, GatewayError, Reset, ConnectFailure]);
    check(sent(ResetReason::RefusedStream), &[Any5xx, GatewayError, Reset, RefusedStream]);
    check(
        sent(ResetReason::Http3PostConnect),
        &[Any5xx, GatewayError, Reset, Http3PostConnectFailure],
    );
    check(sent(ResetReason::TryTimeout), &[Any5xx, GatewayError, Reset]);
    check(sent(ResetReason::Other), &[Any5xx, GatewayError, Reset]);
    let unsent = Failure::NoAnswer { reason: ResetReason::Other, request_sent: false };
    check(unsent, &[Any5xx, GatewayError, Reset, ResetBeforeRequest]);
    let limited = Failure::Answer {
        status: 503,
        grpc_status: Some(14),
        has_header: &|name| name == "x-envoy-ratelimited",
    };
    check(limited, &[EnvoyRatelimited]);
}

#[test]
fn the_default_of_istio_retries_neither_503_nor_a_slow_try() {
    use Condition::*;
    let defaults = [ConnectFailure, RefusedStream, Unavailable, Cancelled, RetriableStatusCodes];
    let policy = Policy { attempts: 2, retry_on: defaults.to_vec(), ..Policy::none() };
    let mut state = State::new(&policy, &Headers::default()).unwrap();
    for failure in [status(503), sent(ResetReason::TryTimeout), sent(ResetReason::Other)] {
        assert!(matches!(
            state.decide(&policy, failure, &no_limits(), &mut Draws::of([0])),
            Verdict::Final
        ));
    }
    assert_eq!(state.remaining(), 2);
}

#[test]
fn names_are_read_and_written_alike() {
    for condition in ALL {
        assert_eq!(Condition::from_name(condition.name()), Some(condition));
    }
    assert_eq!(Condition::from_name("5XX"), None);
}

#[test]
fn retries_end_with_the_policys_number_and_the_answer_goes_downstream() {
    let policy = policy(&[Condition::Any5xx]);
    let mut state = State::new(&policy, &Headers::default()).unwrap();
    let mut decide = || state.decide(&policy, status(500), &no_limits(), &mut Draws::of([0]));
    assert!(matches!(decide(), Verdict::Retry { .. }));
    assert!(matches!(decide(), Verdict::Retry { .. }));
    assert!(matches!(decide(), Verdict::LimitExceeded));
}

#[test]
fn too_many_retries_under_way_are_refused_and_each_request_has_one_at_most() {
    let breaker = Breaker::new(Limits { max_retries: 1, ..Limits::default() });
    let policy = policy(&[Condition::Any5xx]);
    let new = || State::new(&policy, &Headers::default()).unwrap();
    let decide =
        |state: &mut State| state.decide(&policy, status(500), &breaker, &mut Draws::of([0]));
    let (mut first, mut second) = (new(), new());
    assert!(matches!(decide(&mut first), Verdict::Retry { .. }));
    assert!(matches!(
        decide(&mut second),
        Verdict::Overflow(Overflow { resource: Resource::Retries, limit: 1 })
    ));
    assert!(matches!(decide(&mut first), Verdict::Retry { .. }), "its own is over");
    assert_eq!(breaker.used(Resource::Retries), 1);
    drop(first);
    assert!(matches!(decide(&mut second), Verdict::Retry { .. }));
}

#[test]
fn waits_are_drawn_from_an_interval_that_doubles_up_to_the_largest() {
    let policy = Policy { attempts: 10, ..policy(&[Condition::Any5xx]) };
    let mut state = State::new(&policy, &Headers::default()).unwrap();
    let ends: Vec<u128> = (0..6)
        .map(|_| {
            // The largest draw is one below the end of the interval, found by drawing its multiples.
            let end = state.interval;
            let largest = u64::try_from(end.as_nanos()).unwrap() - 1;
            match state.decide(&policy, status(500), &no_limits(), &mut Draws::of([largest])) {
                Verdict::Retry { after, .. } => assert_eq!(after, Duration::from_nanos(largest)),
                other => panic!("{other:?}"),
            }
            end.as_millis()
        })
        .collect();
    assert_eq!(ends, [25, 50, 100, 200, 250, 250]);
}

#[test]
fn a_policy_without_intervals_does_not_wait() {
    let policy = Policy { base_interval: Duration::ZERO, ..policy(&[Condition::Any5xx]) };
    let mut state = State::new(&policy, &Headers::default()).unwrap();
    let verdict = state.decide(&policy, status(500), &no_limits(), &mut Draws::of([u64::MAX]));
    assert!(matches!(verdict, Verdict::Retry { after: Duration::ZERO, .. }));
}

#[test]
fn request_headers_add_conditions_codes_and_names_and_set_the_number() {
    let none = Policy::none();
    assert!(State::new(&none, &Headers::default()).is_none());
    let ignored = Headers {
        max_retries: Some("5"),
        retry_on: Some("unavailable, nonsense"),
        ..Headers::default()
    };
    assert!(State::new(&none, &ignored).is_none(), "gRPC conditions have a header of their own");

    let headers = Headers {
        retry_on: Some("retriable-status-codes, retriable-headers"),
        retry_grpc_on: Some("unavailable,5xx"),
        max_retries: Some("9"),
        retriable_status_codes: Some("418, x"),
        retriable_header_names: Some("X-Retry-Me"),
    };
    let mut state = State::new(&none, &headers).unwrap();
    assert_eq!(state.remaining(), 9);
    let has_retry_me = |name: &str| name == "x-retry-me";
    let marked = Failure::Answer { status: 200, grpc_status: None, has_header: &has_retry_me };
    for (failure, expect) in
        [(status(418), true), (grpc(14), true), (marked, true), (status(500), false)]
    {
        let verdict = state.decide(&none, failure, &no_limits(), &mut Draws::of([0]));
        assert_eq!(matches!(verdict, Verdict::Retry { .. }), expect);
    }
    let once = Headers { retry_on: Some("5xx"), ..Headers::default() };
    assert_eq!(State::new(&none, &once).unwrap().remaining(), 1);
}

#[test]
fn a_try_never_has_longer_than_the_whole_request() {
    let second = Duration::from_secs(1);
    let limited = Policy { per_try_timeout: Some(second), ..Policy::none() };
    assert_eq!(limited.try_timeout(None), Some(second));
    assert_eq!(limited.try_timeout(Some(Duration::ZERO)), Some(second));
    assert_eq!(limited.try_timeout(Some(second * 2)), Some(second));
    assert_eq!(limited.try_timeout(Some(second)), None);
    assert_eq!(Policy::none().try_timeout(Some(second)), None);
}
