//! Every pair of versions, downstream and upstream: bodies and trailers both ways.

use std::io::Write;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::support::{Setup, ask, client, echo, headers, read, request, run, talk, upstream_http2};

/// An upstream that answers with the method, path, body and trailer `x-sum` it got, and with a trailer of its own.
fn telling() -> SocketAddr {
    upstream_http2(|request, mut respond| async move {
        let (head, body) = request.into_parts();
        let (body, trailers) = read(body).await;
        let sum = trailers.and_then(|trailers| trailers.get("x-sum").cloned());
        let text = format!(
            "{} {} {} sum={sum:?} te={:?}",
            head.method,
            head.uri,
            String::from_utf8_lossy(&body),
            head.headers.get("te")
        );
        let response = http::Response::builder().header("x-up", "2").body(()).unwrap();
        let mut send = respond.send_response(response, false).unwrap();
        send.send_data(Bytes::from(text), false).unwrap();
        send.send_trailers(headers(&[("x-end", "yes")])).unwrap();
    })
}

/// The same over HTTP/1.
fn telling_http1() -> SocketAddr {
    crate::support::answering(|request| {
        let text = request.replace("\r\n", "|");
        format!(
            "HTTP/1.1 200 OK\r\nX-Up: 1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\nX-End: yes\r\n\r\n",
            text.len()
        )
    })
}

const CHUNKED: &str = "POST /a HTTP/1.1\r\nHost: echo.example\r\nTE: trailers\r\nConnection: close, te\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";

#[test]
fn http1_to_http1() {
    let running = Setup::new(telling_http1()).start();
    let answer = talk(running.address, CHUNKED);
    assert!(answer.contains("|transfer-encoding: chunked||3|abc|0|x-sum: 7||"), "{answer}");
    assert!(answer.contains("\r\n0\r\nx-end: yes\r\n\r\n"), "{answer}");
}

#[test]
fn http1_to_http2() {
    let running = Setup::http2(telling()).start();
    let answer = talk(running.address, CHUNKED);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("POST http://echo.example/a abc sum=Some(\"7\") te=Some(\"trailers\")"),
        "{answer}"
    );
    assert!(answer.contains("\r\n0\r\nx-end: yes\r\n\r\n"), "{answer}");
}

#[test]
fn http2_to_http1() {
    let running = Setup::new(telling_http1()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("POST", "/a"), b"abc", Some(headers(&[("x-sum", "7")]))).await
    });
    assert_eq!(answer.status, 200);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.starts_with("POST /a HTTP/1.1|host: echo.example|"), "{body}");
    assert!(body.contains("|transfer-encoding: chunked||3|abc|0|x-sum: 7||"), "{body}");
    assert_eq!(answer.trailers.unwrap()["x-end"], "yes");
    assert_eq!(answer.headers["x-up"], "1");
    assert!(!answer.headers.contains_key("transfer-encoding"));
}

#[test]
fn http2_to_http2() {
    let running = Setup::http2(telling()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("POST", "/a"), b"abc", Some(headers(&[("x-sum", "7")]))).await
    });
    let body = String::from_utf8(answer.body).unwrap();
    assert_eq!(body, "POST http://echo.example/a abc sum=Some(\"7\") te=None");
    assert_eq!(answer.trailers.unwrap()["x-end"], "yes");
    assert_eq!(answer.headers["server"], "istio-envoy");
}

#[test]
fn requests_without_a_body_stay_without_one() {
    let running = Setup::new(echo()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("GET", "/a"), b"", None).await
    });
    let body = String::from_utf8(answer.body).unwrap();
    assert!(!body.contains("transfer-encoding") && !body.contains("content-length"), "{body}");
    let running = Setup::http2(telling()).start();
    let answer =
        talk(running.address, "GET /a HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("GET http://echo.example/a  sum=None"), "{answer}");
}

#[test]
fn large_bodies_go_through_in_both_directions() {
    let big = "x".repeat(3_000_000);
    let from_http1 = Setup::http2(telling()).start();
    let to_http1 = Setup::new(echo()).start();
    run(async {
        let client = client(to_http1.address).await;
        let mut client = client.ready().await.unwrap();
        let head = request("POST", "/big").header("content-length", "3000000").body(()).unwrap();
        let (response, mut send) = client.send_request(head, false).unwrap();
        send.send_data(Bytes::from(big.clone()), true).unwrap();
        let (body, _) = read(response.await.unwrap().into_body()).await;
        assert!(body.ends_with(b"xxx") && body.len() > 3_000_000, "{}", body.len());
    });
    let mut stream = crate::support::connect(from_http1.address);
    write!(stream, "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{big}", big.len()).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(answer.len() > 3_000_000, "{}", answer.len());
}
