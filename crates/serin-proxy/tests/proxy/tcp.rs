//! Bytes, and how connections are told apart.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serin_routing::balancer::Policy;
use serin_routing::breaker::Limits;
use serin_routing::model::*;

use crate::pki::{Authority, Client, secure_upstream, shown};
use crate::support::{
    Running, Setup, cluster, connect, echo, read_until, refusing, talk, upstream,
};

fn to(cluster: &str) -> NetworkFilter {
    to_all(&[(cluster, 1)])
}

fn to_all(clusters: &[(&str, u32)]) -> NetworkFilter {
    NetworkFilter::Tcp(proxy(clusters))
}

/// Bytes to clusters.
pub(crate) fn proxy(clusters: &[(&str, u32)]) -> TcpProxy {
    let destinations =
        clusters.iter().map(|(name, weight)| Destination::new((*name).into(), *weight));
    TcpProxy {
        destinations: Destinations::new(destinations.collect()),
        idle_timeout: None,
        max_duration: None,
        hash_source_address: false,
        tunnel: None,
    }
}

pub(crate) fn chain(name: &str, criteria: FilterChainMatch, filter: NetworkFilter) -> FilterChain {
    FilterChain { name: name.into(), criteria, tls: None, filter }
}

pub(crate) fn any() -> FilterChainMatch {
    FilterChainMatch::default()
}

/// Bytes to one upstream.
pub(crate) fn start(upstream: SocketAddr, change: impl FnOnce(&mut Setup)) -> Running {
    let mut setup = Setup::new(upstream);
    setup.chains = vec![chain("bytes", any(), to("up"))];
    change(&mut setup);
    setup.start()
}

/// An upstream that says hello, then gives back what it gets until the client has said all, then says goodbye.
fn server_first() -> SocketAddr {
    upstream(|mut stream| {
        stream.write_all(b"hello\n").unwrap();
        let mut all = Vec::new();
        if stream.read_to_end(&mut all).is_ok() {
            let _ = stream.write_all(&all).and_then(|()| stream.write_all(b"goodbye\n"));
        }
    })
}

#[test]
fn the_server_may_speak_first_and_half_closed_connections_stay_so() {
    // The listener looks at connections, but no chain of this port asks for it.
    let running = start(server_first(), |setup| {
        setup.inspect = Inspect { tls: true, http: true, ..Inspect::default() };
    });
    let mut client = connect(running.address);
    read_until(&mut client, "hello\n");
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_until(&mut client, "goodbye\n"), "all of itgoodbye\n");
}

