//! `cargo xtask bench apiserver`: what the embedded Kubernetes API does in how long, and what it needs for it.
//!
//! The subject is the real binary with a store on disk: every write is durable before it is answered. Load and subject share the
//! machine, so the figures are lower bounds of what the server does alone. ConfigMaps have 1 KiB of data.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

#[path = "support/report.rs"]
mod report;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use report::{ended, quantile, sample};

/// How much is measured.
#[derive(Clone, Copy)]
struct Plan {
    /// Seconds of load for one sample.
    seconds: u64,
    many: usize,
    watchers: usize,
}

const FULL: Plan = Plan { seconds: 5, many: 50_000, watchers: 1_000 };
const QUICK: Plan = Plan { seconds: 1, many: 12_000, watchers: 100 };
/// Changes a second, of which every watcher is told.
const CHANGES: u64 = 100;
/// Watches of one connection.
const STREAMS: usize = 50;
/// What the allocator holds for a while goes back within ten seconds.
const REST: Duration = Duration::from_secs(12);
/// How many objects are listed.
const LISTED: usize = 10_000;
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WATCHED: &str = "/api/v1/namespaces/kube-public/configmaps";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(plan) = report::asked(&words, FULL, QUICK) else { return ExitCode::SUCCESS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ended(runtime.map_err(anyhow::Error::from).and_then(|it| it.block_on(run(plan))))
}

async fn run(plan: Plan) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let server = Server::start(folder.path())?;
    sample("start, empty", "ready", "ms", server.ready.as_secs_f64() * 1e3);
    sample("memory, empty", "resident", "MiB", server.memory_at_rest()?);
    creates(&server, plan, 1).await?;
    creates(&server, plan, 32).await?;
    gets(&server).await?;
    fill(&server, 0, LISTED).await?;
    let case = format!("memory, {LISTED} ConfigMaps");
    sample(&case, "resident", "MiB", server.memory_at_rest()?);
    lists(&server).await?;
    // The one is what others have told of the original.
    watches(&server, plan, 1).await?;
    watches(&server, plan, plan.watchers).await?;
    fill(&server, LISTED, plan.many).await?;
    let many = plan.many;
    let case = format!("memory, {many} ConfigMaps");
    sample(&case, "resident", "MiB", server.memory_at_rest()?);
    drop(server);
    let server = Server::start(folder.path())?;
    sample(&format!("start, {many} ConfigMaps"), "ready", "ms", server.ready.as_secs_f64() * 1e3);
    sample(
        &format!("memory after a start, {many} ConfigMaps"),
        "resident",
        "MiB",
        server.memory_at_rest()?,
    );
    Ok(())
}

/// The server under load.
struct Server {
    child: Child,
    ready: Duration,
    address: String,
    token: String,
    roots: Arc<rustls::RootCertStore>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        // Without a signal it is waited for in vain; then the benchmark is ended by whoever began it.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let kubeconfig = folder.join("kubeconfig");
        let program =
            std::env::var_os("SERIN_BINARY").unwrap_or(env!("CARGO_BIN_EXE_serin").into());
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(["apiserver", "--listen", "127.0.0.1:0", "--log-level", "error", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let ready = begun.elapsed();
        ensure!(line.starts_with("ready"), "the server did not start: {line}");
        let text = std::fs::read_to_string(&kubeconfig)?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
            line.map(|it| it.trim().trim_matches('"').to_owned())
                .context("a kubeconfig lacks a field")
        };
        let authority = field("certificate-authority-data:")
            .or_else(|_| field("- certificate-authority-data:"))?;
        let authority = base64::engine::general_purpose::STANDARD.decode(authority)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(
            CertificateDer::from_pem_slice(&authority).map_err(|it| anyhow::anyhow!("{it:?}"))?,
        )?;
        let address = field("server:")?.trim_start_matches("https://").to_owned();
        let token = field("token:").or_else(|_| field("- token:"))?;
        Ok(Self { child, ready, address, token, roots: Arc::new(roots) })
    }

    /// What of the process is in memory once it has had nothing to do for a while, in MiB.
    fn memory_at_rest(&self) -> anyhow::Result<f64> {
        std::thread::sleep(REST);
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    async fn connect(&self, protocol: &[u8]) -> anyhow::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(Arc::new(config)).connect("localhost".try_into()?, stream).await?)
    }

    /// A connection of HTTP/1.1.
    async fn client(&self) -> anyhow::Result<Client> {
        let stream = self.connect(b"http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Client { sender, authorization: format!("Bearer {}", self.token) })
    }
}

struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    authorization: String,
}

impl Client {
    /// One request with its whole answer, and how long that took.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<(Duration, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let begun = Instant::now();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let code = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        ensure!(code.is_success(), "{path}: {code} {}", String::from_utf8_lossy(&bytes));
        Ok((begun.elapsed(), bytes))
    }
}

fn map(name: &str, number: usize) -> String {
    let labels = json!({"tenth": (number % 10).to_string()});
    json!({"metadata": {"name": name, "labels": labels}, "data": {"text": "x".repeat(1024)}})
        .to_string()
}

