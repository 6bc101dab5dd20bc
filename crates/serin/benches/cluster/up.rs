//! A running cluster: the subject.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::objects::NAMESPACE;
use crate::part::MARK;

/// What takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked whether something has come.
const LOOK: Duration = Duration::from_millis(10);

/// A cluster that ends when it is dropped.
pub(crate) struct Up {
    child: Child,
    folder: tempfile::TempDir,
    /// From the start of the process.
    pub(crate) ready: Duration,
    pub(crate) gateway: Ipv4Addr,
    client: OnceCell<kube::Client>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        // Without a signal it is waited for in vain; then the benchmark is ended by whoever began it.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Up {
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("told"))?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let part = std::env::current_exe()?;
        let image = |name: &str| format!("{name}:*={} {MARK} {name}", part.display());
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        let gateway = Ipv4Addr::new(127, high | 0x40, low, 1);
        let begun = Instant::now();
        // Another build may take the place of this one.
        let own = std::env::var_os("SERIN_BINARY").unwrap_or(env!("CARGO_BIN_EXE_serin").into());
        let mut child = Command::new(own)
            .current_dir(root)
            .args(["up", "--log-level", "error", "--gateway-address", &gateway.to_string()])
            .args(
                ["serve", "ask", "load"]
                    .iter()
                    .flat_map(|part| ["--image".to_owned(), image(part)]),
            )
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .arg("--kubeconfig")
            .arg(folder.path().join("kubeconfig"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let ready = begun.elapsed();
        ensure!(line.starts_with("ready"), "the cluster did not start: {line}");
        Ok(Self { child, folder, ready, gateway, client: OnceCell::new() })
    }

    /// Where parts in pods tell what they see.
    pub(crate) fn told(&self, name: &str) -> PathBuf {
        self.folder.path().join("told").join(name)
    }

    /// The folder of that.
    pub(crate) fn folder(&self) -> String {
        self.folder.path().join("told").to_string_lossy().into_owned()
    }

    async fn client(&self) -> anyhow::Result<&kube::Client> {
        let make = || async {
            let file = Kubeconfig::read_from(self.folder.path().join("kubeconfig"))?;
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
            anyhow::Ok(kube::Client::try_from(config)?)
        };
        self.client.get_or_try_init(make).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", kind).body(bytes)?;
        self.client().await?.request(request).await.with_context(|| path.to_owned())
    }

    pub(crate) async fn create(&self, object: &Value) -> anyhow::Result<()> {
        self.send(Method::POST, &folder_of(object), "application/json", Some(object)).await?;
        Ok(())
    }

    pub(crate) async fn delete(&self, object: &Value) -> anyhow::Result<()> {
        self.send(Method::DELETE, &path_of(object), "application/json", None).await?;
        Ok(())
    }

    /// Merges a change into an object.
    pub(crate) async fn patch(&self, object: &Value, change: &Value) -> anyhow::Result<()> {
        let kind = "application/merge-patch+json";
        self.send(Method::PATCH, &path_of(object), kind, Some(change)).await?;
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, "application/json", None).await
    }

    /// Waits until a Deployment has so many pods that are ready, all of them of its present form.
    pub(crate) async fn available(&self, name: &str, replicas: usize) -> anyhow::Result<()> {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}");
        self.until(&path, |object| {
            let status = &object["status"];
            status["observedGeneration"] == object["metadata"]["generation"]
                && ["replicas", "updatedReplicas", "availableReplicas"]
                    .iter()
                    .all(|field| status[*field].as_u64() == Some(replicas as u64))
        })
        .await
    }

    pub(crate) async fn pods_gone(&self, selector: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}");
        self.until(&path, |list| list["items"].as_array().is_some_and(Vec::is_empty)).await
    }

    async fn until(&self, path: &str, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.get(path).await?;
            if is_it(&found) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{path} is still {found:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What of the process is in memory, in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        field(&format!("/proc/{}/status", self.child.id()), "VmRSS:").context("no VmRSS")
    }

    /// What its pods have in memory, in MiB; what several share is counted once.
    pub(crate) fn memory_of_pods(&self) -> anyhow::Result<f64> {
        let parts = descendants(self.child.id())?.into_iter();
        Ok(parts.filter_map(|id| field(&format!("/proc/{id}/smaps_rollup"), "Pss:")).sum())
    }

    /// Time on processors that the process has had.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let spent: Option<u64> = text.split(' ').next().and_then(|it| it.parse().ok());
            nanoseconds += spent.unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

/// A field of a file of the kernel's, from KiB to MiB.
fn field(path: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = value.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn descendants(ancestor: u32) -> anyhow::Result<BTreeSet<u32>> {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent =
            text.rsplit(')').next().and_then(|it| it.split(' ').nth(2)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut found = BTreeSet::new();
    let mut last = usize::MAX;
    while found.len() != last {
        last = found.len();
        for (id, parent) in &parents {
            if *parent == ancestor || found.contains(parent) {
                found.insert(*id);
            }
        }
    }
    Ok(found)
}

fn folder_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let root = if version == "v1" { "/api" } else { "/apis" };
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{kind}s"),
        None => format!("{root}/{version}/{kind}s"),
    }
}

fn path_of(object: &Value) -> String {
    format!("{}/{}", folder_of(object), object["metadata"]["name"].as_str().unwrap_or_default())
}
