//! A proxy with a small model, upstreams that say what they got, and clients.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use serin_proxy::{Pem, Proxy, Settings, TlsProblem};
use serin_routing::model::*;
use serin_telemetry::access_log::AccessLog;
use socket2::{Domain, Socket, Type};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The host that the model has rules for.
pub(crate) const HOST: &str = "echo.example";
/// What a proxy is to be started with.
pub(crate) struct Setup {
    pub(crate) http: HttpConnection,
    pub(crate) routes: Vec<Route>,
    pub(crate) clusters: Vec<(Cluster, Vec<SocketAddr>)>,
    pub(crate) settings: Settings,
    pub(crate) inspect: Inspect,
    /// The listener's filter chains; one that reads HTTP if there are none.
    pub(crate) chains: Vec<FilterChain>,
    pub(crate) certificates: Vec<(CertificateSource, Pem)>,
    /// Hosts that there are rules for.
    pub(crate) domains: Vec<Arc<str>>,
    /// Whether endpoints take mesh TLS.
    pub(crate) endpoint_tls: EndpointTls,
    pub(crate) access_log: Option<Arc<AccessLog>>,
}

/// A running proxy.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    /// What its TLS lacks.
    pub(crate) tls: Vec<TlsProblem>,
}

impl Setup {
    /// Everything goes to one upstream, which speaks HTTP/1.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let http = HttpConnection {
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
        };
        let clusters = vec![(cluster("up"), vec![upstream])];
        let settings = Settings::default();
        Self {
            http,
            routes: vec![forward("up")],
            clusters,
            settings,
            inspect: Inspect::default(),
            chains: Vec::new(),
            certificates: Vec::new(),
            domains: vec![HOST.into()],
            endpoint_tls: EndpointTls::Plain,
            access_log: None,
        }
    }

    /// The upstream speaks HTTP/2.
    pub(crate) fn http2(upstream: SocketAddr) -> Self {
        let mut setup = Self::new(upstream);
        setup.cluster().protocol = UpstreamProtocol::Http2;
        setup
    }

    /// The first cluster.
    pub(crate) fn cluster(&mut self) -> &mut Cluster {
        &mut self.clusters[0].0
    }

    /// The first rule.
    pub(crate) fn route(&mut self) -> &mut Route {
        &mut self.routes[0]
    }

    /// What the first rule forwards.
    pub(crate) fn forward(&mut self) -> &mut Forward {
        match &mut self.route().action {
            Action::Forward(forward) => forward,
            _ => panic!("the first rule forwards"),
        }
    }

    /// Starts a proxy of one worker.
    pub(crate) fn start(self) -> Running {
        let settings = self.settings.clone();
        let certificates = self.certificates.clone();
        let access_log = self.access_log.clone();
        let model = self.model();
        let start = move || {
            let mut proxy = Proxy::start(settings).unwrap();
            proxy.set_access_log(access_log);
            for (source, pem) in certificates {
                proxy.certificates().set(source, Some(pem));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let published = runtime.block_on(proxy.publish(model));
            assert!(published.failed.is_empty(), "{:?}", published.failed);
            let address = *published.listening.values().next().unwrap();
            Running { proxy, address, tls: published.tls }
        };
        // Apart, because the caller may be on a runtime already.
        std::thread::spawn(start).join().unwrap()
    }

    fn model(self) -> Model {
        let http = FilterChain {
            name: "http".into(),
            criteria: FilterChainMatch::default(),
            tls: None,
            filter: NetworkFilter::Http(self.http),
        };
        let listener = Listener {
            name: "0.0.0.0_0".into(),
            address: LOCALHOST,
            port: 0,
            bind: Bind::Socket,
            direction: Direction::Gateway,
            inspect: self.inspect,
            filter_chains: if self.chains.is_empty() { vec![http] } else { self.chains },
            default_filter_chain: None,
        };
        let host = VirtualHost {
            name: "echo:80".into(),
            domains: self.domains,
            routes: self.routes.into_iter().map(Arc::new).collect(),
            require_tls: false,
        };
        let table = RouteTable { name: "http.80".into(), virtual_hosts: vec![Arc::new(host)] };
        let mut model = Model {
            listeners: [(Arc::clone(&listener.name), Arc::new(listener))].into(),
            route_tables: [(Arc::clone(&table.name), Arc::new(table))].into(),
            ..Model::default()
        };
        for (cluster, addresses) in self.clusters {
            let name = Arc::clone(&cluster.name);
            model
                .endpoints
                .insert(Arc::clone(&name), Arc::new(endpoints(&addresses, self.endpoint_tls)));
            model.clusters.insert(name, Arc::new(cluster));
        }
        model
    }
}

/// A cluster with Istio's defaults.
pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster::new(name.into(), Discovery::Listed)
}

/// A rule for everything.
pub(crate) fn forward(cluster: &str) -> Route {
    let destinations = Destinations::new(vec![Destination::new(cluster.into(), 1)]);
    route("/", Action::Forward(Box::new(Forward::new(destinations))))
}

