//! The gateway between programs that others wrote: nginx and HAProxy behind it, a browser before it.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serin_testkit::{PATIENCE, Process, tools};

use crate::support::{Client, Folder, GATEWAY, Gateway, all_to, get, serve, service};

/// A server that is told its address by a file. It says nothing when it is ready, so it is asked.
fn started(start: impl FnOnce(SocketAddr) -> Process) -> (Process, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let process = start(address);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "it does not start: {}", process.output());
        thread::park_timeout(Duration::from_millis(5));
    }
    (process, address)
}

fn rules_to(backend: SocketAddr) -> Folder {
    Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("one", backend)),
        ("routes.yaml", &all_to("one")),
    ])
}

fn nginx(folder: &Folder, program: &Path) -> (Process, SocketAddr) {
    let root = folder.path();
    let page = "x".repeat(100_000);
    folder.write("www/big.txt", &page);
    folder.write("www/small.txt", "small\n");
    started(|address| {
        let config = format!(
            "daemon off;\nmaster_process off;\npid {root}/pid;\nerror_log stderr;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen {address}; root {root}/www; chunked_transfer_encoding on;\n\
             location /moved {{ return 302 /small.txt; }}\n\
             location /packed {{ gzip on; gzip_types text/plain; gzip_min_length 1; alias {root}/www/big.txt; }} }} }}\n"
        );
        folder.write("nginx.conf", &config);
        let mut command = Command::new(program);
        Process::start(command.args(["-p", root, "-c", &format!("{root}/nginx.conf")]))
    })
}

#[test]
fn nginx_serves_files_ranges_conditions_and_chunks_through_the_gateway() {
    let Some(program) = tools::find("nginx") else { return };
    let files = Folder::new();
    let (_nginx, backend) = nginx(&files, &program);
    let folder = rules_to(backend);
    let gateway = Gateway::start(&folder, &[]);
    let mut client = Client::connect(gateway.address());
    let small = client.get("a.example", "/small.txt");
    assert_eq!((small.status, small.body.as_str()), (200, "small\n"));
    let tag = small.header("etag").unwrap().to_owned();
    let request =
        |more: &str| format!("GET /small.txt HTTP/1.1\r\nHost: a.example\r\n{more}\r\n\r\n");
    assert_eq!(client.ask(&request(&format!("If-None-Match: {tag}"))).status, 304);
    let part = client.ask(&request("Range: bytes=1-3"));
    assert_eq!((part.status, part.body.as_str()), (206, "mal"));
    assert_eq!(
        client.get("a.example", "/moved").header("location").map(|it| it.ends_with("/small.txt")),
        Some(true)
    );
    assert_eq!(client.get("a.example", "/big.txt").body.len(), 100_000);
    let packed = "GET /packed HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n";
    let packed = client.ask(packed);
    assert_eq!(packed.header("transfer-encoding"), Some("chunked"));
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(client.get("a.example", "/nowhere").status, 404);
    assert_eq!(
        get(gateway.address(), "a.example", "/small.txt").header("server"),
        Some("istio-envoy")
    );
}

#[test]
fn haproxy_behind_the_gateway_passes_on_what_it_is_given() {
    let Some(program) = tools::find("haproxy") else { return };
    let behind = serve(|head| {
        let body = head.to_ascii_lowercase();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let folder = Folder::new();
    let (_haproxy, backend) = started(|address| {
        let mut config = String::new();
        write!(
            config,
            "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend f\n  bind {address}\n  http-request deny deny_status 429 if {{ path /full }}\n  default_backend b\n\
             backend b\n  server s {behind}\n"
        )
        .unwrap();
        folder.write("haproxy.cfg", &config);
        Process::start(Command::new(&program).args(["-db", "-f"]).arg(folder.0.join("haproxy.cfg")))
    });
    let folder = rules_to(backend);
    let gateway = Gateway::start(&folder, &[]);
    let mut client = Client::connect(gateway.address());
    for path in ["/one", "/two"] {
        let seen = client.get("a.example", path);
        assert_eq!(seen.status, 200);
        assert!(seen.body.starts_with(&format!("get {path} http/1.1\r\n")), "{}", seen.body);
        assert!(seen.body.contains("\r\nhost: a.example\r\n"), "{}", seen.body);
        assert!(seen.body.contains("\r\nx-request-id: "), "{}", seen.body);
    }
    assert_eq!(client.get("a.example", "/full").status, 429);
}

#[test]
fn a_browser_loads_a_page_and_what_its_script_asks_for() {
    let Some(program) = tools::find("chromium") else { return };
    let backend = serve(|head| {
        let (kind, body) = if head.starts_with("GET /data ") {
            ("application/json", r#"{"from":"the service"}"#.to_owned())
        } else {
            let script = "fetch('/data').then(it => it.json()).then(it => { document.body.id = 'done'; \
                          document.querySelector('p').textContent = 'loaded ' + it.from; })";
            (
                "text/html",
                format!("<!doctype html><title>t</title><p>empty</p><script>{script}</script>"),
            )
        };
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
    });
    let folder = rules_to(backend);
    let gateway = Gateway::start(&folder, &[]);
    let profile = Folder::new();
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", profile.path()))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("http://{}/page", gateway.address()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.contains("<p>loaded the service</p>"), "{page}{output:?}");
}
