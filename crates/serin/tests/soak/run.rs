//! A gateway under load whose configuration changes and whose upstreams come and go: what the test of 20 s and the benchmark of five
//! minutes have in common.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serin_testkit::Process;

const CLIENTS: usize = 8;
const CHANGE: Duration = Duration::from_millis(50);

/// How it went.
#[derive(Debug)]
pub(crate) struct Report {
    /// Requests that were answered by 200.
    pub(crate) answered: u64,
    /// What became of others.
    pub(crate) failures: Vec<String>,
    /// What the gateway held after a third of the time, and in the end.
    pub(crate) early: Usage,
    pub(crate) late: Usage,
    /// How often the configuration was changed.
    pub(crate) changes: u64,
    /// Versions of it that were in force.
    pub(crate) versions: u64,
}

/// Changes twenty times a second, under load, for so long.
pub(crate) fn run(time: Duration) -> Report {
    let upstreams: Vec<Upstream> = ["one", "two", "three"].map(Upstream::start).into();
    let folder = tempfile::tempdir().expect("a folder for manifests");
    let manifests = folder.path().join("routes.yaml");
    write(&manifests, &upstreams, 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args([
        "gateway",
        "--address",
        "127.0.0.1",
        "--port-map",
        "8080=0",
        "--admin",
        "127.0.0.1:0",
        "--log-level",
        "error",
    ]);
    let gateway = Process::start(command.arg("-f").arg(&manifests));
    let ready = gateway.wait_for(|line| line.starts_with("ready"));
    let addresses: Vec<SocketAddr> =
        ready.split([' ', ',', ';']).filter_map(|word| word.parse().ok()).collect();
    let [address, admin] = addresses[..] else { panic!("the line names two addresses: {ready}") };

    let (over, counts) = (AtomicBool::new(false), Counts::default());
    let mut changes = 0;
    let (early, late) = thread::scope(|scope| {
        let _over = Over(&over);
        for client in 0..CLIENTS {
            let (over, counts) = (&over, &counts);
            scope.spawn(move || ask(address, client, over, counts));
        }
        let begun = Instant::now();
        let mut early = None;
        for round in 1_u64.. {
            let next = begun + CHANGE * u32::try_from(round).expect("rounds are few");
            write(&manifests, &upstreams, round);
            changes = round;
            // The last of the upstreams goes away for five rounds of forty; the second one as often, at other times.
            match round % 40 {
                0 => upstreams[2].stop(),
                5 => upstreams[2].restart(),
                20 => upstreams[1].stop(),
                25 => upstreams[1].restart(),
                _ => {}
            }
            let elapsed = begun.elapsed();
            if elapsed >= time / 3 && early.is_none() {
                early = Some(Usage::of(gateway.id()));
            }
            if elapsed >= time {
                break;
            }
            thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
        (early.expect("a third of the time has passed"), Usage::of(gateway.id()))
    });

    let failures = counts.failures.into_inner().expect("no client panics");
    let versions = version(admin).expect("the admin interface tells the version");
    Report { answered: counts.answered.into_inner(), failures, early, late, changes, versions }
}

/// The version of the configuration that is in force.
fn version(admin: SocketAddr) -> Option<u64> {
    let mut stream = TcpStream::connect(admin).ok()?;
    let request = "GET /stats/prometheus HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("serin_config_version ")?.parse().ok())
}

/// The rules of a round: weights, a header, a direct answer and the number of rules change; who answers stays explained.
fn write(file: &Path, upstreams: &[Upstream], round: u64) {
    let [one, two, three] = [0, 1, 2].map(|index| upstreams[index].address.port());
    let weight = round * 7 % 101;
    let more: String = (0..round % 5)
        .map(|index| {
            format!("  - match: [{{uri: {{exact: /extra-{round}-{index}}}}}]\n    directResponse: {{status: 204}}\n")
        })
        .collect();
    let text = format!(
        r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{app: edge}}
  servers: [{{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: steady}}
spec:
  hosts: [steady.test]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {one}}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shaky}}
spec:
  hosts: [shaky.test]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: {two}}}}}
  - {{address: 127.0.0.1, ports: {{http: {three}}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes}}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
{more}  - match: [{{uri: {{prefix: /steady}}}}]
    headers: {{response: {{set: {{x-round: "{round}"}}}}}}
    route: [{{destination: {{host: steady.test}}}}]
  - match: [{{uri: {{prefix: /shaky}}}}]
    retries: {{attempts: 5, retryOn: "5xx,connect-failure,reset"}}
    route:
    - {{destination: {{host: shaky.test}}, weight: {weight}}}
    - {{destination: {{host: steady.test}}, weight: {}}}
"#,
        100 - weight
    );
    // A file appears whole or not at all.
    let new = file.with_extension("new");
    fs::write(&new, text).expect("our folder");
    fs::rename(&new, file).expect("our folder");
}

/// Ends the clients, also when the test fails.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// Asks again and again, on a connection as long as it lasts.
fn ask(address: SocketAddr, client: usize, over: &AtomicBool, counts: &Counts) {
    let path = if client.is_multiple_of(2) { "/steady" } else { "/shaky" };
    let mut connection: Option<BufReader<TcpStream>> = None;
    while !over.load(Ordering::Relaxed) {
        let open = connection.take().map_or_else(|| connect(address), Ok);
        let answer = open.and_then(|mut open| {
            let status = request(&mut open, path)?;
            Ok((open, status))
        });
        match answer {
            Ok((open, 200)) => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                connection = Some(open);
            }
            Ok((_, status)) => counts.failed(format!("{path}: {status}")),
            Err(error) => counts.failed(format!("{path}: {error}")),
        }
    }
}

impl Counts {
    fn failed(&self, what: String) {
        let mut failures = self.failures.lock().expect("no client panics");
        if failures.len() < 20 {
            failures.push(what);
        }
    }
}

fn connect(address: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(serin_testkit::PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// One request; the status of its answer.
fn request(connection: &mut BufReader<TcpStream>, path: &str) -> std::io::Result<u16> {
    let text = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    connection.get_mut().write_all(text.as_bytes())?;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {line:?}")))?;
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    connection.read_exact(&mut vec![0; length])?;
    Ok(status)
}

/// An HTTP server that breaks down and comes back. Its port stays its own meanwhile: a port given up could become the other end
/// of a connection to itself.
struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_down: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Upstream {
    fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::<State>::default();
        let upstream = Self { address, state: Arc::clone(&state) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut connections = state.connections.lock().expect("nobody panics");
                if !state.is_down.load(Ordering::Acquire) {
                    connections.extend(stream.try_clone());
                    thread::spawn(move || serve(name, stream));
                }
            }
        });
        upstream
    }

    /// Breaks off everything, and what comes.
    fn stop(&self) {
        self.state.is_down.store(true, Ordering::Release);
        for connection in self.state.connections.lock().expect("nobody panics").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn restart(&self) {
        self.state.is_down.store(false, Ordering::Release);
    }
}

fn serve(name: &str, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(2) => {
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Ok(1..) => {}
            _ => return,
        }
    }
}

/// What a process holds.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) descriptors: usize,
    /// Resident, in bytes.
    pub(crate) memory: u64,
}

impl Usage {
    fn of(process: u32) -> Self {
        let folder = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(folder.join("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            descriptors: fs::read_dir(folder.join("fd")).expect("it runs").count(),
            memory: kilobytes.expect("Linux tells it") * 1024,
        }
    }
}