async fn creates(server: &Server, plan: Plan, clients: usize) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    let tasks = (0..clients).map(|client| async move {
        let mut connection = server.client().await?;
        let mut times = Vec::new();
        while Instant::now() < end {
            let name = format!("create-{clients}-{client}-{}", times.len());
            times.push(connection.send(Method::POST, MAPS, map(&name, 1)).await?.0);
        }
        // What was made is no part of what is listed later.
        for number in 0..times.len() {
            let path = format!("{MAPS}/create-{clients}-{client}-{number}");
            connection.send(Method::DELETE, &path, String::new()).await?;
        }
        Ok::<_, anyhow::Error>(times)
    });
    let mut times = futures_util::future::try_join_all(tasks).await?.concat();
    let case = format!("durable creates, {clients} clients");
    sample(&case, "rate", "1/s", times.len() as f64 / plan.seconds as f64);
    sample(&case, "p50", "ms", quantile(&mut times, 0.5));
    Ok(())
}

async fn gets(server: &Server) -> anyhow::Result<()> {
    let mut client = server.client().await?;
    client.send(Method::POST, MAPS, map("one", 1)).await?;
    let path = format!("{MAPS}/one");
    let mut times = Vec::new();
    for _ in 0..2_000 {
        times.push(client.send(Method::GET, &path, String::new()).await?.0);
    }
    client.send(Method::DELETE, &path, String::new()).await?;
    sample("get", "p50", "ms", quantile(&mut times, 0.5));
    sample("get", "p99", "ms", quantile(&mut times, 0.99));
    Ok(())
}

/// Makes ConfigMaps with the numbers `from` up to `to`.
async fn fill(server: &Server, from: usize, to: usize) -> anyhow::Result<()> {
    let next = AtomicUsize::new(from);
    let tasks = (0..32).map(|_| async {
        let mut client = server.client().await?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= to {
                return Ok::<_, anyhow::Error>(());
            }
            client.send(Method::POST, MAPS, map(&format!("many-{number}"), number)).await?;
        }
    });
    futures_util::future::try_join_all(tasks).await.map(|_| ())
}

async fn lists(server: &Server) -> anyhow::Result<()> {
    let mut client = server.client().await?;
    for (case, query) in [
        ("list of 10,000", "?resourceVersion=0"),
        ("list, a page of 500", "?limit=500"),
        ("list, a tenth by label", "?labelSelector=tenth%3D3"),
    ] {
        let mut times = Vec::new();
        for _ in 0..9 {
            let (time, bytes) =
                client.send(Method::GET, &format!("{MAPS}{query}"), String::new()).await?;
            ensure!(bytes.len() > 500_000, "{case}: the list has {} bytes only", bytes.len());
            times.push(time);
        }
        sample(case, "p50", "ms", quantile(&mut times, 0.5));
    }
    Ok(())
}

/// Many watchers, each of which is told of every change; how long after the beginning of the write.
async fn watches(server: &Server, plan: Plan, count: usize) -> anyhow::Result<()> {
    let mut client = server.client().await?;
    let made = client.send(Method::POST, WATCHED, map("watched", 0)).await?.1;
    let made: Value = serde_json::from_slice(&made)?;
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let begun = Instant::now();
    let mut watchers = Vec::new();
    for first in (0..count).step_by(STREAMS) {
        let stream = server.connect(b"h2").await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        for _ in first..count.min(first + STREAMS) {
            let mut sender: http2::SendRequest<Full<Bytes>> = sender.clone();
            let request = Request::get(format!(
                "https://localhost{WATCHED}?watch=true&resourceVersion={revision}"
            ))
            .header("authorization", format!("Bearer {}", server.token))
            .body(Full::new(Bytes::new()))?;
            let mut body = sender.send_request(request).await?.into_body();
            watchers.push(tokio::spawn(async move {
                let (mut times, mut text) = (Vec::new(), Vec::new());
                let wanted = usize::try_from(CHANGES * plan.seconds)?;
                while times.len() < wanted {
                    let frame = body.frame().await.context("a watch ended")??;
                    text.extend_from_slice(frame.data_ref().context("no data")?);
                    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = text.drain(..=end).collect();
                        let line = String::from_utf8_lossy(&line);
                        let at = line.split("\"at\":\"").nth(1).and_then(|it| it.split('"').next());
                        let at = Duration::from_nanos(at.context("no time")?.parse()?);
                        times.push(begun.elapsed().saturating_sub(at));
                    }
                }
                Ok::<_, anyhow::Error>(times)
            }));
        }
    }
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / CHANGES));
    let path = format!("{WATCHED}/watched");
    for _ in 0..CHANGES * plan.seconds {
        ticks.tick().await;
        let at = begun.elapsed().as_nanos().to_string();
        let object =
            json!({"metadata": {"name": "watched"}, "data": {"at": at, "text": "x".repeat(512)}});
        client.send(Method::PUT, &path, object.to_string()).await?;
    }
    let mut times = Vec::new();
    for watcher in watchers {
        times.extend(watcher.await??);
    }
    client.send(Method::DELETE, &path, String::new()).await?;
    let case = format!("{count} watchers, {CHANGES} changes/s");
    sample(&case, "p50", "ms", quantile(&mut times, 0.5));
    sample(&case, "p99", "ms", quantile(&mut times, 0.99));
    Ok(())
}