/// A rule for a prefix.
pub(crate) fn route(prefix: &str, action: Action) -> Route {
    Route {
        name: "default".into(),
        origin: Origin::built_in("test"),
        condition: RouteMatch { path: PathMatch::Prefix(prefix.into()), ..RouteMatch::default() },
        action,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    }
}

fn endpoints(addresses: &[SocketAddr], tls: EndpointTls) -> Endpoints {
    let endpoint = |address: &SocketAddr| Endpoint {
        address: EndpointAddress::Socket(address.ip(), address.port()),
        weight: 1,
        health: Health::Healthy,
        tls,
        identity: Arc::default(),
    };
    Endpoints {
        localities: vec![LocalityEndpoints {
            endpoints: addresses.iter().map(endpoint).collect(),
            ..LocalityEndpoints::default()
        }],
    }
}

/// An upstream whose connections are each served by `serve`.
pub(crate) fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// An upstream that gives `answer` for each whole request it got, as text.
pub(crate) fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    upstream(move |mut stream| {
        let mut seen = Vec::new();
        while let Some(request) = next_request(&mut stream, &mut seen) {
            if stream.write_all(answer(&request).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// An upstream that answers each request with what it got.
pub(crate) fn echo() -> SocketAddr {
    answering(|request| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Up: 1\r\n\r\n{request}", request.len())
    })
}

/// Reads one request.
pub(crate) fn next_request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<String> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = whole_request(seen) {
            let request: Vec<u8> = seen.drain(..end).collect();
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return None };
        seen.extend_from_slice(&buffer[..count]);
    }
}

fn whole_request(seen: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(seen);
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        let body = &text[head..];
        let last = if body.starts_with("0\r\n") { 0 } else { body.find("\r\n0\r\n")? + 2 };
        return Some(head + last + body[last..].find("\r\n\r\n")? + 4);
    }
    let length = lower
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    (seen.len() >= head + length).then_some(head + length)
}

/// An upstream that answers when it is told to; each request that arrives is announced.
pub(crate) fn on_demand() -> (SocketAddr, Receiver<()>, SyncSender<()>) {
    let (arrived, arrivals) = channel();
    let (go, gone) = sync_channel(0);
    let gone = Mutex::new(gone);
    let address = upstream(move |mut stream| {
        let mut seen = Vec::new();
        while next_request(&mut stream, &mut seen).is_some() {
            let _ = arrived.send(());
            if gone.lock().unwrap().recv().is_err() {
                return;
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    (address, arrivals, go)
}

/// An address at which connections are refused: it is taken, and nobody listens.
pub(crate) fn refusing() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // It stays taken to the end of the process.
    std::mem::forget(socket);
    address
}

/// Sends bytes, reads until the connection is closed.
pub(crate) fn talk(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection on which no read waits for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(serin_testkit::PATIENCE)).unwrap();
    stream
}

/// Reads until the text is there.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text.as_bytes()) {
        let count = stream.read(&mut byte).unwrap_or(0);
        assert_eq!(count, 1, "{text:?} did not come, but {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Runs a test with clients or upstreams that need a runtime.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(serin_testkit::PATIENCE, test).await };
    runtime.block_on(within).unwrap()
}

/// An upstream that speaks HTTP/2; each request is handled by a task.
pub(crate) fn upstream_http2<F>(
    handle: impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let handle = Arc::new(handle);
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let handle = Arc::clone(&handle);
            tokio::task::spawn_local(async move {
                let mut builder = h2::server::Builder::new();
                builder.enable_connect_protocol();
                let Ok(mut connection) = builder.handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::task::spawn_local(handle(request, respond));
                }
            });
        }
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, serve);
    });
    address
}

/// A client that speaks HTTP/2 by prior knowledge.
pub(crate) async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // Tests look at their streams.
        let _ = connection.await;
    });
    send
}

/// A request for the model's host.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(format!("http://{HOST}{path}"))
}

/// An answer in full.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<http::HeaderMap>,
}

/// Reads a body to its end.
pub(crate) async fn read(mut body: RecvStream) -> (Vec<u8>, Option<http::HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        bytes.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    (bytes, body.trailers().await.unwrap())
}

/// Sends a request with its body and trailers, and reads the answer.
pub(crate) async fn ask(
    client: &SendRequest<Bytes>,
    request: http::request::Builder,
    body: &[u8],
    trailers: Option<http::HeaderMap>,
) -> Whole {
    let mut client = client.clone().ready().await.unwrap();
    let is_end = body.is_empty() && trailers.is_none();
    let (response, mut send) = client.send_request(request.body(()).unwrap(), is_end).unwrap();
    if !is_end {
        send.send_data(Bytes::copy_from_slice(body), trailers.is_none()).unwrap();
        if let Some(trailers) = trailers {
            send.send_trailers(trailers).unwrap();
        }
    }
    let (head, body) = response.await.unwrap().into_parts();
    let (body, trailers) = read(body).await;
    Whole { status: head.status.as_u16(), headers: head.headers, body, trailers }
}

/// Headers from names and values.
pub(crate) fn headers(fields: &[(&'static str, &str)]) -> http::HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}
