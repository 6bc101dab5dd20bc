//! Retries, and the limits of clusters.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serin_routing::outlier;
use serin_routing::retry::{Condition, Policy};

use crate::support::{
    Setup, answering, connect, next_request, on_demand, read_until, refusing, talk, upstream,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

/// Gives the n-th request of all the n-th answer, and the last one from then on.
pub(crate) fn in_turn(answers: &'static [&'static str]) -> (SocketAddr, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let address = answering(move |request| {
        let number = counter.fetch_add(1, Ordering::SeqCst) as usize;
        let status = answers[number.min(answers.len() - 1)];
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{request}", request.len())
    });
    (address, count)
}

pub(crate) fn policy(retry_on: &[Condition]) -> Option<Policy> {
    Some(Policy {
        attempts: 2,
        retry_on: retry_on.to_vec(),
        base_interval: Duration::from_millis(1),
        ..Policy::none()
    })
}

fn with_policy(address: SocketAddr, policy: Option<Policy>) -> Setup {
    let mut setup = Setup::new(address);
    setup.forward().retry = policy;
    setup
}

#[test]
fn an_answer_that_the_policy_names_is_tried_again_with_its_body() {
    let (address, count) = in_turn(&["503 No", "500 No", "200 OK"]);
    let running = with_policy(address, policy(&[Condition::Any5xx])).start();
    let post = "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let answer = talk(running.address, post);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("hello") && answer.contains("x-sum: 1"), "{answer}");
    assert!(answer.contains("x-envoy-attempt-count: 3\r\n"), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn the_last_answer_goes_downstream_when_no_try_is_left() {
    let (address, count) = in_turn(&["503 No"]);
    let answer =
        talk(with_policy(address, policy(&[Condition::GatewayError])).start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn other_answers_are_not_tried_again() {
    for (condition, status, tries) in [
        (Condition::GatewayError, "500 No", 1),
        (Condition::Retriable4xx, "409 No", 2),
        (Condition::Retriable4xx, "404 No", 1),
        (Condition::ConnectFailure, "503 No", 1),
    ] {
        let answers: &'static [&'static str] = Box::leak(Box::new([status, "200 OK"]));
        let (address, count) = in_turn(answers);
        talk(with_policy(address, policy(&[condition])).start().address, GET);
        assert_eq!(count.load(Ordering::SeqCst), tries, "{condition:?} {status}");
    }
    let (address, count) = in_turn(&["404 No", "200 OK"]);
    let codes = Policy {
        retriable_status_codes: vec![404],
        ..policy(&[Condition::RetriableStatusCodes]).unwrap()
    };
    talk(with_policy(address, Some(codes)).start().address, GET);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_body_that_is_too_large_to_keep_is_not_sent_again() {
    let (address, count) = in_turn(&["503 No", "200 OK"]);
    let mut setup = with_policy(address, policy(&[Condition::Any5xx]));
    setup.settings.retry_buffer = 4;
    let post = "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let answer = talk(setup.start().address, post);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_that_ends_without_an_answer_is_a_reset() {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let address = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        if counter.fetch_add(1, Ordering::SeqCst) > 0 {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    let answer = talk(with_policy(address, policy(&[Condition::Reset])).start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_try_has_its_own_time() {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let address = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            next_request(&mut stream, &mut Vec::new());
        } else {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    let policy = Policy {
        per_try_timeout: Some(Duration::from_millis(30)),
        ..policy(&[Condition::GatewayError]).unwrap()
    };
    let answer = talk(with_policy(address, Some(policy)).start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_retry_goes_to_an_endpoint_that_was_not_tried() {
    let (bad, _) = in_turn(&["503 No"]);
    let (good, _) = in_turn(&["200 OK"]);
    let policy = Policy {
        avoid_previous_hosts: true,
        host_selection_attempts: 50,
        attempts: 1,
        ..policy(&[Condition::Any5xx]).unwrap()
    };
    let mut setup = with_policy(bad, Some(policy));
    setup.clusters[0].1.push(good);
    let running = setup.start();
    for _ in 0..40 {
        let answer = talk(running.address, GET);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[test]
fn a_request_has_one_retry_under_way_at_a_time() {
    let (address, count) = in_turn(&["503 No", "500 No", "200 OK"]);
    let mut setup = with_policy(address, policy(&[Condition::Any5xx]));
    setup.cluster().limits.max_retries = 1;
    let answer = talk(setup.start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

/// How many of 60 requests fail while an endpoint that always fails is beside a good one.
fn failing_beside_a_good_one(
    bad: SocketAddr,
    outlier: outlier::Config,
    change: impl Fn(&mut Setup),
) -> usize {
    let (good, _) = in_turn(&["200 OK"]);
    let mut setup = Setup::new(bad);
    setup.clusters[0].1.push(good);
    setup.cluster().outlier = Some(outlier::Config { max_ejection_percent: 100, ..outlier });
    change(&mut setup);
    let running = setup.start();
    let fails = |_: &u32| !talk(running.address, GET).starts_with("HTTP/1.1 200");
    (0..60).filter(fails).count()
}

#[test]
fn an_endpoint_that_fails_is_left_out_for_a_while_by_all_cores() {
    let twice = outlier::Config { consecutive_5xx: 2, ..outlier::Config::default() };
    for workers in [1, 2] {
        let (bad, _) = in_turn(&["503 No"]);
        let failing = failing_beside_a_good_one(bad, twice.clone(), |setup| {
            setup.settings.workers = workers;
        });
        assert_eq!(failing, 2, "with {workers}");
    }
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_left_out() {
    let silent = upstream(|mut stream| {
        let mut seen = Vec::new();
        while next_request(&mut stream, &mut seen).is_some() {}
    });
    let once = outlier::Config {
        consecutive_5xx: 0,
        consecutive_gateway_errors: 1,
        ..outlier::Config::default()
    };
    // Waited for once; the good one answers within it on any machine.
    let timeout = Some(Duration::from_secs(3));
    let failing = failing_beside_a_good_one(silent, once, |setup| {
        setup.forward().timeout = timeout;
    });
    assert_eq!(failing, 1);
}

/// As Envoy has it: what counts apart is whether there are connections.
#[test]
fn where_failures_of_connections_count_apart_one_that_was_made_starts_their_count_anew() {
    let rude = upstream(|mut stream| {
        next_request(&mut stream, &mut Vec::new());
    });
    let apart = outlier::Config {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failures: 2,
        ..outlier::Config::default()
    };
    assert!(failing_beside_a_good_one(rude, apart.clone(), |_| {}) > 2);
    assert_eq!(failing_beside_a_good_one(refusing(), apart, |_| {}), 2);
}

#[test]
fn a_request_over_the_limit_of_requests_is_refused_at_once() {
    let (address, arrivals, go) = on_demand();
    let mut setup = Setup::new(address);
    setup.cluster().limits.max_requests = 1;
    let running = setup.start();
    let mut first = connect(running.address);
    first.write_all(GET.as_bytes()).unwrap();
    arrivals.recv().unwrap();
    let answer = talk(running.address, GET);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("circuit breaker"), "{answer}");
    go.send(()).unwrap();
    assert!(read_until(&mut first, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
}

#[test]
fn a_request_over_the_limit_of_connections_waits_for_one_and_one_more_is_refused() {
    let (address, arrivals, go) = on_demand();
    let mut setup = Setup::new(address);
    setup.cluster().limits.max_connections = 1;
    setup.cluster().limits.max_pending_requests = 1;
    let running = setup.start();
    let mut first = connect(running.address);
    first.write_all(GET.as_bytes()).unwrap();
    arrivals.recv().unwrap();
    let (tell, answers) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (tell, mut stream) = (tell.clone(), connect(running.address));
        stream.write_all(GET.as_bytes()).unwrap();
        std::thread::spawn(move || tell.send(read_until(&mut stream, "\r\n\r\n")));
    }
    // One of them waits; the other one is told at once.
    let refused = answers.recv().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    go.send(()).unwrap();
    assert!(read_until(&mut first, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
    arrivals.recv().unwrap();
    go.send(()).unwrap();
    let waited = answers.recv().unwrap();
    assert!(waited.starts_with("HTTP/1.1 204 "), "{waited}");
    assert!(arrivals.try_recv().is_err());
}
