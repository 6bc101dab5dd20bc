//! HTTP/2 from clients and towards upstreams.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use serin_routing::model::UpstreamProtocol;
use serin_routing::retry::{self, Condition};

use crate::support::{
    Setup, answering, ask, client, echo, next_request, read, request, run, talk, upstream,
    upstream_http2,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

#[test]
fn prior_knowledge_is_known_by_the_first_bytes() {
    let running = Setup::new(echo()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("GET", "/x?y"), b"", None).await
    });
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with(b"GET /x?y HTTP/1.1\r\nhost: echo.example\r\n"));
}

#[test]
fn streams_are_handled_side_by_side() {
    // No request is answered before all of them have arrived.
    let arrived = Arc::new(std::sync::Barrier::new(50));
    let up = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        arrived.wait();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let running = Setup::new(up).start();
    run(async {
        let client = client(running.address).await;
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { ask(&client, request("GET", "/"), b"", None).await })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap().status, 204);
        }
    });
}

#[test]
fn what_a_client_breaks_off_is_broken_off_upstream() {
    let (gone, is_gone) = mpsc::channel();
    let up = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        let _ = gone.send(stream.read(&mut [0]).unwrap_or(0));
    });
    let running = Setup::new(up).start();
    run(async {
        let client = client(running.address).await;
        let mut client = client.ready().await.unwrap();
        let (response, mut send) =
            client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        send.send_data(Bytes::from_static(b"x"), true).unwrap();
        tokio::task::yield_now().await;
        send.send_reset(h2::Reason::CANCEL);
        assert!(response.await.is_err());
        let count = tokio::task::spawn_blocking(move || is_gone.recv().unwrap()).await.unwrap();
        assert_eq!(count, 0);
    });
}

#[test]
fn hosts_that_differ_and_lengths_that_lie_are_refused() {
    let running = Setup::new(echo()).start();
    run(async {
        let client = client(running.address).await;
        let differ = request("GET", "/").header("host", "other.example");
        assert_eq!(ask(&client, differ, b"", None).await.status, 400);
        let user = http::Request::get("http://user@echo.example/");
        assert_eq!(ask(&client, user, b"", None).await.status, 400);
        let many = (0..101).fold(request("GET", "/"), |it, _| it.header("x-many", "1"));
        assert_eq!(ask(&client, many, b"", None).await.status, 431);
        // The connection goes on.
        assert_eq!(ask(&client, request("GET", "/"), b"", None).await.status, 200);
    });
}

#[test]
fn crumbs_of_cookies_are_joined_for_the_upstream() {
    let running = Setup::new(echo()).start();
    let answer = run(async {
        let client = client(running.address).await;
        let request = request("GET", "/").header("cookie", "a=1").header("cookie", "b=2");
        ask(&client, request, b"", None).await
    });
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("\r\ncookie: a=1; b=2\r\n"), "{body}");
}

#[test]
fn a_drain_says_goodbye_and_lets_streams_finish() {
    let (asked, was_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let up = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        asked.send(()).unwrap();
        may_go.lock().unwrap().recv().unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let running = Setup::new(up).start();
    let address = running.address;
    run(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = tokio::spawn({
            let client = client.clone();
            async move { ask(&client, request("GET", "/"), b"", None).await }
        });
        tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
        let drained = tokio::spawn(running.proxy.drain());
        // The goodbye comes while the stream is open.
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        assert_eq!(answer.await.unwrap().status, 204);
        drop(client);
        let _ = connection.await.unwrap();
        drained.await.unwrap();
    });
}

/// Answers the n-th request on the whole upstream as `answer` says.
fn counting<F>(
    answer: impl Fn(u32, h2::server::SendResponse<Bytes>) -> F + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let count = AtomicU32::new(0);
    upstream_http2(move |_, respond| answer(count.fetch_add(1, Ordering::SeqCst), respond))
}

fn ok() -> http::Response<()> {
    http::Response::new(())
}

