//! `serin doctor`: what this machine lacks for `serin up`, each with its remedy.
//!
//! Every check does what the cluster would do, in a process of its own where it needs one, and leaves nothing behind.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, geteuid, getrlimit};
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::terminal;
use crate::up::{self, Place};

/// Descriptors that a cluster of moderate size needs.
const DESCRIPTORS: u64 = 4096;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// As it should be.
    Good,
    /// It works, with less.
    Less,
    /// `serin up` does not work.
    Missing,
}

/// One thing that `serin up` needs.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    /// What was found.
    found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Runs all checks. The exit code is 1 if something that is needed is missing.
pub(crate) fn run(args: &DoctorArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.place)?;
    let checks = [
        system(),
        namespaces(),
        ports(args.gateway_address),
        folder(&place),
        descriptors(),
        cgroups(),
        kubectl(),
    ];
    let colors = terminal::stdout_colors(args.view.color);
    terminal::print(args.output, &checks, out, |out| text(&checks, colors, out))?;
    let is_missing = checks.iter().any(|check| check.outcome == Outcome::Missing);
    Ok(ExitCode::from(u8::from(is_missing)))
}

fn text(checks: &[Check], colors: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let palette = terminal::Palette { colors };
    for check in checks {
        match check.outcome {
            Outcome::Good => write!(out, "{}", palette.good("good   "))?,
            Outcome::Less => write!(out, "{}", palette.warning("less   "))?,
            Outcome::Missing => write!(out, "{}", palette.error("missing"))?,
        }
        writeln!(out, "  {}: {}", check.name, check.found)?;
        if let Some(remedy) = &check.remedy {
            writeln!(out, "           {remedy}")?;
        }
    }
    let missing = checks.iter().filter(|check| check.outcome == Outcome::Missing).count();
    if missing == 0 {
        writeln!(out, "\n`serin up` works on this machine")?;
    } else {
        writeln!(out, "\n`serin up` does not work here yet: see what is missing")?;
    }
    Ok(())
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::Good, found: found.into(), remedy: None }
}

fn less(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::Less, found: found.into(), remedy: Some(remedy.into()) }
}

fn missing(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, outcome: Outcome::Missing, found: found.into(), remedy: Some(remedy.into()) }
}

fn system() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if release.is_empty() {
        return missing("system", "this is no Linux", "use a Linux machine, or a virtual one");
    }
    good("system", format!("Linux {}", release.trim()))
}

/// Tries what pods need, in another process: namespaces, an address on `lo`, a rule that redirects.
fn namespaces() -> Check {
    let who = if geteuid().is_root() { "root" } else { "a user other than root" };
    let itself = std::env::current_exe().map(Command::new);
    let tried =
        itself.and_then(|mut command| command.args(["doctor", "--try-namespaces"]).output());
    match tried {
        Ok(output) if output.status.success() => {
            good("namespaces", format!("{who} may make those that pods need"))
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let said = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
            missing("namespaces", format!("{who} may not make those that pods need"), said)
        }
        Err(error) => missing("namespaces", "not tried", error.to_string()),
    }
}

fn ports(address: IpAddr) -> Check {
    let name = "gateway ports";
    let tried = [80, 443].map(|port| (port, TcpListener::bind((address, port))));
    let failed = tried.iter().find_map(|(port, tried)| Some((port, tried.as_ref().err()?)));
    match failed {
        None => good(name, format!("80 and 443 can be listened on at {address}")),
        Some((port, error)) if error.kind() == std::io::ErrorKind::PermissionDenied => less(
            name,
            format!(
                "only root may listen on port {port}: 8080 and 8443 take the place of 80 and 443"
            ),
            "sudo sysctl net.ipv4.ip_unprivileged_port_start=80 allows them",
        ),
        Some((port, error)) => less(
            name,
            format!("port {port} at {address}: {error}"),
            "end what listens there, or choose another address: --gateway-address 127.0.0.2",
        ),
    }
}

fn folder(place: &Place) -> Check {
    let name = "data directory";
    let shown = place.folder.display();
    let first = place.folder.ancestors().find(|folder| folder.exists());
    let first = first.unwrap_or(Path::new("/"));
    match tempfile_in(first) {
        Ok(()) => good(name, format!("{shown} can be written")),
        Err(error) => missing(name, format!("{shown}: {error}"), "choose another with --data-dir"),
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".serin-doctor-{}", std::process::id()));
    fs::write(&path, "x")?;
    fs::remove_file(&path)
}

fn descriptors() -> Check {
    let limit = getrlimit(Resource::Nofile).maximum;
    match limit {
        Some(limit) if limit < DESCRIPTORS => less(
            "open files",
            format!("this user may open {limit} files at a time"),
            format!(
                "`ulimit -n` or limits.conf: {DESCRIPTORS} and more are for many pods or connections"
            ),
        ),
        Some(limit) => good("open files", format!("up to {limit} at a time")),
        None => good("open files", "without a limit"),
    }
}

fn cgroups() -> Check {
    let name = "resource limits";
    let roots =
        ["/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu"];
    let is_writable = |path: &str| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if roots.into_iter().any(is_writable) {
        good(name, "cgroups can be made: limits of containers are kept")
    } else {
        less(
            name,
            "no cgroup can be made: limits of containers are not kept",
            "run as root, or under `systemd-run --user --scope -p Delegate=yes serin up`",
        )
    }
}

fn kubectl() -> Check {
    let said = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
    let version = said.ok().and_then(|output| {
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(said["clientVersion"]["gitVersion"].as_str()?.to_owned())
    });
    match version {
        Some(version) => good("kubectl", version),
        None => less(
            "kubectl",
            "not installed: the cluster runs without it, but people speak to it with kubectl",
            "https://kubernetes.io/docs/tasks/tools/",
        ),
    }
}

/// The other process: makes the namespaces of a pod, and says what is wrong.
pub(crate) fn try_namespaces() -> anyhow::Result<ExitCode> {
    up::try_namespaces()?;
    Ok(ExitCode::SUCCESS)
}
