//! WebSocket and other upgrades, and `CONNECT`.

use std::io::{Read, Write};
use std::net::SocketAddr;

use bytes::Bytes;

use crate::support::{
    Setup, answering, client, connect, echo, next_request, read, read_until, run, talk, upstream,
    upstream_http2,
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: echo.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Agrees to the upgrade, greets, and then sends back what it gets until the other side ends.
fn websocket() -> SocketAddr {
    upstream(|mut stream| {
        let request = next_request(&mut stream, &mut Vec::new()).unwrap();
        assert!(request.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{request}");
        assert!(request.contains("sec-websocket-key: "), "{request}");
        assert!(request.starts_with("GET /chat HTTP/1.1\r\n"), "{request}");
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\nhello").unwrap();
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
        stream.write_all(b"bye").unwrap();
    })
}

#[test]
fn bytes_are_passed_on_both_ways_after_an_upgrade() {
    let running = Setup::new(websocket()).start();
    let mut stream = connect(running.address);
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.contains("\r\nupgrade: websocket\r\n") && head.contains("\r\nconnection: upgrade\r\n"),
        "{head}"
    );
    assert!(head.contains("sec-websocket-accept: abc"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert!(!head.contains("service-time"), "{head}");
    read_until(&mut stream, "hello");
    for text in ["one", "two"] {
        stream.write_all(text.as_bytes()).unwrap();
        read_until(&mut stream, text);
    }
    // Each direction ends by itself.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bye");
}

#[test]
fn an_upgrade_that_the_upstream_declines_is_an_ordinary_request() {
    let up = answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_owned());
    let running = Setup::new(up).start();
    let mut stream = connect(running.address);
    for _ in 0..2 {
        stream.write_all(UPGRADE.as_bytes()).unwrap();
        let answer = read_until(&mut stream, "\r\n\r\nno");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[test]
fn upgrades_are_refused_where_the_rule_or_the_listener_does_not_pass_them_on() {
    let mut setup = Setup::new(echo());
    setup.forward().allow_upgrade = false;
    let running = setup.start();
    let answer = talk(running.address, UPGRADE.replace("keep-alive", "close"));
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    let running = Setup::new(echo()).start();
    let other = UPGRADE.replace("WebSocket\r\n", "spdy/3\r\n").replace("keep-alive", "close");
    let answer = talk(running.address, other);
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
}

#[test]
fn an_offer_to_speak_http2_in_clear_text_is_not_taken_up() {
    let running = Setup::new(echo()).start();
    let answer = talk(
        running.address,
        "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains("upgrade") && !answer.contains("http2-settings"), "{answer}");
}

#[test]
fn connect_finds_no_route() {
    let running = Setup::new(echo()).start();
    let answer = talk(
        running.address,
        "CONNECT echo.example:443 HTTP/1.1\r\nHost: echo.example:443\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}

/// Opens a WebSocket over HTTP/2 (RFC 8441), and talks over it.
async fn chat(address: SocketAddr) {
    let client = client(address).await;
    let mut client = client.ready().await.unwrap();
    // The server says with its settings that it takes extended CONNECT.
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let request = http::Request::connect("http://echo.example/chat")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let (response, mut send) = client.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("upgrade"));
    let mut body = response.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "hello");
    send.send_data(Bytes::from_static(b"one"), false).unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "one");
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "bye");
    assert_eq!(read(body).await.0, b"");
}

#[test]
fn a_websocket_over_http2_becomes_an_upgrade_over_http1() {
    let running = Setup::new(websocket()).start();
    run(chat(running.address));
}

/// The same as [`websocket`] over HTTP/2.
fn websocket_http2() -> SocketAddr {
    upstream_http2(|request, mut respond| async move {
        let protocol = request.extensions().get::<h2::ext::Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        assert!(!request.headers().contains_key("sec-websocket-key"));
        let mut send = respond.send_response(http::Response::new(()), false).unwrap();
        send.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(piece)) = body.data().await {
            body.flow_control().release_capacity(piece.len()).unwrap();
            if !piece.is_empty() {
                send.send_data(piece, false).unwrap();
            }
        }
        send.send_data(Bytes::from_static(b"bye"), true).unwrap();
    })
}

#[test]
fn a_websocket_over_http2_stays_one_over_http2() {
    let running = Setup::http2(websocket_http2()).start();
    run(chat(running.address));
}

#[test]
fn a_websocket_over_http1_becomes_one_over_http2() {
    let running = Setup::http2(websocket_http2()).start();
    let mut stream = connect(running.address);
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    stream.write_all(UPGRADE.replace("a2V5", key).as_bytes()).unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    read_until(&mut stream, "hello");
    stream.write_all(b"one").unwrap();
    read_until(&mut stream, "one");
}
