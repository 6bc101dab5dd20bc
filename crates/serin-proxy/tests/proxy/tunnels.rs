//! Bytes through endpoints that are asked in HTTP to lead them on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use serin_routing::balancer::Policy;
use serin_routing::model::*;

use crate::support::{
    Running, Setup, connect, read_until, refusing, talk, upstream, upstream_http2,
};
use crate::tcp::{any, chain, proxy, start};

const TARGET: &str = "db.example:5432";

/// Bytes to one cluster, through a tunnel.
fn tunnelled(upstream: SocketAddr, by_post: bool, change: impl FnOnce(&mut Setup)) -> Running {
    let tunnel = Some(Tunnel { authority: TARGET.into(), by_post });
    let filter = NetworkFilter::Tcp(TcpProxy { tunnel, ..proxy(&[("up", 1)]) });
    start(upstream, |setup| {
        setup.chains = vec![chain("bytes", any(), filter)];
        change(setup);
    })
}

/// A proxy that agrees, and behind it a server that speaks first and gives back what it gets; and the heads that it saw.
fn agreeing(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let (tell, heads) = channel();
    let address = upstream(move |mut stream| {
        tell.send(read_until(&mut stream, "\r\n\r\n")).unwrap();
        // What comes with the answer is already of the server's.
        stream.write_all(format!("{answer}hello\n").as_bytes()).unwrap();
        let mut back = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut stream, &mut back);
        let _ = stream.shutdown(Shutdown::Write);
    });
    (address, heads)
}

/// What a client sees of a server that says hello and gives back what it gets.
fn speak(mut client: TcpStream) {
    read_until(&mut client, "hello\n");
    client.write_all(b"select 1").unwrap();
    read_until(&mut client, "select 1");
    client.write_all(b" and 2").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " and 2");
}

#[test]
fn connect_leads_bytes_on_both_ways() {
    // Whatever says success agrees, and lengths in it mean nothing.
    for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 202 Well\r\nContent-Length: 3\r\n\r\n"] {
        let (address, heads) = agreeing(answer);
        let running = tunnelled(address, false, |_| {});
        speak(connect(running.address));
        assert_eq!(
            heads.recv().unwrap(),
            format!("CONNECT {TARGET} HTTP/1.1\r\nhost: {TARGET}\r\n\r\n")
        );
    }
}

#[test]
fn the_bytes_may_be_the_body_of_a_post() {
    let address = upstream(|mut stream| {
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.starts_with(&format!("POST / HTTP/1.1\r\nhost: {TARGET}\r\n")), "{head}");
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        read_until(&mut stream, "8\r\nselect 1\r\n");
        stream.write_all(b"8\r\nselect 1\r\n").unwrap();
        read_until(&mut stream, "6\r\n and 2\r\n0\r\n\r\n");
        stream.write_all(b"6\r\n and 2\r\n0\r\n\r\n").unwrap();
    });
    speak(connect(tunnelled(address, true, |_| {}).address));
}

#[test]
fn tunnels_share_connections_of_http2() {
    let address = upstream_http2(|request, mut respond| async move {
        assert_eq!(request.method(), http::Method::CONNECT);
        let uri = request.uri();
        assert_eq!(
            (uri.authority().unwrap().as_str(), uri.scheme(), uri.path()),
            (TARGET, None, "")
        );
        let mut send = respond.send_response(http::Response::new(()), false).unwrap();
        send.send_data(Bytes::from_static(b"hello\n"), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(piece)) = body.data().await {
            body.flow_control().release_capacity(piece.len()).unwrap();
            send.send_data(piece, false).unwrap();
        }
        send.send_data(Bytes::new(), true).unwrap();
    });
    let running = tunnelled(address, false, |setup| {
        setup.cluster().protocol = UpstreamProtocol::Http2;
    });
    let clients = [connect(running.address), connect(running.address)];
    clients.into_iter().for_each(speak);
}

#[test]
fn another_endpoint_is_asked_when_one_does_not_agree() {
    let refuses = upstream(|mut stream| {
        read_until(&mut stream, "\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    });
    let (agrees, _heads) = agreeing("HTTP/1.1 200 OK\r\n\r\n");
    let running = tunnelled(refuses, false, |setup| {
        setup.clusters[0].1.extend([refusing(), agrees]);
        // At random, the same ones might be asked ten times.
        setup.cluster().balancer = Policy::RoundRobin;
    });
    for _ in 0..6 {
        speak(connect(running.address));
    }
    assert_eq!(talk(tunnelled(refuses, false, |_| {}).address, "x"), "");
}

#[test]
fn a_post_is_agreed_to_by_200_alone() {
    let (address, _heads) = agreeing("HTTP/1.1 202 Well\r\n\r\n");
    assert_eq!(talk(tunnelled(address, true, |_| {}).address, "x"), "");
}
