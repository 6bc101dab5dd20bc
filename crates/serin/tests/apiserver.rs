//! `serin apiserver` as people use it: the real binary, spoken to by kubectl and curl, and killed without warning.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serin_testkit::{Process, tools};

/// A server that ends with its test.
struct Server {
    process: Process,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(folder: tempfile::TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.arg("apiserver").arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--kubeconfig").arg(folder.path().join("kubeconfig"));
        command.args(["--listen", "127.0.0.1:0"]);
        let process = Process::start(&mut command);
        process.wait_for(|line| line.starts_with("ready"));
        Self { process, folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn kubectl(&self, kubectl: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args).output().unwrap()
    }

    /// What kubectl prints, errors included.
    fn says(&self, kubectl: &Path, args: &[&str]) -> String {
        let output = self.kubectl(kubectl, args);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Ends the process as a crash does, and starts another one over the same data.
    fn crash_and_restart(self) -> Self {
        let Self { mut process, folder } = self;
        process.signal("KILL");
        process.wait();
        drop(process);
        Self::start(folder)
    }
}

fn kubectl() -> Option<PathBuf> {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    if found.is_err() {
        println!("skipped: kubectl is not installed (Debian: kubernetes-client)");
    }
    found.ok().map(|_| PathBuf::from("kubectl"))
}

#[test]
fn kubectl_creates_shows_changes_and_deletes_objects() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let says = |args: &[&str]| server.says(&kubectl, args);
    assert_eq!(says(&["create", "configmap", "a", "--from-literal=k=v"]), "configmap/a created\n");
    assert_eq!(
        says(&["create", "configmap", "a"]),
        "error: failed to create configmap: configmaps \"a\" already exists\n"
    );
    assert_eq!(says(&["get", "configmap", "a", "-o", "jsonpath={.data.k}"]), "v");
    assert_eq!(says(&["label", "configmap", "a", "x=y"]), "configmap/a labeled\n");
    assert_eq!(says(&["get", "configmap", "-l", "x=y", "-o", "name"]), "configmap/a\n");
    assert_eq!(says(&["delete", "configmap", "a"]), "configmap \"a\" deleted\n");
    let missing = says(&["get", "configmap", "a"]);
    assert_eq!(missing, "Error from server (NotFound): configmaps \"a\" not found\n");
}

#[test]
fn a_write_that_was_acknowledged_survives_a_kill() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    for name in ["a", "b", "c"] {
        let made = server.kubectl(&kubectl, &["create", "configmap", name]);
        assert!(made.status.success(), "{made:?}");
    }
    let deleted = server.kubectl(&kubectl, &["delete", "configmap", "b"]);
    assert!(deleted.status.success(), "{deleted:?}");
    let server = server.crash_and_restart();
    let left = server.says(&kubectl, &["get", "configmaps", "-o", "name"]);
    assert_eq!(left, "configmap/a\nconfigmap/c\nconfigmap/kube-root-ca.crt\n");
}

#[test]
fn the_kubeconfig_is_its_owners_only_and_who_has_none_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let Some(curl) = tools::find("curl") else { return };
    let mut server = Server::start(tempfile::tempdir().unwrap());
    let mode = std::fs::metadata(server.kubeconfig()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(server.kubeconfig()).unwrap();
    let url = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
    let url = format!("{}/api/v1/namespaces", url.trim_matches('"'));
    let code = |header: &str| {
        let mut command = Command::new(&curl);
        command.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, &url]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(code("X-Nothing: here"), "401");
    assert_eq!(code("Authorization: Bearer wrong"), "401");
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    assert_eq!(code(&format!("Authorization: Bearer {}", token.trim_matches('"'))), "200");
    server.process.signal("TERM");
    assert!(server.process.wait().success());
}

/// Sessions whose every command answers as a real Kubernetes does. Those of workloads wait for their controllers.
const SESSIONS: &[&str] =
    &["04-metadata", "05-apply", "06-errors", "07-istio", "08-custom-resources", "09-discovery"];

#[test]
fn recorded_sessions_answer_as_a_real_kubernetes() {
    let Some(kubectl) = kubectl() else { return };
    let folder = tools::root().join("../shared/conformance/kubectl");
    if !folder.exists() {
        println!("skipped: there are no recorded sessions beside the checkout");
        return;
    }
    let version = Command::new(&kubectl).args(["version", "--client", "-o", "json"]).output();
    let version: serde_json::Value = serde_json::from_slice(&version.unwrap().stdout).unwrap();
    let minor = version["clientVersion"]["minor"].as_str().unwrap().trim_end_matches('+');
    if minor.parse::<u32>().unwrap() < 32 {
        println!("skipped: kubectl 1.{minor} words its output differently; the sessions need 1.32");
        return;
    }
    let Some(python) = tools::find("python3") else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let mut command = Command::new(python);
    command.current_dir(&folder).args(["transcript.py", "--kubeconfig"]).arg(server.kubeconfig());
    command.arg("--kubectl").arg(kubectl).arg("check");
    command.args(SESSIONS.iter().map(|name| format!("sessions/{name}.session")));
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
