//! Load: from pod to pod, and through the gateway while the pods behind it are replaced.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::ask::Asker;
use crate::report::{quantile, sample};
use crate::up::Up;
use crate::{Plan, objects};

const CONNECTIONS: &str = "16";
/// The name of the pods that are asked.
const SERVER: &str = "server";
/// Pods that are replaced.
const REPLICAS: usize = 10;
/// Requests per second while they are.
const RATE: u32 = 2_000;
/// Connections on which they are sent.
const SENDERS: usize = 32;
/// Load before and after the update.
const AROUND: Duration = Duration::from_secs(1);

/// As much as goes through on a few connections, and what it costs the cluster's process.
pub(crate) async fn from_pod_to_pod(up: &Up, plan: Plan) -> anyhow::Result<()> {
    up.create(&objects::service(SERVER)).await?;
    up.create(&objects::deployment(SERVER, "v1", 1)).await?;
    up.available("server-v1", 1).await?;
    let path = up.told("load");
    let told = UnixDatagram::bind(&path)?;
    told.set_read_timeout(Some(Duration::from_secs(60 + plan.seconds)))?;
    let (at, seconds) = (path.to_string_lossy(), plan.seconds.to_string());
    let words = [&*at, "server:80", CONNECTIONS, &seconds];
    let pod = objects::deployment_of("loader", "loader", "load", &words);
    let pod = objects::telling(pod, &up.folder());
    up.create(&pod).await?;
    let next = || -> anyhow::Result<(Instant, String)> {
        let mut word = [0; 256];
        let length = told.recv(&mut word)?;
        Ok((Instant::now(), String::from_utf8_lossy(word.get(..length).unwrap_or_default()).into()))
    };
    let wait = |wanted: &str| -> anyhow::Result<(Instant, Duration)> {
        let (at, word) = next()?;
        ensure!(word == wanted, "{word} instead of {wanted}");
        Ok((at, up.processor_time()?))
    };
    let (begun, before) = wait("begun")?;
    let (ended, after) = wait("over")?;
    let (_, counted) = next()?;
    up.delete(&pod).await?;
    let numbers: Vec<f64> = counted.split(' ').filter_map(|it| it.parse().ok()).collect();
    let [requests, failed, p50, p99] = numbers.try_into().ok().context("not four numbers")?;
    let case = format!("pod to pod, {CONNECTIONS} connections, 1 KiB");
    sample(&case, "requests", "1/s", requests / (ended - begun).as_secs_f64());
    sample(&case, "processor time", "µs", (after - before).as_secs_f64() * 1e6 / requests);
    sample(&case, "p50", "ms", p50);
    sample(&case, "p99", "ms", p99);
    sample(&case, "failed", "", failed);
    Ok(())
}

/// Every pod of a Deployment is replaced while users ask at a fixed rate.
pub(crate) async fn rolling_update(up: &Up) -> anyhow::Result<()> {
    let (name, host) = ("server-v1", "server.example.com");
    up.patch(&objects::deployment(SERVER, "v1", 1), &json!({"spec": {"replicas": REPLICAS}}))
        .await?;
    up.create(&objects::rule_to(SERVER, host)).await?;
    up.available(name, REPLICAS).await?;
    let mut asker = Asker::new(&format!("{}:80", up.gateway), host);
    let begun = Instant::now();
    while asker.ask().is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(60), "the gateway does not lead to the pods");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let load = Load::start(up, host);
    tokio::time::sleep(AROUND).await;
    let begun = Instant::now();
    let again = json!({"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}});
    up.patch(&objects::deployment(SERVER, "v1", REPLICAS), &again).await?;
    up.available(name, REPLICAS).await?;
    let took = begun.elapsed();
    tokio::time::sleep(AROUND).await;
    let (mut times, lost) = load.end()?;
    let case = format!("rolling update, {REPLICAS} pods, {RATE} requests/s");
    sample(&case, "took", "s", took.as_secs_f64());
    sample(&case, "requests", "", (times.len() + lost.len()) as f64);
    sample(&case, "lost", "", lost.len() as f64);
    sample(&case, "p50", "ms", quantile(&mut times, 0.5));
    sample(&case, "p99", "ms", quantile(&mut times, 0.99));
    for error in lost.iter().take(5) {
        eprintln!("lost: {error}");
    }
    Ok(())
}

type Sent = (Vec<Duration>, Vec<String>);

/// Requests at fixed times, whether those before are answered or not; latency counts from the time when each was due.
struct Load {
    is_over: Arc<AtomicBool>,
    senders: Vec<thread::JoinHandle<Sent>>,
}

impl Load {
    fn start(up: &Up, host: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (next, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let sender = |_| {
            let (is_over, next) = (Arc::clone(&is_over), Arc::clone(&next));
            let mut asker = Asker::new(&format!("{}:80", up.gateway), host);
            thread::spawn(move || {
                let (mut times, mut lost) = (Vec::new(), Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    let due = begun
                        + Duration::from_secs(1) * next.fetch_add(1, Ordering::Relaxed) / RATE;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    match asker.ask() {
                        Ok(_) => times.push(due.elapsed()),
                        Err(error) => lost.push(error.to_string()),
                    }
                }
                (times, lost)
            })
        };
        let senders = (0..SENDERS).map(sender).collect();
        Self { is_over, senders }
    }

    fn end(self) -> anyhow::Result<Sent> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for sender in self.senders {
            let (times, lost) = sender.join().map_err(|_| anyhow::anyhow!("a thread died"))?;
            all.0.extend(times);
            all.1.extend(lost);
        }
        Ok(all)
    }
}