#[test]
fn bytes_arrive_as_they_are_however_many_and_whoever_is_slow() {
    let running = start(
        upstream(|mut stream| {
            let mut from = stream.try_clone().unwrap();
            let _ = std::io::copy(&mut from, &mut stream);
        }),
        |_| {},
    );
    let client = connect(running.address);
    let sent: Vec<u8> = (0_u32..6_000_000).map(|it| (it % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    let mut reader = client;
    reader.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
}

#[test]
fn connections_are_shared_by_weight() {
    let named = |name: &'static str| {
        upstream(move |mut stream| {
            let _ = stream.write_all(name.as_bytes());
        })
    };
    let running = start(named("a"), |setup| {
        setup.clusters.push((cluster("other"), vec![named("b")]));
        setup.clusters.push((cluster("never"), vec![named("c")]));
        setup.chains =
            vec![chain("bytes", any(), to_all(&[("up", 50), ("other", 50), ("never", 0)]))];
    });
    let answers: String = (0..64).map(|_| talk(running.address, "")).collect();
    assert!(answers.contains('a') && answers.contains('b'), "{answers}");
    assert!(!answers.contains('c'), "{answers}");
    assert_eq!(answers.len(), 64);
}

#[test]
fn another_endpoint_is_tried_when_one_refuses() {
    let gone = refusing();
    let running = start(gone, |setup| {
        setup.clusters[0].1.push(server_first());
        // At random, the same one might be asked ten times.
        setup.cluster().balancer = Policy::RoundRobin;
    });
    for _ in 0..8 {
        let mut client = connect(running.address);
        read_until(&mut client, "hello\n");
    }
}

#[test]
fn a_connection_that_leads_nowhere_is_closed() {
    let gone = refusing();
    assert_eq!(talk(start(gone, |_| {}).address, "x"), "");
    let missing = start(gone, |setup| setup.chains = vec![chain("bytes", any(), to("missing"))]);
    assert_eq!(talk(missing.address, "x"), "");
}

#[test]
fn connections_over_the_limit_are_closed() {
    let running = start(server_first(), |setup| {
        setup.cluster().limits = Limits { max_connections: 1, ..Limits::default() };
    });
    let mut first = connect(running.address);
    read_until(&mut first, "hello\n");
    assert_eq!(talk(running.address, ""), "");
    drop(first);
    let again = (0..1000).any(|_| talk_half(running.address).starts_with("hello"));
    assert!(again);
}

fn talk_half(address: SocketAddr) -> String {
    let mut stream = connect(address);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn idle_connections_end() {
    let running = start(server_first(), |setup| {
        let NetworkFilter::Tcp(proxy) = &mut setup.chains[0].filter else { panic!() };
        proxy.idle_timeout = Some(Duration::from_millis(50));
    });
    let mut client = connect(running.address);
    read_until(&mut client, "hello\n");
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn tls_is_passed_on_by_server_name_without_being_opened() {
    let authority = Authority::new("root");
    let running = start(secure_upstream(&authority.issue(&["a.example"]), None), |setup| {
        let other = secure_upstream(&authority.issue(&["b.example"]), None);
        setup.clusters.push((cluster("other"), vec![other]));
        setup.inspect.tls = true;
        let named = |name: &str| FilterChainMatch { server_names: vec![name.into()], ..any() };
        setup.chains = vec![
            chain("a", named("a.example"), to("up")),
            chain("b", named("*.example"), to("other")),
        ];
    });
    for name in ["a.example", "b.example"] {
        let stream = Client::new(&authority, name).open(running.address).unwrap();
        assert_eq!(shown(&stream), name);
    }
    assert!(Client::new(&authority, "elsewhere.test").open(running.address).is_err());
    assert_eq!(talk(running.address, "GET / HTTP/1.1\r\n\r\n"), "");
}

#[test]
fn protocols_are_told_apart_by_their_first_bytes() {
    let bytes = upstream(|mut stream| {
        let mut first = [0; 4];
        let _ = stream.read_exact(&mut first);
        let _ = stream.write_all(b"bytes ").and_then(|()| stream.write_all(&first));
    });
    let running = start(bytes, |setup| {
        setup.clusters.push((cluster("http"), vec![echo()]));
        setup.routes = vec![crate::support::forward("http")];
        setup.inspect = Inspect { tls: true, http: true, ..Inspect::default() };
        let http: Vec<Arc<str>> = vec!["http/1.0".into(), "http/1.1".into(), "h2c".into()];
        let is_http = FilterChainMatch { application_protocols: http, ..any() };
        setup.chains = vec![
            chain("http", is_http, NetworkFilter::Http(setup.http.clone())),
            chain("bytes", any(), to("up")),
        ];
    });
    let get = "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";
    assert!(talk(running.address, get).starts_with("HTTP/1.1 200"), "HTTP/1");
    let mut http2 = connect(running.address);
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 4];
    http2.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "HTTP/2 settings");
    for other in ["*1\r\n", "EHLO", "\u{16}\u{3}\u{1}x", "GETA"] {
        assert_eq!(talk(running.address, other), format!("bytes {other}"));
    }
}

#[test]
fn a_protocol_that_does_not_show_itself_in_time_is_taken_for_bytes() {
    let running = start(server_first(), |setup| {
        setup.inspect =
            Inspect { http: true, timeout: Some(Duration::from_millis(50)), ..Inspect::default() };
        let http: Vec<Arc<str>> = vec!["http/1.1".into()];
        let is_http = FilterChainMatch { application_protocols: http, ..any() };
        setup.chains = vec![
            chain("http", is_http, NetworkFilter::Http(setup.http.clone())),
            chain("bytes", any(), to("up")),
        ];
    });
    let mut silent = connect(running.address);
    read_until(&mut silent, "hello\n");
    // What was looked at without telling is passed on.
    let mut begun = connect(running.address);
    begun.write_all(b"GE").unwrap();
    read_until(&mut begun, "hello\n");
    begun.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_until(&mut begun, "goodbye\n"), "GEgoodbye\n");
}

fn with_proxy_protocol() -> Running {
    let mut setup = Setup::new(echo());
    setup.inspect.proxy_protocol = true;
    setup.settings.handshake_timeout = Duration::from_millis(200);
    setup.start()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

#[test]
fn the_proxy_protocol_tells_who_the_client_is() {
    let running = with_proxy_protocol();
    let v1 = [&b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n"[..], GET].concat();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend_from_slice(&[192, 0, 2, 7, 192, 0, 2, 8, 4, 210, 0, 80]);
    v2.extend_from_slice(GET);
    for header in [v1, v2] {
        let answer = talk(running.address, header);
        assert!(answer.contains("x-forwarded-for: 192.0.2.7\r\n"), "{answer}");
    }
    let unknown = [&b"PROXY UNKNOWN\r\n"[..], GET].concat();
    assert!(talk(running.address, unknown).contains("x-forwarded-for: 127.0.0.1\r\n"));
}

#[test]
fn connections_without_a_sound_proxy_protocol_header_are_closed() {
    let running = with_proxy_protocol();
    for bytes in [
        GET.to_vec(),
        [&b"PROXY TCP4 192.0.2.7 192.0.2.8 1234\r\n"[..], GET].concat(),
        [&b"PROXY "[..], &[b'x'; 200], b"\r\n", GET].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
        b"PROXY TCP4".to_vec(),
    ] {
        assert_eq!(talk(running.address, &bytes), "", "{bytes:?}");
    }
}

#[test]
fn the_proxy_protocol_is_told_to_clusters_that_want_it() {
    let telling = || {
        upstream(|mut stream| {
            let mut seen = [0; 256];
            let count = stream.read(&mut seen).unwrap_or(0);
            let text = format!("{:?}", String::from_utf8_lossy(&seen[..count]));
            let _ = stream.write_all(text.as_bytes());
        })
    };
    let running = start(telling(), |setup| setup.cluster().proxy_protocol = Some(1));
    let client = connect(running.address);
    let (own, proxy) = (client.local_addr().unwrap().port(), running.address.port());
    let answer = rest(client);
    assert_eq!(answer, format!("\"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {proxy}\\r\\n\""));
    let running = start(telling(), |setup| setup.cluster().proxy_protocol = Some(2));
    let answer = rest(connect(running.address));
    assert!(answer.starts_with(r#""\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{c}"#), "{answer}");
}

fn rest(mut stream: TcpStream) -> String {
    let mut all = String::new();
    let _ = stream.read_to_string(&mut all);
    all
}
