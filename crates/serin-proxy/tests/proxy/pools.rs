//! Connections to endpoints: how long they are used, and when there are several.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serin_routing::model::Http2KeepAlive;

use crate::support::{
    Running, Setup, ask, client, echo, next_request, request, run, talk, upstream, upstream_http2,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

/// Counts the connections to an upstream on their way.
fn counted(real: SocketAddr) -> (SocketAddr, Receiver<u16>) {
    let (tell, told) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut down = stream.unwrap();
            let _ = tell.send(down.peer_addr().unwrap().port());
            let mut up = TcpStream::connect(real).unwrap();
            let (mut from, mut to) = (down.try_clone().unwrap(), up.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut up, &mut down);
                let _ = down.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (address, told)
}

fn echo_http2() -> SocketAddr {
    upstream_http2(|_, mut respond| async move {
        respond.send_response(http::Response::new(()), true).unwrap();
    })
}

fn ask_often(running: &Running, times: usize) {
    for _ in 0..times {
        let answer = talk(running.address, GET);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_connection_is_used_again_as_long_as_it_may() {
    type Make = fn(SocketAddr) -> Setup;
    let kinds: [(Make, fn() -> SocketAddr); 2] = [(Setup::new, echo), (Setup::http2, echo_http2)];
    for (setup, real) in kinds {
        let (address, connections) = counted(real());
        ask_often(&setup(address).start(), 5);
        assert_eq!(connections.try_iter().count(), 1);
        let mut limited = setup(address);
        limited.cluster().limits.max_requests_per_connection = 2;
        ask_often(&limited.start(), 5);
        assert_eq!(connections.try_iter().count(), 3);
        let mut short = setup(address);
        short.cluster().limits.max_connection_duration = Some(Duration::ZERO);
        ask_often(&short.start(), 3);
        assert_eq!(connections.try_iter().count(), 3);
    }
}

#[test]
fn more_streams_than_a_connection_takes_open_another() {
    let (arrived, arrivals) = channel();
    let real = upstream_http2(move |_, mut respond| {
        let _ = arrived.send(());
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            respond.send_response(http::Response::new(()), true).unwrap();
        }
    });
    let (address, connections) = counted(real);
    let mut setup = Setup::http2(address);
    setup.cluster().limits.max_concurrent_streams = 2;
    let running = setup.start();
    run(async {
        let client = client(running.address).await;
        let asked: Vec<_> = (0..6)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { ask(&client, request("GET", "/"), b"", None).await })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap().status, 200);
        }
    });
    assert_eq!(arrivals.try_iter().count(), 6);
    let count = connections.try_iter().count();
    assert!((2..=3).contains(&count), "{count}");
}

/// The frames that begin a connection: settings, and their acknowledgement.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

#[test]
fn a_connection_that_does_not_answer_pings_is_given_up() {
    let (tell, told) = channel();
    let address = upstream(move |mut stream| {
        stream.write_all(&[SETTINGS, SETTINGS_ACK].concat()).unwrap();
        // The first ping is answered, as it asks only for the settings; nothing is after that.
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let mut answered = false;
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
            let ping = seen.windows(9).position(|it| it == [0, 0, 8, 6, 0, 0, 0, 0, 0]);
            if let (false, Some(at)) = (answered, ping)
                && seen.len() >= at + 17
            {
                let pong = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], &seen[at + 9..at + 17]].concat();
                stream.write_all(&pong).unwrap();
                answered = true;
            }
        }
        let _ = tell.send(answered);
    });
    let mut setup = Setup::http2(address);
    setup.cluster().http2_keep_alive = Some(Http2KeepAlive {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(20),
    });
    let answer = talk(setup.start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(told.recv().unwrap());
}

#[test]
fn requests_go_elsewhere_after_a_goodbye() {
    let (address, connections) = counted(upstream(|mut stream| {
        // One stream is answered, with the goodbye before the answer.
        stream.write_all(&[SETTINGS, SETTINGS_ACK].concat()).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(9).any(|it| it[3] == 1 && it[5..] == [0, 0, 0, 1]) {
            let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
            seen.extend_from_slice(&buffer[..count]);
        }
        let goodbye = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let answer = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];
        stream.write_all(&goodbye).unwrap();
        stream.write_all(&answer).unwrap();
        let _ = stream.read_to_end(&mut seen);
    }));
    ask_often(&Setup::http2(address).start(), 3);
    assert_eq!(connections.try_iter().count(), 3);
}

#[test]
fn a_connection_with_an_unfinished_request_is_not_used_again() {
    // It answers as soon as the head is there, and reads no body.
    let (tell, told) = channel();
    let address = upstream(move |mut stream| {
        crate::support::read_until(&mut stream, "\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        tell.send(()).unwrap();
        std::thread::park();
    });
    let running = Setup::new(address).start();
    for _ in 0..2 {
        let mut stream = crate::support::connect(running.address);
        let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 100000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let answer = crate::support::read_until(&mut stream, "\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        told.recv().unwrap();
    }
}

/// An upstream that hands over its connections once a request has come.
fn held() -> (SocketAddr, Receiver<TcpStream>) {
    let (tell, told) = channel();
    let address = upstream(move |mut stream| {
        if next_request(&mut stream, &mut Vec::new()).is_some() {
            let _ = tell.send(stream);
        }
    });
    (address, told)
}

#[test]
fn room_under_the_limit_goes_to_those_that_wait_for_another_endpoint() {
    let (one, two) = (held(), held());
    let mut setup = Setup::new(one.0);
    setup.clusters[0].1.push(two.0);
    setup.cluster().balancer = serin_routing::balancer::Policy::RoundRobin;
    setup.cluster().limits.max_connections = 2;
    let running = setup.start();
    let address = running.address;
    let ask = || std::thread::spawn(move || talk(address, GET));
    let first = ask();
    // Turns begin anywhere.
    let (at_first, first_stream, second_up) = loop {
        if let Ok(stream) = one.1.recv_timeout(Duration::from_millis(1)) {
            break (&one.1, stream, &two.1);
        }
        if let Ok(stream) = two.1.recv_timeout(Duration::from_millis(1)) {
            break (&two.1, stream, &one.1);
        }
    };
    let second = ask();
    let mut second_stream = second_up.recv_timeout(serin_testkit::PATIENCE).unwrap();
    let third = ask();
    let observer = running.proxy.observer();
    // Once it has chosen its endpoint it waits for a connection.
    run(async { while observer.stats().await[0].clusters["up"].requests < 3 {} });
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    second_stream.write_all(answer).unwrap();
    drop(second_stream);
    // The first endpoint's connection is still in use.
    let third_stream = at_first.recv_timeout(serin_testkit::PATIENCE).unwrap();
    for mut stream in [first_stream, third_stream] {
        stream.write_all(answer).unwrap();
    }
    for client in [first, second, third] {
        assert!(client.join().unwrap().starts_with("HTTP/1.1 200 "));
    }
}
