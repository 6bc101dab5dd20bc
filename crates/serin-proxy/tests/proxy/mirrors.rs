//! Copies of requests.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use serin_routing::cohort::Key;
use serin_routing::model::Action;
use serin_routing::model::{
    HeaderOps, HeaderValue, Mirror, PathRewrite, PerMillion, Redirect, UpstreamProtocol,
};
use serin_routing::retry::Condition;
use serin_telemetry::focus::{Difference, Focus, Side, Sight};

use crate::retries::{in_turn, policy};
use crate::support::{
    Running, Setup, ask, client, cluster, connect, echo, headers, next_request, read, read_until,
    refusing, request, route, run, talk, upstream, upstream_http2,
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

/// An upstream that tells the test what it was asked, and answers with an error that nobody sees.
fn shadow() -> (SocketAddr, Receiver<String>) {
    let (tell, told) = channel();
    let address = upstream(move |mut stream| {
        let mut seen = Vec::new();
        while let Some(request) = next_request(&mut stream, &mut seen) {
            tell.send(request).unwrap();
            stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    (address, told)
}

fn mirrored(primary: SocketAddr, shadow: SocketAddr, percent: f64) -> Setup {
    let mut setup = Setup::new(primary);
    setup.clusters.push((cluster("shadow"), vec![shadow]));
    let fraction = PerMillion::from_percent(percent);
    setup.forward().mirrors = vec![Mirror { cluster: "shadow".into(), fraction }];
    setup
}

#[test]
fn t_mirror_a_copy_is_made_of_the_request_as_it_goes_upstream() {
    let (address, told) = shadow();
    let mut setup = mirrored(echo(), address, 100.0);
    setup.route().request_headers = HeaderOps {
        set: vec![("x-set".into(), HeaderValue { format: "1".into() })],
        ..HeaderOps::default()
    };
    setup.forward().path_rewrite = Some(PathRewrite::Full("/b".into()));
    setup.forward().host_rewrite = Some("other.example".into());
    let running = setup.start();
    let answer = talk(running.address, GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let copy = told.recv().unwrap();
    assert!(copy.starts_with("GET /b HTTP/1.1\r\nhost: other.example\r\n"), "{copy}");
    for expected in ["x-set: 1", "x-envoy-original-path: /a", "x-envoy-internal: true"] {
        assert!(copy.contains(expected), "{expected} is missing in {copy}");
    }
}

#[test]
fn bodies_and_trailers_are_copied() {
    let (address, told) = shadow();
    let running = mirrored(echo(), address, 100.0).start();
    let chunked = "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert!(talk(running.address, chunked).starts_with("HTTP/1.1 200 OK\r\n"));
    let copy = told.recv().unwrap();
    assert!(
        copy.contains("abc") && copy.contains("de") && copy.ends_with("\r\n0\r\nx-sum: 1\r\n\r\n"),
        "{copy}"
    );
    let length = "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    assert!(talk(running.address, length).starts_with("HTTP/1.1 200 OK\r\n"));
    let copy = told.recv().unwrap();
    assert!(copy.contains("content-length: 5\r\n") && copy.ends_with("\r\n\r\nhello"), "{copy}");
}

#[test]
fn a_mirror_may_speak_another_version() {
    let (tell, told) = channel();
    let address = upstream_http2(move |request, mut respond| {
        let tell = tell.clone();
        async move {
            let (body, trailers) = read(request.into_body()).await;
            tell.send((body, trailers.unwrap()["x-sum"].clone())).unwrap();
            respond.send_response(http::Response::new(()), true).unwrap();
        }
    });
    let mut setup = mirrored(echo(), address, 100.0);
    setup.clusters[1].0.protocol = UpstreamProtocol::Http2;
    let running = setup.start();
    run(async {
        let client = client(running.address).await;
        let trailers = headers(&[("x-sum", "7")]);
        ask(&client, request("POST", "/"), b"abc", Some(trailers)).await
    });
    assert_eq!(told.recv().unwrap(), (b"abc".to_vec(), "7".parse().unwrap()));
}

#[test]
fn a_share_of_none_copies_nothing() {
    let (address, told) = shadow();
    let running = mirrored(echo(), address, 0.0).start();
    for _ in 0..20 {
        talk(running.address, GET);
    }
    run(running.proxy.drain());
    assert!(told.try_recv().is_err());
}

#[test]
fn t_mirror_nothing_is_copied_without_a_healthy_endpoint_or_on_a_redirect() {
    let (address, told) = shadow();
    let mut setup = mirrored(echo(), address, 100.0);
    setup.clusters[0].1.clear();
    let redirect = Redirect { status: 301, scheme: None, authority: None, port: None, path: None };
    setup.routes.insert(0, route("/redirect", Action::Redirect(Box::new(redirect))));
    let running = setup.start();
    let answer = talk(running.address, GET);
    assert!(answer.ends_with("no healthy upstream"), "{answer}");
    let answer = talk(running.address, GET.replace("/a", "/redirect"));
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    run(running.proxy.drain());
    assert!(told.try_recv().is_err());
}

#[test]
fn a_mirror_that_does_not_keep_up_never_delays_the_primary() {
    // It accepts and reads nothing.
    let stuck = upstream(|stream| {
        std::mem::forget(stream);
        std::thread::park();
    });
    let primary = upstream(|mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        let mut left = 64 * 1024 * 1024;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    });
    let running = mirrored(primary, stuck, 100.0).start();
    let mut stream = connect(running.address);
    let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 67108864\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 1024 * 1024];
    for _ in 0..64 {
        stream.write_all(&piece).unwrap();
    }
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
}

#[test]
fn a_mirror_that_cannot_be_reached_changes_nothing() {
    let nobody = refusing();
    let running = mirrored(echo(), nobody, 100.0).start();
    assert!(talk(running.address, GET).starts_with("HTTP/1.1 200 OK\r\n"));
    let mut setup = mirrored(echo(), nobody, 100.0);
    setup.clusters.pop();
    assert!(talk(setup.start().address, GET).starts_with("HTTP/1.1 200 OK\r\n"));
}

/// A closer look at the versions behind a mirror.
fn focus(keys: Vec<Key>) -> Arc<Focus> {
    Focus::new(keys, |destination| match &*destination.service {
        "shadow" => Some(Side::Canary),
        _ => Some(Side::Primary),
    })
}

/// What was seen until there were so many pairs: copies end in their own time.
fn seen(running: &Running, focus: &Arc<Focus>, pairs: u64) -> Sight {
    let observer = running.proxy.observer();
    let mut sights = Vec::new();
    while sights.iter().map(|sight: &Sight| sight.pairs.all).sum::<u64>() < pairs {
        sights.push(run(observer.look_closer(focus)));
    }
    Sight::sum(sights)
}

/// How a request whose first try has this status, and that is tried again, compares with a copy that fails.
fn difference(first: &'static [&'static str], retry_on: Condition) -> Vec<Difference> {
    let (address, _told) = shadow();
    let mut setup = mirrored(in_turn(first).0, address, 100.0);
    setup.forward().retry = policy(&[retry_on]);
    let running = setup.start();
    let focus = focus(Vec::new());
    run(running.proxy.observer().look_closer(&focus));
    assert!(talk(running.address, GET).starts_with("HTTP/1.1 200 OK\r\n"));
    let sight = seen(&running, &focus, 1);
    assert_eq!((sight.primary.all.failures, sight.copies.failures), (0, 1));
    sight.pairs.differences.into_iter().map(|(_, difference)| difference).collect()
}

#[test]
fn a_request_that_was_tried_again_has_fared_no_better_than_its_copy() {
    assert_eq!(difference(&["503 No", "200 OK"], Condition::Any5xx), []);
    let failed = [Difference::CanaryFailed];
    assert_eq!(difference(&["409 Wait", "200 OK"], Condition::Retriable4xx), failed);
    assert_eq!(difference(&["200 OK"], Condition::Any5xx), failed);
}

#[test]
fn a_closer_look_pairs_requests_with_their_copies_and_knows_their_sessions() {
    let (address, told) = shadow();
    let running = mirrored(echo(), address, 100.0).start();
    let focus = focus(vec![Key::Cookie("user".into())]);
    let first = run(running.proxy.observer().look_closer(&focus));
    assert_eq!(first.primary.all.requests, 0);
    for cookie in ["user=a", "user=a", "other=b"] {
        let request = GET.replace("Connection:", &format!("Cookie: {cookie}\r\nConnection:"));
        assert!(talk(running.address, request).starts_with("HTTP/1.1 200 OK\r\n"));
        told.recv().unwrap();
    }
    let sight = seen(&running, &focus, 3);
    assert_eq!((sight.primary.all.requests, sight.primary.all.failures), (3, 0));
    assert_eq!((sight.primary.alone.requests, sight.primary.sessions.len()), (1, 1));
    assert_eq!((sight.copies.requests, sight.copies.failures), (3, 3));
    assert_eq!(sight.canary.all.requests, 0, "no user has asked it");
    let user = sight.primary.sessions.keys().next().copied();
    let mut differences = sight.pairs.differences;
    differences.sort_by_key(|(session, _)| session.is_none());
    let failed = Difference::CanaryFailed;
    assert_eq!(differences, [(user, failed), (user, failed), (None, failed)]);
}
