//! HTTP/1 from clients.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::support::{
    Running, Setup, answering, client, connect, echo, next_request, read_until, request, run, talk,
    upstream,
};

fn start() -> (Running, SocketAddr) {
    let running = Setup::new(echo()).start();
    let address = running.address;
    (running, address)
}

#[test]
fn a_request_goes_through_and_its_answer_comes_back() {
    let (_proxy, address) = start();
    let answer = talk(
        address,
        "GET /a/../b?c HTTP/1.1\r\nHost: echo.example\r\nX-Mixed-CASE: 1\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for expected in [
        "server: istio-envoy",
        "x-up: 1",
        "GET /b?c HTTP/1.1",
        "host: echo.example",
        "x-mixed-case: 1",
        "x-forwarded-for: 127.0.0.1",
        "x-request-id: ",
    ] {
        assert!(answer.contains(expected), "{expected} is missing in {answer}");
    }
    assert!(!answer.contains("x-hop"), "{answer}");
}

#[test]
fn bodies_go_both_ways_by_length_and_in_chunks() {
    let (_proxy, address) = start();
    let pipelined = "POST /1 HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 5\r\n\r\nhelloPOST /2 HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = talk(address, pipelined);
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.contains("\r\n\r\nhello"), "{answer}");
    assert!(answer.contains("3\r\nabc\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn an_unknown_host_is_answered_with_404() {
    let (_proxy, address) = start();
    let answer =
        talk(address, "GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}

#[test]
fn what_cannot_be_read_is_refused_and_the_connection_closed() {
    let (_proxy, address) = start();
    let answer = talk(
        address,
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[test]
fn the_proxy_itself_asks_for_a_body_that_waits_to_be_asked_for() {
    let (_running, address) = start();
    let mut stream = connect(address);
    let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    let answer = read_until(&mut stream, "\r\n\r\nok");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("expect"), "{answer}");
}

#[test]
fn interim_answers_go_on_except_to_http_10() {
    let early = || {
        answering(|_| {
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
        })
    };
    let running = Setup::new(early()).start();
    let get = |version| {
        format!("GET / HTTP/{version}\r\nHost: echo.example\r\nConnection: close\r\n\r\n")
    };
    let answer = talk(running.address, get("1.1"));
    assert!(
        answer.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{answer}"
    );
    let answer = talk(running.address, get("1.0"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let informed = run(async {
        let client = client(running.address).await;
        let mut client = client.ready().await.unwrap();
        let (mut response, _) =
            client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
        (interim.unwrap().unwrap().status().as_u16(), response.await.unwrap().status().as_u16())
    });
    assert_eq!(informed, (103, 200));
}

#[test]
fn http_10_is_refused_where_it_is_not_accepted() {
    let mut setup = Setup::new(echo());
    setup.http.accept_http_10 = false;
    let running = setup.start();
    let answer = talk(running.address, "GET / HTTP/1.0\r\nHost: echo.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
}

#[test]
fn the_head_of_an_answer_does_not_wait_for_its_body() {
    let up = upstream(|mut stream| {
        next_request(&mut stream, &mut Vec::new());
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        // The body comes when the client has said that it has the head.
        next_request(&mut stream, &mut Vec::new());
    });
    let running = Setup::new(up).start();
    let mut stream = connect(running.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: echo.example\r\n\r\n").unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn an_answer_before_the_end_of_the_request_leaves_the_connection_in_use() {
    let up = upstream(|mut stream| {
        let mut seen = [0; 64 * 1024];
        let _ = stream.read(&mut seen).unwrap();
        stream
            .write_all(
                b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .unwrap();
    });
    let running = Setup::new(up).start();
    let mut stream = connect(running.address);
    let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 413 "));
    stream.write_all(b"helloPOST / HTTP/1.1\r\nHost: other\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_connection_ends_by_drain_after_its_request() {
    let (running, address) = start();
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: echo.example\r\n\r\n").unwrap();
    read_until(&mut stream, "x-envoy-attempt-count: 1\r\n\r\n");
    run(running.proxy.drain());
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}
