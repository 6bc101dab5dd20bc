//! What is measured, in which order.

use std::fs;
use std::io::{BufRead, BufReader};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serin_testkit::tools;

use crate::Plan;
use crate::subjects::{self, BackendProcess, LOAD_CORE, Subject, pinned};
use crate::usage::{memory, processor_time, ticks};

/// Requests per second of the fixed rate.
const RATE: u32 = 10_000;

/// One kind of load; its answer is how many requests it made.
struct Case {
    name: &'static str,
    load: Load,
}

enum Load {
    /// wrk: over TLS or not, a path, on new connections or kept ones.
    Wrk { tls: bool, path: &'static str, is_new: bool },
    /// h2load: over TLS or not, clients, streams of each, gRPC or not.
    H2load { tls: bool, clients: u32, streams: u32, grpc: bool },
}

const fn kept(name: &'static str, tls: bool, path: &'static str) -> Case {
    Case { name, load: Load::Wrk { tls, path, is_new: false } }
}

const CASES: [Case; 13] = [
    kept("http/1 1 KiB", false, "/1k"),
    kept("http/1 0 B", false, "/0"),
    kept("http/1 64 KiB", false, "/64k"),
    kept("http/1 10 MiB", false, "/10m"),
    kept("http/1 tls 1 KiB", true, "/1k"),
    kept("http/1 tls 64 KiB", true, "/64k"),
    Case {
        name: "http/2 8x16",
        load: Load::H2load { tls: false, clients: 8, streams: 16, grpc: false },
    },
    Case {
        name: "http/2 64x1",
        load: Load::H2load { tls: false, clients: 64, streams: 1, grpc: false },
    },
    Case {
        name: "http/2 tls 8x16",
        load: Load::H2load { tls: true, clients: 8, streams: 16, grpc: false },
    },
    Case {
        name: "grpc 8x16",
        load: Load::H2load { tls: false, clients: 8, streams: 16, grpc: true },
    },
    Case { name: "new connections", load: Load::Wrk { tls: false, path: "/0", is_new: true } },
    Case { name: "new connections tls", load: Load::Wrk { tls: true, path: "/0", is_new: true } },
    kept("http/1 1 KiB again", false, "/1k"),
];

/// Of Serin alone: what others do with so many rules is known from the routing benchmark's linear scan.
const MANY_RULES: Case = kept("http/1 1 KiB, 10,000 rules", false, "/1k");
/// So many they are.
const RULES: usize = 10_000;

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures everything.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let folder = Folder(std::env::temp_dir().join(format!("serin-bench-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    make_certificate(&folder.0)?;
    let backend = BackendProcess::start()?;
    let subjects = subjects::start(&folder.0, backend.backends)?;
    let with_many_rules = subjects::serin(&folder.0, backend.backends, RULES)?;
    for subject in &subjects {
        sample("memory", subject, "idle", "MiB", memory(subject.process())? / 1024.0);
    }
    let bench = Bench { folder: &folder.0, seconds: plan.seconds };
    for round in 0..plan.rounds {
        for case in &CASES {
            eprintln!("round {} of {}: {}", round + 1, plan.rounds, case.name);
            let measured = subjects.iter().map(|it| Ok((it, bench.measure(case, it)?)));
            let measured = measured.collect::<anyhow::Result<Vec<_>>>()?;
            compare(case.name, &measured);
        }
        bench.measure(&MANY_RULES, &with_many_rules)?;
        bench.rate(backend.backends.one, &subjects)?;
    }
    for subject in &subjects {
        sample("memory", subject, "after load", "MiB", memory(subject.process())? / 1024.0);
    }
    drop((subjects, with_many_rules));
    idle_connections(plan, &folder.0, backend.backends)
}

/// Memory of idle connections, of subjects that have done nothing else.
fn idle_connections(
    plan: &Plan,
    folder: &Path,
    backends: subjects::Backends,
) -> anyhow::Result<()> {
    for (kind, is_tls) in [("idle connection", false), ("idle tls connection", true)] {
        for &count in plan.idle {
            for subject in subjects::start(folder, backends)? {
                // What a subject may not have would wait for others to go, without end.
                let count = count.min(subject.connections);
                // What the first request of all takes is not the connections': code, tables, a connection to a backend.
                drop(Held::open(&subject, 1, is_tls, folder)?);
                let before = memory(subject.process())?;
                let held = Held::open(&subject, count, is_tls, folder)
                    .with_context(|| format!("{count} {kind}s of {}", subject.name))?;
                let after = memory(subject.process())?;
                let case = format!("{count} {kind}s");
                sample(&case, &subject, "memory", "MiB", after / 1024.0);
                sample(&case, &subject, "memory each", "KiB", (after - before) / count as f64);
                drop(held);
            }
        }
    }
    Ok(())
}

/// Idle connections, closed in the end.
struct Held(std::process::Child);

impl Held {
    fn open(subject: &Subject, count: usize, is_tls: bool, folder: &Path) -> anyhow::Result<Self> {
        let port = if is_tls { subject.tls } else { subject.plain };
        let authority = if is_tls { folder.join("ca.crt") } else { PathBuf::new() };
        let mut command = pinned(LOAD_CORE, &std::env::current_exe()?);
        command.args(["idle", &format!("127.0.0.1:{port}"), &count.to_string()]).arg(authority);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let held = Self(child);
        ensure!(line == "ready\n", "the connections could not be opened");
        std::thread::sleep(Duration::from_millis(300));
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Bench<'b> {
    folder: &'b Path,
    seconds: u32,
}

impl Bench<'_> {
    /// Processor time of a request, in µs.
    fn measure(&self, case: &Case, subject: &Subject) -> anyhow::Result<f64> {
        let (before, ticked) = (processor_time(subject.process())?, ticks(subject.process())?);
        let (requests, seconds) = self
            .load(&case.load, subject)
            .with_context(|| format!("{} of {}", case.name, subject.name))?;
        let spent = processor_time(subject.process())? - before;
        ensure!(requests > 0.0, "no request was answered");
        let each = spent / requests / 1e3;
        sample(case.name, subject, "cpu", "µs/request", each);
        let (own, system) = ticks(subject.process())?;
        let (own, system) = (own - ticked.0, system - ticked.1);
        sample(
            case.name,
            subject,
            "cpu, the system's share",
            "%",
            100.0 * system / (own + system).max(1.0),
        );
        sample(case.name, subject, "throughput", "requests/s", requests / seconds);
        sample(case.name, subject, "memory", "MiB", memory(subject.process())? / 1024.0);
        Ok(each)
    }

    /// Requests that were answered, and the seconds that took.
    fn load(&self, load: &Load, subject: &Subject) -> anyhow::Result<(f64, f64)> {
        match *load {
            Load::Wrk { tls, path, is_new } => self.wrk(subject, tls, path, is_new),
            Load::H2load { tls, clients, streams, grpc } => {
                self.h2load(subject, tls, (clients, streams), grpc)
            }
        }
    }

    fn wrk(
        &self,
        subject: &Subject,
        tls: bool,
        path: &str,
        is_new: bool,
    ) -> anyhow::Result<(f64, f64)> {
        let (scheme, port) = if tls { ("https", subject.tls) } else { ("http", subject.plain) };
        let connections = if path == "/10m" { "8" } else { "64" };
        let mut command = pinned(LOAD_CORE, &program("wrk")?);
        command.args(["-t1", "-c", connections, "-d", &format!("{}s", self.seconds)]);
        command.args(["-H", "Host: bench.test"]);
        if is_new {
            command.args(["-H", "connection: close"]);
        }
        let text = output(command.arg(format!("{scheme}://127.0.0.1:{port}{path}")))?;
        ensure!(!text.contains("Non-2xx"), "{text}");
        let line = text.lines().find(|line| line.contains(" requests in ")).context("no result")?;
        let mut words = line.split_whitespace();
        let requests = words.next().unwrap_or_default().parse()?;
        let seconds = words.nth(2).unwrap_or_default().trim_end_matches([',', 's']).parse()?;
        Ok((requests, seconds))
    }

    fn h2load(
        &self,
        subject: &Subject,
        tls: bool,
        (clients, streams): (u32, u32),
        grpc: bool,
    ) -> anyhow::Result<(f64, f64)> {
        let (scheme, port) = if tls { ("https", subject.tls) } else { ("http", subject.http2) };
        let mut command = pinned(LOAD_CORE, &program("h2load")?);
        command.args(["-t1", "-c", &clients.to_string(), "-m", &streams.to_string()]);
        command.args(["-D", &self.seconds.to_string(), "-H", ":authority: bench.test"]);
        let path = if grpc { "/grpc.Bench/Call" } else { "/1k" };
        if grpc {
            let message = self.folder.join("message");
            fs::write(&message, [&[0, 0, 0, 0, 100][..], &[b'x'; 100]].concat())?;
            command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"]);
            command.arg(message);
        }
        let text = output(command.arg(format!("{scheme}://127.0.0.1:{port}{path}")))?;
        let number = |line: &str, after: &str| -> Option<f64> {
            text.lines()
                .find(|it| it.starts_with(line))?
                .split(", ")
                .find_map(|part| part.strip_suffix(after)?.rsplit(' ').next()?.parse().ok())
        };
        let requests = number("requests:", " succeeded").context("no result")?;
        ensure!(number("status codes:", " 5xx").unwrap_or(0.0) == 0.0, "{text}");
        Ok((requests, f64::from(self.seconds)))
    }

    /// Latency at a fixed rate: of the backend itself, and through each subject.
    fn rate(&self, backend: u16, subjects: &[Subject]) -> anyhow::Result<()> {
        eprintln!("latency at {RATE}/s");
        let mut command = pinned(LOAD_CORE, &std::env::current_exe()?);
        // Long enough that a single stall does not make the p99.
        command.args(["rate", &RATE.to_string(), &(3 * self.seconds + 1).to_string()]);
        let ports = iter::once(backend).chain(subjects.iter().map(|it| it.plain));
        let text = output(command.args(ports.map(|port| format!("127.0.0.1:{port}"))))?;
        let names = iter::once("direct").chain(subjects.iter().map(|it| it.name));
        for (name, line) in names.zip(text.lines()) {
            for (metric, value) in ["p50", "p99", "p99.9"].iter().zip(line.split(' ')) {
                print(&format!("latency at {RATE}/s"), name, metric, "µs", value.parse()?);
            }
        }
        Ok(())
    }
}

/// What the first subject took, of what each of the others took in the same round.
fn compare(case: &str, measured: &[(&Subject, f64)]) {
    let Some(((first, own), others)) = measured.split_first() else { return };
    for (other, theirs) in others {
        sample(case, first, &format!("cpu, of {}", other.name), "", own / theirs);
    }
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    tools::find(name).with_context(|| format!("{name} is not installed: `cargo xtask tools`"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} fails:\n{text}{error}");
    Ok(text)
}

fn sample(case: &str, subject: &Subject, metric: &str, unit: &str, value: f64) {
    print(case, subject.name, metric, unit, value);
}

fn print(case: &str, subject: &str, metric: &str, unit: &str, value: f64) {
    let sample = serde_json::json!({
        "case": case, "subject": subject, "metric": metric, "unit": unit, "value": value,
    });
    println!("{sample}");
}

/// An authority and a certificate by it (ECDSA P-256), as files.
fn make_certificate(folder: &Path) -> anyhow::Result<()> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate()?;
    let params = rcgen::CertificateParams::new(vec!["bench.test".to_owned()])?;
    fs::write(folder.join("tls.crt"), params.signed_by(&own, &issuer)?.pem())?;
    fs::write(folder.join("tls.key"), own.serialize_pem())?;
    Ok(())
}
