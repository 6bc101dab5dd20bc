//! `cargo xtask bench release`: how long users meet a bad version on a whole cluster, and how many of them.
//!
//! The real binary makes a cluster; users send 100 requests a second through its gateway; one version after the other is released of
//! which 5 % of the answers are errors, in steps of 10 % each 5 s. Time is counted from the first bad answer to the moment at which
//! every proxy is known to send everybody to the primary again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "samples are printed")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// Threads that ask, each so often.
const USERS: u32 = 20;
const EVERY: Duration = Duration::from_millis(200);
/// An address of this benchmark's own.
const GATEWAY: &str = "127.83.69.82";
const IMAGE: &str = "docker.io/istio/examples-helloworld";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bench"] => 20,
        ["--quick", "--bench"] | ["--bench", "--quick"] => 5,
        // As a test, all there is to find out is that it builds.
        _ => return ExitCode::SUCCESS,
    };
    match run(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: usize) -> anyhow::Result<()> {
    for is_mirrored in [false, true] {
        let cluster = Cluster::start()?;
        cluster.set_up(is_mirrored)?;
        let (mut durations, mut failures) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let (seconds, failed) = cluster.round(round)?;
            eprintln!("round {round}: {seconds:.1} s, {failed} requests of users failed");
            durations.push(seconds);
            failures.push(failed);
        }
        let case = if is_mirrored { "mirrored first" } else { "by steps" };
        let told: [(&mut Vec<f64>, _, _); 2] = [
            (&mut durations, "first bad answer to all at the primary", "s"),
            (&mut failures, "requests of users that failed", "requests"),
        ];
        for (values, metric, unit) in told {
            values.sort_by(f64::total_cmp);
            for (part, name) in [(0.5, "median"), (0.95, "p95")] {
                let rank = (values.len() as f64 * part).ceil() as usize;
                let value = values.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN);
                let metric = format!("{metric}, {name}");
                let sample = json!({"case": case, "subject": "serin", "metric": metric, "unit": unit, "value": value});
                println!("{sample}");
            }
        }
    }
    Ok(())
}

/// A cluster that ends with the benchmark.
struct Cluster {
    process: Child,
    folder: PathBuf,
    gateway: String,
}

impl Cluster {
    fn start() -> anyhow::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("serin-bench-release-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let own = std::env::var_os("SERIN_BINARY").unwrap_or(env!("CARGO_BIN_EXE_serin").into());
        let mut process = Command::new(own)
            .arg("up")
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--kubeconfig")
            .arg(folder.join("kubeconfig"))
            .args(["--gateway-address", GATEWAY])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start serin up")?;
        let output = process.stdout.take().context("the output is piped")?;
        let mut cluster = Self { process, folder, gateway: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            let gateway = line.split(" gateway http://").nth(1).and_then(|it| it.split(' ').next());
            let Some(gateway) = gateway.filter(|_| line.starts_with("ready")) else { continue };
            // Users other than root have another port.
            let port = if gateway.contains(':') { "" } else { ":80" };
            cluster.gateway = format!("{gateway}{port}");
            return Ok(cluster);
        }
        bail!("serin up ends before it is ready")
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.folder.join("kubeconfig")).args(arguments);
        let output = command.output().context("cannot start kubectl")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {arguments:?}: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn set_up(&self, is_mirrored: bool) -> anyhow::Result<()> {
        self.kubectl(&["label", "namespace", "default", "istio-injection=enabled"])?;
        let file = self.folder.join("objects.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects(is_mirrored)});
        std::fs::write(&file, list.to_string())?;
        self.kubectl(&["apply", "-f", path(&file)?])?;
        self.wait("canary/hello", "jsonpath={.status.phase}=Initialized")?;
        self.wait("virtualservice/hello", "condition=Live")
    }

    fn wait(&self, object: &str, what: &str) -> anyhow::Result<()> {
        let object = object.replace("canary/", "canaries.serin.dev/");
        self.kubectl(&["wait", &object, &format!("--for={what}"), "--timeout=180s"]).map(|_| ())
    }

    /// A bad version, from its release to its end: seconds from the first bad answer, and bad answers.
    fn round(&self, round: usize) -> anyhow::Result<(f64, f64)> {
        let users = Users::start(&self.gateway);
        // Another version each time, so that it is a release.
        let patch = json!({"spec": {"template": {
            "metadata": {"annotations": {"round": round.to_string()}},
            "spec": {"containers": [{"name": "hello", "env": [{"name": "SERIN_SAMPLE_ERRORS", "value": "5%"}]}]},
        }}});
        self.kubectl(&["patch", "deployment", "hello", "-p", &patch.to_string()])?;
        self.wait("canary/hello", "jsonpath={.status.phase}=Progressing")?;
        self.wait("canary/hello", "jsonpath={.status.phase}=Failed")?;
        self.wait("virtualservice/hello", "condition=Live")?;
        let end = Instant::now();
        let failed = users.stop();
        let first = failed.iter().min();
        let seconds =
            first.map_or(0.0, |first| end.saturating_duration_since(*first).as_secs_f64());
        Ok((seconds, failed.len() as f64))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whatever is left ends with it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn path(file: &Path) -> anyhow::Result<&str> {
    file.to_str().context("the folder for temporary files has a name that is no text")
}

fn objects(is_mirrored: bool) -> Vec<Value> {
    let gateway = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "gateway"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {"terminationGracePeriodSeconds": 2, "containers": [{
                    "name": "hello", "image": format!("{IMAGE}-v1:1.0"), "ports": [{"containerPort": 5000}],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": 5000}, "periodSeconds": 1},
                }]},
            },
        },
    });
    let mut analysis = json!({
        "interval": "5s", "threshold": 5, "stepWeight": 10, "maxWeight": 50, "sequential": {"unit": "request"},
    });
    if is_mirrored {
        (analysis["mirror"], analysis["iterations"]) = (json!(true), json!(100));
    }
    let canary = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "hello"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
            "service": {"port": 5000, "gateways": ["gateway"], "hosts": ["*"]},
            "analysis": analysis,
        },
    });
    vec![gateway, deployment, canary]
}

/// Users who ask at their times, whatever the answers.
struct Users {
    is_over: Arc<AtomicBool>,
    /// When bad answers came.
    failed: Arc<Mutex<Vec<Instant>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Users {
    fn start(gateway: &str) -> Self {
        let (is_over, failed) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let start = Instant::now();
        let threads = (0..USERS).map(|user| {
            let (is_over, failed) =
                (Arc::clone(&is_over), Arc::<Mutex<Vec<Instant>>>::clone(&failed));
            let gateway = gateway.to_owned();
            std::thread::spawn(move || {
                let mut due = start + EVERY * user / USERS;
                let mut connection = None;
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += EVERY;
                    if !ask(&gateway, &mut connection).unwrap_or(false) {
                        connection = None;
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { is_over, failed, threads }
    }

    fn stop(self) -> Vec<Instant> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // One that panicked has told.
            let _ = thread.join();
        }
        std::mem::take(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request; whether the answer is good.
fn ask(gateway: &str, connection: &mut Option<TcpStream>) -> anyhow::Result<bool> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(gateway)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            connection.insert(stream)
        }
    };
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: hello.example\r\n\r\n")?;
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part)?;
        ensure!(read > 0, "the connection has ended");
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length =
            length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(head.starts_with("HTTP/1.1 200"));
        }
    }
}
