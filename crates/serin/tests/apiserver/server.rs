//! A server of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serin_testkit::Process;

/// A server that ends with its test.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(folder: tempfile::TempDir) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(folder: tempfile::TempDir, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.arg("apiserver").arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--kubeconfig").arg(folder.path().join("kubeconfig"));
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let process = Process::start(&mut command);
        process.wait_for(|line| line.starts_with("ready"));
        Self { process, folder }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub(crate) fn kubectl(&self, kubectl: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args).output().unwrap()
    }

    /// What kubectl prints, errors included, without what its library logs (`I1122 18:27:50 …`, when it waits for itself).
    pub(crate) fn says(&self, kubectl: &Path, args: &[&str]) -> String {
        let output = self.kubectl(kubectl, args);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let is_logged = |line: &&str| {
            line.strip_prefix('I').is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
        };
        text.split_inclusive('\n').filter(|line| !is_logged(line)).collect()
    }

    /// Ends the process as a crash does, and starts another one over the same data.
    pub(crate) fn crash_and_restart(self) -> Self {
        let Self { mut process, folder } = self;
        process.signal("KILL");
        process.wait();
        drop(process);
        Self::start(folder)
    }
}

pub(crate) fn kubectl() -> Option<PathBuf> {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    if found.is_err() {
        println!("skipped: kubectl is not installed (Debian: kubernetes-client)");
    }
    found.ok().map(|_| PathBuf::from("kubectl"))
}
