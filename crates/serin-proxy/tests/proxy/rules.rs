//! What rules say, as clients and upstreams see it.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serin_routing::balancer;
use serin_routing::model::*;

use crate::support::{Setup, answering, cluster, connect, echo, read_until, route, talk, upstream};

const GET: &str = "GET /a?q HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

#[test]
fn header_changes_reach_the_upstream_and_the_client() {
    let mut setup = Setup::new(echo());
    let value = |text: &str| HeaderValue { format: text.into() };
    setup.route().request_headers =
        HeaderOps { set: vec![("x-to-up".into(), value("%REQ(:path)%"))], ..HeaderOps::default() };
    setup.route().response_headers = HeaderOps {
        remove: vec!["x-up".into()],
        add: vec![("x-to-down".into(), value("1"))],
        ..HeaderOps::default()
    };
    let answer = talk(setup.start().address, GET);
    assert!(answer.contains("x-to-up: /a?q\r\n"), "{answer}");
    assert!(answer.contains("x-to-down: 1\r\n") && !answer.contains("x-up: 1"), "{answer}");
}

#[test]
fn a_timeout_is_answered_with_504_and_counts_from_the_end_of_the_request() {
    let silent = upstream(|mut stream| {
        let mut seen = Vec::new();
        while crate::support::next_request(&mut stream, &mut seen).is_some() {}
    });
    let mut setup = Setup::new(silent);
    setup.forward().timeout = Some(Duration::from_millis(20));
    let answer = talk(setup.start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    assert!(answer.ends_with("upstream request timeout"), "{answer}");
}

fn get(setup: Setup, path: &str, fields: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: echo.example\r\n{fields}Connection: close\r\n\r\n");
    talk(setup.start().address, request)
}

#[test]
fn redirects_and_direct_responses_need_no_upstream() {
    let mut setup = Setup::new(echo());
    let redirect = Redirect {
        status: 308,
        scheme: Some("https".into()),
        authority: Some("new.example".into()),
        port: None,
        path: Some(PathRedirect::Full("/there".into())),
    };
    let direct = DirectResponse { status: 418, body: b"short and stout"[..].into() };
    setup.routes = vec![
        route("/old", Action::Redirect(Box::new(redirect))),
        route("/teapot", Action::Direct(direct)),
    ];
    let running = setup.start();
    let ask = |path: &str| talk(running.address, GET.replace("/a", path));
    let answer = ask("/old");
    assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{answer}");
    assert!(answer.contains("\r\nlocation: https://new.example/there?q\r\n"), "{answer}");
    let answer = ask("/teapot");
    assert!(
        answer.starts_with("HTTP/1.1 418 ") && answer.ends_with("\r\n\r\nshort and stout"),
        "{answer}"
    );
    assert!(answer.contains("\r\ncontent-type: text/plain\r\n"), "{answer}");
    assert!(ask("/other").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn rewrites_change_what_the_upstream_sees() {
    let mut setup = Setup::new(echo());
    setup.route().condition.path = PathMatch::Prefix("/a".into());
    setup.forward().path_rewrite = Some(PathRewrite::Prefix("/new".into()));
    setup.forward().host_rewrite = Some("up.example".into());
    let answer = get(setup, "/a/b?c", "");
    assert!(answer.contains("GET /new/b?c HTTP/1.1\r\nhost: up.example\r\n"), "{answer}");
    assert!(answer.contains("x-envoy-original-path: /a/b?c\r\n"), "{answer}");
}

#[test]
fn weights_share_requests_out() {
    let mut setup = Setup::new(answering(|_| {
        "HTTP/1.1 200 One\r\nX-V: 1\r\nContent-Length: 0\r\n\r\n".to_owned()
    }));
    let second =
        answering(|_| "HTTP/1.1 200 Two\r\nX-V: 2\r\nContent-Length: 0\r\n\r\n".to_owned());
    setup.clusters.push((cluster("second"), vec![second]));
    setup.forward().destinations = Destinations::new(vec![
        Destination::new("up".into(), 25),
        Destination::new("second".into(), 75),
    ]);
    let running = setup.start();
    let second = (0..200).filter(|_| talk(running.address, GET).contains("x-v: 2")).count();
    // Nine standard deviations on either side.
    assert!((95..=199).contains(&second), "{second}");
}

#[test]
fn values_of_headers_may_tell_of_the_way() {
    let up = echo();
    let mut setup = Setup::new(up);
    let value = |text: &str| HeaderValue { format: text.into() };
    let set = |text| HeaderOps { set: vec![("x-way".into(), value(text))], ..HeaderOps::default() };
    setup.route().request_headers = set("%PROTOCOL% %UPSTREAM_CLUSTER%%UPSTREAM_HOST%");
    setup.route().response_headers = set(
        "%RESPONSE_CODE% %UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT% %RESP(x-up)% %UPSTREAM_CLUSTER%",
    );
    let answer = talk(setup.start().address, GET);
    assert!(answer.contains("x-way: HTTP/1.1 up\r\n"), "{answer}");
    let told = format!("x-way: 200 {up} {} 1 up\r\n", up.port());
    assert!(answer.contains(&told), "{told} in {answer}");
}

#[test]
fn t_fault_aborts_and_delays_come_before_the_upstream() {
    let mut setup = Setup::new(echo());
    let abort = Abort { status: AbortStatus::Http(418), fraction: PerMillion::ALL };
    setup.route().fault = Some(Fault { delay: None, abort: Some(abort) });
    let answer = get(setup, "/", "");
    assert!(
        answer.starts_with("HTTP/1.1 418 ") && answer.ends_with("fault filter abort"),
        "{answer}"
    );
    let mut setup = Setup::new(echo());
    let duration = Duration::from_millis(60);
    let delay = Delay { duration, fraction: PerMillion::ALL };
    setup.route().fault = Some(Fault { delay: Some(delay), abort: None });
    // The rule's timeout does not count the delay.
    setup.forward().timeout = Some(Duration::from_secs(15));
    let running = setup.start();
    let started = Instant::now();
    let answer = talk(running.address, GET);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // What the upstream took is told without it.
    let took = duration + service_time(&answer).unwrap();
    assert!((duration..=started.elapsed()).contains(&took), "{took:?} in {answer}");
}

/// What an answer says that the upstream took.
fn service_time(answer: &str) -> Option<Duration> {
    let (_, rest) = answer.split_once("x-envoy-upstream-service-time: ")?;
    rest.split_once("\r\n")?.0.parse().map(Duration::from_millis).ok()
}

#[test]
fn the_time_of_the_upstream_counts_from_the_end_of_the_request() {
    let running = Setup::new(echo()).start();
    let mut stream = connect(running.address);
    let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 4\r\n\r\nbo";
    stream.write_all(head.as_bytes()).unwrap();
    // Nothing comes before that.
    stream.set_read_timeout(Some(Duration::from_millis(60))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(serin_testkit::PATIENCE)).unwrap();
    let whole = Instant::now();
    stream.write_all(b"dy").unwrap();
    let answer = read_until(&mut stream, "\r\n\r\nbody");
    let took = service_time(&answer).unwrap();
    assert!(took <= whole.elapsed(), "{took:?} in {answer}");
    // Before that, nothing can be said.
    let early = upstream(|mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").unwrap();
        // What is left is read, or its loss would break the answer.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let running = Setup::new(early).start();
    let mut stream = connect(running.address);
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_until(&mut stream, "\r\n\r\nearly");
    assert!(answer.starts_with("HTTP/1.1 200 ") && service_time(&answer).is_none(), "{answer}");
}

#[test]
fn preflights_are_answered_and_answers_are_allowed() {
    let setup = || {
        let mut setup = Setup::new(echo());
        setup.route().cors = Some(Cors {
            allow_origins: vec![ValueMatch::Exact("https://a.example".into())],
            allow_methods: "GET,PUT".into(),
            expose_headers: "x-up".into(),
            max_age: Some(Duration::from_secs(60)),
            ..Cors::default()
        });
        setup
    };
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: echo.example\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n";
    let answer = talk(setup().start().address, preflight);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("x-up: 1"), "{answer}");
    for expected in [
        "access-control-allow-origin: https://a.example",
        "access-control-allow-methods: GET,PUT",
        "access-control-max-age: 60",
    ] {
        assert!(answer.contains(expected), "{expected} is missing in {answer}");
    }
    let answer = get(setup(), "/", "Origin: https://a.example\r\n");
    assert!(answer.contains("access-control-allow-origin: https://a.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-expose-headers: x-up\r\n"), "{answer}");
    let answer = get(setup(), "/", "Origin: https://b.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("access-control-"), "{answer}");
}

#[test]
fn a_session_cookie_is_made_once_and_leads_to_the_same_endpoint() {
    let named = |name: &'static str| {
        answering(move |_| {
            format!("HTTP/1.1 200 OK\r\nX-Name: {name}\r\nContent-Length: 0\r\n\r\n")
        })
    };
    let mut setup = Setup::new(named("one"));
    setup.clusters[0].1.extend([named("two"), named("three")]);
    setup.cluster().balancer = balancer::Policy::RingHash { minimum_ring_size: 1024 };
    setup.forward().hash = vec![HashPolicy {
        key: HashKey::Cookie {
            name: "session".into(),
            path: Some("/".into()),
            ttl: Some(Duration::from_secs(60)),
            attributes: Vec::new(),
        },
        terminal: false,
    }];
    let running = setup.start();
    let name = |answer: &str| answer.split("x-name: ").nth(1).unwrap()[..3].to_owned();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let first = talk(running.address, GET);
        let cookie = first.split("set-cookie: session=").nth(1).unwrap();
        let value = cookie.split([';', '\r']).next().unwrap().trim_matches('"');
        assert!(cookie.contains("Max-Age=60"), "{first}");
        let again = GET.replace("\r\nConn", &format!("\r\nCookie: a=b; session={value}\r\nConn"));
        for _ in 0..3 {
            let answer = talk(running.address, &again);
            assert_eq!(name(&answer), name(&first));
            assert!(!answer.contains("set-cookie"), "{answer}");
        }
        names.insert(name(&first));
    }
    assert!(names.len() > 1, "{names:?}");
}

#[test]
fn what_strangers_say_to_steer_the_proxy_is_taken_out() {
    let fields = "X-Envoy-Max-Retries: 9\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\nX-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 1\r\nX-Envoy-Force-Trace: 1\r\nX-Envoy-Internal: true\r\nX-Forwarded-Proto: https\r\n";
    let answer = get(Setup::new(echo()), "/", fields);
    for name in ["max-retries", "retry-on", "timeout-ms", "force-trace", "x-envoy-internal"] {
        assert!(!answer.contains(name), "{name} is in {answer}");
    }
    assert!(answer.contains("x-forwarded-proto: http\r\n"), "{answer}");
}

#[test]
fn inside_the_mesh_a_client_may_set_its_timeout() {
    let silent = upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for field in ["X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms"] {
        let mut setup = Setup::new(silent);
        setup.http.use_remote_address = false;
        let answer = get(setup, "/", &format!("{field}: 20\r\n"));
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    }
}
