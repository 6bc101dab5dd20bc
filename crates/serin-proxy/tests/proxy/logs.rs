//! What access logs say of connections, of what is refused, and of the way upstream.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serin_routing::model::*;
use serin_routing::retry::{Condition, Policy};
use serin_telemetry::access_log::{AccessLog, Layout, Target, Writer};
use socket2::SockRef;

use crate::support::{
    Running, Setup, answering, ask, client, connect, on_demand, read_until, refusing, request, run,
    talk, upstream, upstream_http2,
};

const FORMAT: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% %BYTES_RECEIVED% %BYTES_SENT% \
    %UPSTREAM_HOST% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)%";

/// A proxy with a log.
struct Logged {
    running: Running,
    log: Arc<AccessLog>,
    file: PathBuf,
}

impl Logged {
    fn start(setup: Setup) -> Self {
        Self::with(setup, FORMAT)
    }

    fn with(mut setup: Setup, format: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("serin-proxy-log-{}-{count}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let writer = Writer::start(Target::File(file.clone())).unwrap();
        let log = Arc::new(AccessLog::new(Layout::text(format), None, writer));
        setup.access_log = Some(Arc::clone(&log));
        Self { running: setup.start(), log, file }
    }

    fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Waits until all connections are over, and tells what was logged of them.
    fn lines(self) -> Vec<String> {
        run(self.running.proxy.drain());
        self.log.finish(serin_testkit::PATIENCE);
        let lines = std::fs::read_to_string(&self.file).unwrap();
        std::fs::remove_file(&self.file).unwrap();
        lines.lines().map(str::to_owned).collect()
    }
}

/// Bytes to an upstream.
fn bytes(upstream: SocketAddr, max_duration: Option<Duration>) -> Setup {
    let mut setup = Setup::new(upstream);
    let destinations = Destinations::new(vec![Destination::new("up".into(), 1)]);
    let filter = NetworkFilter::Tcp(TcpProxy {
        destinations,
        idle_timeout: None,
        max_duration,
        hash_source_address: false,
        tunnel: None,
    });
    let criteria = FilterChainMatch::default();
    setup.chains = vec![FilterChain { name: "bytes".into(), criteria, tls: None, filter }];
    setup
}

/// Says who is connected to it.
fn who_is_there() -> SocketAddr {
    upstream(|mut stream| {
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        let peer = stream.peer_addr().unwrap();
        stream.write_all(format!("{peer}\n").as_bytes()).unwrap();
    })
}

/// Says nothing.
fn silent() -> SocketAddr {
    upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_connection_of_bytes_is_a_line_with_both_its_ends() {
    let up = who_is_there();
    let logged = Logged::start(bytes(up, None));
    let mut client = connect(logged.address());
    client.write_all(b"who?").unwrap();
    let seen = read_until(&mut client, "\n");
    let (peer, sent) = (client.local_addr().unwrap(), seen.len());
    drop(client);
    let expect = format!("0 - - - 4 {sent} {up} up {} {peer} -", seen.trim());
    assert_eq!(logged.lines(), [expect]);
}

#[test]
fn a_connection_that_no_endpoint_takes_says_so() {
    let gone = refusing();
    let logged = Logged::start(bytes(gone, None));
    assert_eq!(talk(logged.address(), ""), "");
    let lines = logged.lines();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.starts_with(&format!("0 UF,URX - - 0 0 {gone} up - ")), "{line}");
}

#[test]
fn a_connection_ends_with_the_time_it_may_last() {
    let logged = Logged::start(bytes(silent(), Some(Duration::from_millis(1))));
    assert_eq!(talk(logged.address(), ""), "");
    let lines = logged.lines();
    assert!(lines[0].starts_with("0 DT - - 0 0 "), "{lines:?}");
}

#[test]
fn a_connection_that_no_filter_chain_reads_is_logged() {
    let mut setup = bytes(who_is_there(), None);
    setup.chains[0].criteria.server_names = vec!["only.example".into()];
    setup.inspect.tls = true;
    let logged = Logged::start(setup);
    assert_eq!(talk(logged.address(), "who?"), "");
    let lines = logged.lines();
    assert!(lines[0].starts_with("0 NR filter_chain_not_found - 0 0 - - - 127"), "{lines:?}");
}

#[test]
fn what_is_refused_before_it_is_a_request_is_logged() {
    let check = |bytes: &str, accept_http_10: bool, expect: &str| {
        let mut setup = Setup::new(who_is_there());
        setup.http.accept_http_10 = accept_http_10;
        let logged = Logged::start(setup);
        talk(logged.address(), bytes);
        let lines = logged.lines();
        assert!(lines.len() == 1 && lines[0].starts_with(expect), "{bytes:?}: {lines:?}");
        assert!(lines[0].ends_with(" -"), "there is no method: {lines:?}");
    };
    check("GET / HTTP/1.1\r\nbad header: 1\r\n\r\n", true, "400 DPE http1.");
    check("GET / HTTP/1.1\r\n\r\n", true, "400 DPE missing_host_header HTTP/1.1 0 ");
    check("nonsense\r\n\r\n", true, "400 DPE http1.codec_error HTTP/1.1 0 ");
    check("GET / HTTP/1.0\r\nhost: a\r\n\r\n", false, "426 DPE low_version HTTP/1.1 0 0 - - - ");
}

#[test]
fn a_request_names_this_sides_address_upstream_in_either_version() {
    let logged = Logged::start(Setup::new(upstream(|mut stream| {
        let mut seen = Vec::new();
        while crate::support::next_request(&mut stream, &mut seen).is_some() {
            let peer = stream.peer_addr().unwrap().to_string();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{peer}", peer.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    })));
    let head = "GET / HTTP/1.1\r\nhost: echo.example\r\nconnection: close\r\n\r\n";
    let answer = talk(logged.address(), head);
    let peer = answer.rsplit("\r\n\r\n").next().unwrap();
    let lines = logged.lines();
    assert!(lines[0].contains(&format!(" up {peer} 127.0.0.1:")), "{peer} in {lines:?}");

    let http2 = upstream_http2(|_, mut respond| async move {
        respond.send_response(http::Response::new(()), true).unwrap();
    });
    let logged = Logged::start(Setup::http2(http2));
    let address = logged.address();
    run(async {
        let client = client(address).await;
        assert_eq!(ask(&client, request("GET", "/"), b"", None).await.status, 200);
    });
    let lines = logged.lines();
    assert!(lines[0].contains(" up 127.0.0.1:"), "{lines:?}");
}

const GET: &str = "GET / HTTP/1.1\r\nhost: echo.example\r\nconnection: close\r\n\r\n";

#[test]
fn a_request_of_http2_that_cannot_be_read_is_logged() {
    let logged = Logged::start(Setup::new(who_is_there()));
    let address = logged.address();
    run(async {
        let client = client(address).await;
        let answer = ask(&client, request("GET", "/a%00"), b"", None).await;
        assert_eq!(answer.status, 400);
        assert!(answer.headers.contains_key("server") && answer.headers.contains_key("date"));
    });
    let lines = logged.lines();
    assert!(lines[0].starts_with("400 DPE path_normalization_failed HTTP/2 0 "), "{lines:?}");
}

/// The fields of the line of a request to an upstream that answers so and closes.
fn logged(answer: &'static str, format: &str) -> Vec<String> {
    let up = upstream(move |mut stream| {
        crate::support::next_request(&mut stream, &mut Vec::new());
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let logged = Logged::with(Setup::new(up), format);
    talk(logged.address(), GET);
    logged.lines()[0].split(' ').map(str::to_owned).collect()
}

#[test]
fn a_line_has_the_times_sizes_and_names_that_are_asked_for() {
    let answer = "HTTP/1.1 200 OK\r\nx-a: bc\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 7\r\n\r\n";
    let format = "%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %REQUEST_HEADERS_BYTES% \
        %RESPONSE_HEADERS_BYTES% %UPSTREAM_PROTOCOL% %TRAILER(X-Sum)% %HOSTNAME% %STREAM_ID% %RESPONSE_FLAGS_LONG% %REQ(X-REQUEST-ID)%";
    let fields = logged(answer, format);
    let number = |place: usize| fields[place].parse::<u64>().unwrap();
    assert!(number(1) <= number(2) && number(2) + number(3) <= number(0), "{fields:?}");
    // At least what came: pseudo headers, `host`'s in place of the authority; and the status, `x-a` and `server`.
    assert!((60..500).contains(&number(4)) && (20..200).contains(&number(5)), "{fields:?}");
    assert_eq!(fields[6..8], ["HTTP/1.1", "7"]);
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(fields[8], name.trim());
    assert_eq!((&fields[9], fields[10].as_str()), (&fields[11], "-"));
    // What has not been is not told.
    let fields = logged("", format);
    assert_eq!(fields[2..4], ["-", "-"]);
    assert_eq!(fields[10], "UpstreamConnectionTermination");
}

#[test]
fn a_line_says_how_an_answer_broke_off() {
    let format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%";
    let malformed = ["200", "UPE", "upstream_reset_after_response_started{protocol_error}"];
    assert_eq!(logged("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", format), malformed);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(logged(chunked, format), malformed);
}

#[test]
fn a_request_that_reached_nobody_says_why() {
    let format = "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%";
    let logged = Logged::with(Setup::new(refusing()), format);
    talk(logged.address(), GET);
    let why = "delayed_connect_error:_Connection_refused";
    let details =
        format!("upstream_reset_before_response_started{{remote_connection_failure|{why}}}");
    assert_eq!(logged.lines(), [format!("UF {details} {why}")]);
}

#[test]
fn a_request_that_reached_nobody_has_no_address_upstream() {
    let gone = refusing();
    let logged = Logged::start(Setup::new(gone));
    talk(logged.address(), GET);
    let lines = logged.lines();
    assert!(lines[0].contains(&format!(" {gone} up - 127")), "{lines:?}");
}

const BREAKER: &str =
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_HOST%";

#[test]
fn a_request_over_the_limit_of_requests_has_an_endpoint() {
    let (address, arrivals, go) = on_demand();
    let mut setup = Setup::new(address);
    setup.cluster().limits.max_requests = 1;
    let logged = Logged::with(setup, BREAKER);
    let mut first = connect(logged.address());
    first.write_all(GET.as_bytes()).unwrap();
    arrivals.recv().unwrap();
    talk(logged.address(), GET);
    go.send(()).unwrap();
    read_until(&mut first, "\r\n\r\n");
    assert_eq!(logged.lines(), [format!("503 UO 1 {address}"), format!("204 - 1 {address}")]);
}

#[test]
fn a_request_that_may_not_wait_for_a_connection_has_no_endpoint() {
    let (address, arrivals, go) = on_demand();
    let mut setup = Setup::new(address);
    setup.cluster().limits.max_connections = 1;
    setup.cluster().limits.max_pending_requests = 1;
    let logged = Logged::with(setup, BREAKER);
    let mut streams: Vec<_> = (0..3).map(|_| connect(logged.address())).collect();
    streams[0].write_all(GET.as_bytes()).unwrap();
    arrivals.recv().unwrap();
    streams[1].write_all(GET.as_bytes()).unwrap();
    streams[2].write_all(GET.as_bytes()).unwrap();
    // One of them waits, and the other is told at once.
    let answers = streams
        .into_iter()
        .map(|mut stream| std::thread::spawn(move || read_until(&mut stream, "\r\n\r\n")));
    let answers: Vec<_> = answers.collect();
    while !answers[1..].iter().any(|it| it.is_finished()) {
        std::thread::yield_now();
    }
    go.send(()).unwrap();
    arrivals.recv().unwrap();
    go.send(()).unwrap();
    answers.into_iter().for_each(|it| drop(it.join().unwrap()));
    let served = format!("204 - 1 {address}");
    assert_eq!(logged.lines(), ["503 UO 1 -", &served, &served]);
}

#[test]
fn an_answer_that_is_not_tried_again_for_too_many_retries_says_so() {
    let bad = answering(|_| "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned());
    let mut setup = Setup::new(bad);
    let retry_on = vec![Condition::Any5xx];
    setup.forward().retry = Some(Policy { retry_on, ..Policy::none() });
    setup.cluster().limits.max_retries = 0;
    let logged = Logged::with(setup, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
    talk(logged.address(), GET);
    assert_eq!(logged.lines(), ["503 UO via_upstream"]);
}

/// Ends a connection with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

const RESET: io::ErrorKind = io::ErrorKind::ConnectionReset;

#[test]
fn an_endpoint_that_resets_resets_the_clients_connection() {
    let rude = upstream(|mut stream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"half").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        reset(stream);
    });
    let logged = Logged::with(bytes(rude, None), "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%");
    let mut client = connect(logged.address());
    client.write_all(b"who?").unwrap();
    read_until(&mut client, "half");
    client.write_all(b"why?").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), RESET);
    assert_eq!(logged.lines(), ["UR 8 4"]);
}

#[test]
fn a_client_that_resets_resets_the_endpoints_connection() {
    let (tell, told) = channel();
    let faithful = upstream(move |mut stream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"yes").unwrap();
        tell.send(stream.read(&mut [0]).map_err(|error| error.kind())).unwrap();
    });
    let logged = Logged::with(bytes(faithful, None), "%RESPONSE_FLAGS%");
    let mut client = connect(logged.address());
    client.write_all(b"who?").unwrap();
    read_until(&mut client, "yes");
    reset(client);
    assert_eq!(told.recv().unwrap(), Err(RESET));
    assert_eq!(logged.lines(), ["-"]);
}

#[test]
fn a_connection_that_nothing_comes_on_ends_without_a_flag() {
    let mut setup = bytes(silent(), None);
    let NetworkFilter::Tcp(proxy) = &mut setup.chains[0].filter else { unreachable!() };
    proxy.idle_timeout = Some(Duration::from_millis(1));
    let logged = Logged::with(setup, "%RESPONSE_FLAGS%");
    let mut client = connect(logged.address());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(logged.lines(), ["-"]);
}

#[test]
fn a_connection_that_no_endpoint_takes_says_why() {
    let format = "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%";
    let logged = Logged::with(bytes(refusing(), None), format);
    talk(logged.address(), "");
    assert_eq!(logged.lines(), ["UF,URX delayed_connect_error:_Connection_refused"]);
}

#[test]
fn who_leaves_before_it_is_clear_what_is_wanted_was_not_refused() {
    let mut setup = bytes(who_is_there(), None);
    setup.chains[0].criteria.server_names = vec!["only.example".into()];
    setup.inspect.tls = true;
    let logged = Logged::start(setup);
    for begun in ["", "\x16\x03\x01"] {
        let mut client = connect(logged.address());
        client.write_all(begun.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // What was sent and not read makes the end a reset.
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(logged.lines(), Vec::<String>::new());
}
