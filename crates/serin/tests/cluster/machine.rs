//! A cluster that ends with its test, and the tools to speak to it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use serin_testkit::{PATIENCE, Process, tools};

/// A running cluster in a folder of its own, with a gateway address of its own.
pub(crate) struct Cluster {
    pub(crate) process: Process,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Ipv4Addr,
    /// What it keeps.
    pub(crate) data: PathBuf,
}

impl Cluster {
    /// Starts one; `None`, with the reason printed, where this machine does not allow it.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::begin(folder, data, arguments)
    }

    /// Starts one that keeps what it has in another folder.
    pub(crate) fn start_in(data: &Path, arguments: &[&str]) -> Option<Self> {
        Self::begin(tempfile::tempdir().unwrap(), data.to_owned(), arguments)
    }

    /// The same without waiting until it is ready.
    pub(crate) fn begin_in(data: &Path, arguments: &[&str]) -> Option<Self> {
        Self::launch(tempfile::tempdir().unwrap(), data.to_owned(), arguments)
    }

    fn begin(folder: tempfile::TempDir, data: PathBuf, arguments: &[&str]) -> Option<Self> {
        let cluster = Self::launch(folder, data, arguments)?;
        cluster.wait_ready();
        Some(cluster)
    }

    fn wait_ready(&self) {
        self.process.wait_for(|line| line.starts_with("ready"));
    }

    fn launch(folder: tempfile::TempDir, data: PathBuf, arguments: &[&str]) -> Option<Self> {
        if !is_allowed() {
            println!("skipped: this user may not make network namespaces");
            return None;
        }
        tools::find("kubectl")?;
        let gateway = address();
        let process = start(folder.path(), &data, gateway, arguments);
        Some(Self { process, folder, gateway, data })
    }

    /// The same cluster by a new process, after the one before has ended.
    pub(crate) fn start_again(self, arguments: &[&str]) -> Self {
        let Self { process, folder, gateway, data } = self;
        drop(process);
        let process = start(folder.path(), &data, gateway, arguments);
        let cluster = Self { process, folder, gateway, data };
        cluster.wait_ready();
        cluster
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// What kubectl prints, and that it ended well.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "kubectl {arguments:?}\n{text}{errors}\n{}\n{}",
            self.described(),
            self.process.output()
        );
        text
    }

    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Output {
        let kubectl = tools::find("kubectl").expect("it was there at the start");
        let mut command = Command::new(kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        let waits = arguments.windows(2).any(|it| it[0] == "wait" || *it == ["rollout", "status"]);
        if waits {
            command.arg(format!("--timeout={}s", PATIENCE.as_secs()));
        }
        command.current_dir(tools::root()).output().unwrap()
    }

    /// Applies files of the repository and waits until their Deployments are rolled out.
    pub(crate) fn apply(&self, files: &[&str]) {
        for file in files {
            self.kubectl(&["apply", "-f", file]);
        }
    }

    /// Waits until every Deployment of the default namespace is available.
    pub(crate) fn wait_available(&self) {
        self.kubectl(&["wait", "deployment", "--all", "--for=condition=Available"]);
    }

    /// Waits until a rule is what every proxy decides by.
    pub(crate) fn wait_live(&self, object: &str) {
        self.kubectl(&["wait", object, "--for=condition=Live"]);
    }

    /// What there is, for a test that fails.
    pub(crate) fn described(&self) -> String {
        let output = self.try_kubectl(&["get", "pods,events,hpa,virtualservices", "-A"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A request through the ingress gateway: the whole answer, heads included.
    pub(crate) fn get(&self, arguments: &[&str], path: &str) -> String {
        let url = format!("http://{}{path}", self.gateway);
        let mut command = Command::new("curl");
        command.args(["-si", "--max-time", "20"]).args(arguments).arg(url);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    /// Asks until the answer is as it should be.
    pub(crate) fn get_until(
        &self,
        arguments: &[&str],
        path: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(arguments, path);
            if is_it(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < until,
                "{path} answers\n{answer}\n{}\n{}",
                self.described(),
                self.process.output()
            );
        }
    }

    /// Runs a command in the first pod with a label.
    pub(crate) fn exec(&self, selector: &str, command: &[&str]) -> String {
        let pod = self.kubectl(&["get", "pods", "-l", selector, "-o", "name"]);
        let pod = pod.lines().next().expect("a pod has the label").to_owned();
        let mut arguments = vec!["exec", &pod, "--"];
        arguments.extend(command);
        self.kubectl(&arguments)
    }
}

fn start(folder: &Path, data: &Path, gateway: Ipv4Addr, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.current_dir(tools::root());
    command.arg("up").arg("--data-dir").arg(data);
    command.arg("--kubeconfig").arg(folder.join("kubeconfig"));
    command.args(["--gateway-address", &gateway.to_string(), "--log-level", "info"]);
    Process::start(command.args(arguments))
}

/// An address of the loopback network that no other test of this machine uses.
pub(crate) fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    Ipv4Addr::new(127, high | 0x40, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether this user may make the namespaces of pods.
pub(crate) fn is_allowed() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"]);
    unshare.output().is_ok_and(|output| output.status.success())
}
