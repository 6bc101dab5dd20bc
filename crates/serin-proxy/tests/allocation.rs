//! A request and its answer on connections that are in use already cost few allocations.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serin_proxy::{Proxy, Settings};
use serin_routing::model::*;

/// The system's allocator, which counts what all threads ask of it.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers every request on a connection without allocating.
fn upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        }
    });
    address
}

fn model(upstream: std::net::SocketAddr) -> Model {
    let http = HttpConnection {
        routes: "http.80".into(),
        codec: Codec::Auto,
        server_name: "istio-envoy".into(),
        use_remote_address: true,
        trusted_hops: 0,
        client_certificates: ClientCertificates::SanitizeSet,
        accept_http_10: false,
        stream_idle_timeout: None,
        idle_timeout: None,
        strict_server_name: false,
    };
    let listener = Listener {
        name: "0.0.0.0_0".into(),
        address: [127, 0, 0, 1].into(),
        port: 0,
        bind: Bind::Socket,
        direction: Direction::Gateway,
        inspect: Inspect::default(),
        filter_chains: vec![FilterChain {
            name: "http".into(),
            criteria: FilterChainMatch::default(),
            tls: None,
            filter: NetworkFilter::Http(http),
        }],
        default_filter_chain: None,
    };
    let destinations = Destinations::new(vec![Destination::new("up".into(), 1)]);
    let route = Route {
        name: "default".into(),
        origin: Origin::built_in("test"),
        condition: RouteMatch { path: PathMatch::Prefix("/".into()), ..RouteMatch::default() },
        action: Action::Forward(Box::new(Forward::new(destinations))),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    };
    let host = VirtualHost {
        name: "host".into(),
        domains: vec!["*".into()],
        routes: vec![Arc::new(route)],
        require_tls: false,
    };
    let table = RouteTable { name: "http.80".into(), virtual_hosts: vec![Arc::new(host)] };
    let endpoint = Endpoint {
        address: EndpointAddress::Socket(upstream.ip(), upstream.port()),
        weight: 1,
        health: Health::Healthy,
        tls: EndpointTls::Plain,
        identity: Arc::default(),
    };
    let locality = LocalityEndpoints { endpoints: vec![endpoint], ..LocalityEndpoints::default() };
    let name: Arc<str> = "up".into();
    Model {
        listeners: [(Arc::clone(&listener.name), Arc::new(listener))].into(),
        route_tables: [(Arc::clone(&table.name), Arc::new(table))].into(),
        clusters: [(
            Arc::clone(&name),
            Arc::new(Cluster::new(Arc::clone(&name), Discovery::Listed)),
        )]
        .into(),
        endpoints: [(name, Arc::new(Endpoints { localities: vec![locality] }))].into(),
        ..Model::default()
    }
}

fn ask(stream: &mut TcpStream, buffer: &mut [u8; 4096]) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
        .unwrap();
    let mut seen = 0;
    while !buffer[..seen].ends_with(b"hello") {
        seen += stream.read(&mut buffer[seen..]).unwrap();
    }
}

#[test]
fn a_request_on_connections_in_use_costs_few_allocations() {
    const REQUESTS: usize = 1000;
    let mut proxy = Proxy::start(Settings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let published = runtime.block_on(proxy.publish(model(upstream())));
    let mut stream = TcpStream::connect(published.listening.values().next().unwrap()).unwrap();
    let mut buffer = [0; 4096];
    (0..100).for_each(|_| ask(&mut stream, &mut buffer));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..REQUESTS).for_each(|_| ask(&mut stream, &mut buffer));
    let count = (ALLOCATIONS.load(Ordering::Relaxed) - before) / REQUESTS;
    assert!(count <= 16, "{count} allocations per request");
}
