//! HTTP/1 through the whole proxy, on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serin_proxy::{Proxy, Settings};
use serin_routing::balancer::{LocalityPolicy, Policy};
use serin_routing::breaker::Limits;
use serin_routing::model::*;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An upstream that answers each request with what it got, as text, until the test ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve_echo(stream.unwrap()));
        }
    });
    address
}

fn serve_echo(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        seen.extend_from_slice(&buffer[..count]);
        while let Some(end) = whole_request(&seen) {
            let request: Vec<u8> = seen.drain(..end).collect();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Up: 1\r\n\r\n", request.len());
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request)).is_err()
            {
                return;
            }
        }
    }
}

fn whole_request(seen: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(seen);
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        return Some(text.find("0\r\n\r\n")? + 5);
    }
    let length = lower
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    (seen.len() >= head + length).then_some(head + length)
}

fn model(upstream: SocketAddr) -> Model {
    let name: Arc<str> = "outbound|80||echo.default.svc.cluster.local".into();
    let listener = Listener {
        name: "0.0.0.0_0".into(),
        address: LOCALHOST,
        port: 0,
        bind: Bind::Socket,
        direction: Direction::Gateway,
        inspect: Inspect::default(),
        filter_chains: vec![FilterChain {
            name: "http".into(),
            criteria: FilterChainMatch::default(),
            tls: None,
            filter: NetworkFilter::Http(HttpConnection {
                routes: "http.80".into(),
                codec: Codec::Auto,
                server_name: "istio-envoy".into(),
                use_remote_address: true,
                trusted_hops: 0,
                client_certificates: ClientCertificates::SanitizeSet,
                accept_http_10: true,
                stream_idle_timeout: None,
                idle_timeout: None,
                strict_server_name: false,
            }),
        }],
        default_filter_chain: None,
    };
    let destination = Destination {
        cluster: Arc::clone(&name),
        weight: 1,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        host_rewrite: None,
        invalid_status: None,
    };
    let route = Route {
        name: "default".into(),
        origin: Origin::built_in("test"),
        condition: RouteMatch { path: PathMatch::Prefix("/".into()), ..RouteMatch::default() },
        action: Action::Forward(Box::new(Forward {
            destinations: Destinations::new(vec![destination]),
            cluster_not_found_status: 503,
            path_rewrite: None,
            host_rewrite: None,
            auto_host_rewrite: false,
            timeout: None,
            retry: None,
            mirrors: Vec::new(),
            hash: Vec::new(),
            cohort: None,
            allow_upgrade: true,
        })),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    };
    let host = VirtualHost {
        name: "echo:80".into(),
        domains: vec!["echo.example".into()],
        routes: vec![Arc::new(route)],
        require_tls: false,
    };
    let table = RouteTable { name: "http.80".into(), virtual_hosts: vec![Arc::new(host)] };
    Model {
        listeners: [(Arc::clone(&listener.name), Arc::new(listener))].into(),
        route_tables: [(Arc::clone(&table.name), Arc::new(table))].into(),
        clusters: [(Arc::clone(&name), Arc::new(cluster(&name)))].into(),
        endpoints: [(name, Arc::new(endpoints(upstream)))].into(),
    }
}

fn cluster(name: &Arc<str>) -> Cluster {
    Cluster {
        name: Arc::clone(name),
        service_host: "echo.default.svc.cluster.local".into(),
        service_namespace: "default".into(),
        port: 80,
        subset: "".into(),
        discovery: Discovery::Listed,
        balancer: Policy::LeastRequest,
        warm_up: None,
        locality: LocalityPolicy::default(),
        outlier: None,
        limits: Limits::default(),
        connect_timeout: Duration::from_secs(10),
        idle_timeout: None,
        keep_alive: None,
        protocol: UpstreamProtocol::Http1,
        tls: ClusterTls::Plain,
        proxy_protocol: None,
        http2_keep_alive: None,
        port_override: None,
    }
}

fn endpoints(upstream: SocketAddr) -> Endpoints {
    Endpoints {
        localities: vec![LocalityEndpoints {
            endpoints: vec![Endpoint {
                address: EndpointAddress::Socket(upstream.ip(), upstream.port()),
                weight: 1,
                health: Health::Healthy,
                tls: EndpointTls::Plain,
                identity: Arc::default(),
            }],
            ..LocalityEndpoints::default()
        }],
    }
}

/// Publishes the model on a proxy of one worker, and tells where it listens.
fn start() -> (Proxy, SocketAddr) {
    let mut proxy = Proxy::start(Settings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let published = runtime.block_on(proxy.publish(model(echo())));
    assert!(published.failed.is_empty(), "{:?}", published.failed);
    let address = *published.listening.values().next().unwrap();
    (proxy, address)
}

/// Sends bytes, reads until the connection is closed or nothing has come for a while.
fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
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