#[test]
fn a_refused_stream_is_tried_again() {
    let up = counting(|number, mut respond| async move {
        if number == 0 {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        } else {
            respond.send_response(ok(), true).unwrap();
        }
    });
    let mut setup = Setup::http2(up);
    setup.forward().retry =
        Some(retry::Policy { retry_on: vec![Condition::RefusedStream], ..retry::Policy::none() });
    let answer = talk(setup.start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_stream_that_is_reset_is_answered_with_503() {
    let up = counting(|_, mut respond| async move { respond.send_reset(h2::Reason::CANCEL) });
    let answer = talk(Setup::http2(up).start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("reset the request"), "{answer}");
}

/// What an HTTP/1 client gets of an upstream's answer.
fn told<F>(answer: impl Fn(h2::server::SendResponse<Bytes>) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + 'static,
{
    let up = upstream_http2(move |_, respond| answer(respond));
    talk(Setup::http2(up).start().address, GET)
}

fn with_status(status: u16) -> http::Response<()> {
    http::Response::builder().status(status).body(()).unwrap()
}

#[test]
fn what_follows_a_status_without_a_body_is_left_out() {
    for status in [204, 304] {
        let answer = told(move |mut respond| async move {
            let mut send = respond.send_response(with_status(status), false).unwrap();
            // It may have been reset by then.
            let _ = send.send_data(Bytes::from_static(b"unwanted"), true);
        });
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("transfer-encoding"), "{answer}");
    }
    let answer = told(|mut respond| async move {
        let mut response = with_status(204);
        response.headers_mut().insert("content-length", 0.into());
        respond.send_response(response, true).unwrap();
    });
    assert!(!answer.contains("content-length"), "{answer}");
}

#[test]
fn trailers_that_would_frame_a_message_are_left_out() {
    let answer = told(|mut respond| async move {
        let mut send = respond.send_response(ok(), false).unwrap();
        send.send_data(Bytes::from_static(b"body"), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("content-length", 4.into());
        trailers.insert("x-sum", 1.into());
        send.send_trailers(trailers).unwrap();
    });
    assert!(answer.ends_with("\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n"), "{answer}");
}

#[test]
fn an_answer_with_too_many_fields_or_a_reset_for_its_faults_is_malformed() {
    let many = told(|mut respond| async move {
        let mut response = ok();
        for number in 0..101 {
            response.headers_mut().append("x-a", number.into());
        }
        respond.send_response(response, true).unwrap();
    });
    assert!(many.starts_with("HTTP/1.1 502 "), "{many}");
    let reset = told(|mut respond| async move { respond.send_reset(h2::Reason::PROTOCOL_ERROR) });
    assert!(reset.starts_with("HTTP/1.1 502 "), "{reset}");
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let up = counting(|_, mut respond| async move {
        let mut send = respond.send_response(ok(), false).unwrap();
        send.send_data(Bytes::from_static(b"half"), false).unwrap();
        // The reset must not overtake the data.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        send.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let running = Setup::http2(up).start();
    let answer = talk(running.address, GET);
    assert!(answer.contains("half") && !answer.contains("\r\n0\r\n"), "{answer}");
    run(async {
        let client = client(running.address).await;
        let mut client = client.ready().await.unwrap();
        let (response, _) =
            client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let ended = loop {
            match body.data().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        };
        assert!(matches!(ended, Some(Err(_))), "{ended:?}");
    });
}

#[test]
fn the_clients_version_can_be_kept_upstream() {
    let up = upstream_http2(|request, mut respond| async move {
        let version = format!("{:?}", request.version());
        let mut send = respond.send_response(ok(), false).unwrap();
        send.send_data(Bytes::from(version), true).unwrap();
    });
    let mut setup = Setup::new(up);
    setup.cluster().protocol = UpstreamProtocol::SameAsDownstream;
    let running = setup.start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("GET", "/"), b"", None).await
    });
    assert_eq!(answer.body, b"HTTP/2.0");
    let mut setup = Setup::new(echo());
    setup.cluster().protocol = UpstreamProtocol::SameAsDownstream;
    let answer = talk(setup.start().address, GET);
    assert!(answer.contains("GET / HTTP/1.1\r\n"), "{answer}");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_answered_with_503() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for setup in [Setup::new(nobody), Setup::http2(nobody)] {
        let answer = talk(setup.start().address, GET);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.ends_with("no connection to the upstream"), "{answer}");
    }
}

#[test]
fn a_slow_reader_slows_the_upstream_down() {
    let (sent, how_much) = mpsc::channel();
    let up = upstream(move |mut stream| {
        next_request(&mut stream, &mut Vec::new());
        stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
        let mut total = 0_usize;
        while let Ok(count) = stream.write(&[b'x'; 64 * 1024]) {
            total += count;
        }
        sent.send(total).unwrap();
    });
    let running = Setup::new(up).start();
    run(async {
        let client = client(running.address).await;
        let mut client = client.ready().await.unwrap();
        let (response, _) =
            client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        let _unread = response.await.unwrap().into_body();
        let total = tokio::task::spawn_blocking(move || how_much.recv().unwrap()).await.unwrap();
        // What the sockets' own buffers hold, and little more.
        assert!(total < 32 * 1024 * 1024, "{total}");
    });
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let up = answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned());
    let running = Setup::new(up).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("HEAD", "/"), b"", None).await
    });
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-length"], "5");
}

#[test]
fn bytes_flow_both_ways_at_once() {
    let up = upstream_http2(|request, mut respond| async move {
        let mut send = respond.send_response(ok(), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(piece)) = body.data().await {
            body.flow_control().release_capacity(piece.len()).unwrap();
            send.send_data(piece, false).unwrap();
        }
        send.send_data(Bytes::new(), true).unwrap();
    });
    let running = Setup::http2(up).start();
    run(async {
        let client = client(running.address).await;
        let mut client = client.ready().await.unwrap();
        let (response, mut send) =
            client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            send.send_data(Bytes::from(word), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), word);
        }
        send.send_data(Bytes::new(), true).unwrap();
        assert_eq!(read(body).await.0, b"");
    });
}
