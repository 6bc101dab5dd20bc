//! `cargo xtask dist`: the binary as it is given away, laid out by what a build of itself did under load.
//!
//! A request of HTTP/1 is some 20,000 instructions of which no function has a tenth: what can still be won is in which branch is taken as
//! a rule and which code lies beside which, and the compiler can only know that from counts (profile-guided optimisation). A build that
//! counts serves the benchmarks, which are what the binary is for: a gateway, the API, a whole cluster. Takes an hour on two cores.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::tools;
use crate::workspace::Workspace;

/// What is run to count; each is a bench target of the binary's package.
const LOADS: [&str; 3] = ["proxy", "apiserver", "cluster"];

/// Builds it, and says where it is.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    tools::ensure(workspace)?;
    let (host, merger) = compiler()?;
    let folder = workspace.root.join("target/dist");
    let counts = folder.join("counts");
    // Counts of another state of the code would be taken for this one's.
    if counts.exists() {
        fs::remove_dir_all(&counts)
            .with_context(|| format!("cannot clear {}", counts.display()))?;
    }
    println!("==> building what counts");
    let counting = build(workspace, &folder, &host, "generate", &counts)?;
    println!("==> counting");
    // What asks the binary needs no optimising, and is there already where tests were run.
    let mut load =
        workspace.cargo(&["bench", "--locked", "--profile", "dev", "--package", "serin"]);
    load.args(LOADS.iter().flat_map(|it| ["--bench", it])).args(["--", "--quick"]);
    succeed(load.env("SERIN_BINARY", counting).stdout(Stdio::null()))?;
    let merged = folder.join("serin.profdata");
    let mut merge = Command::new(merger);
    merge.arg("merge").arg("-o").arg(&merged).arg(&counts);
    succeed(&mut merge)?;
    println!("==> building what is given away");
    build(workspace, &folder, &host, "use", &merged)
}

/// Builds the binary by a compiler that has it count into, or is told by, what is at `path`. Programs that only the build runs are left
/// alone by naming a target. Both builds have one profile of cargo's: a function's name tells by which it was built.
fn build(
    workspace: &Workspace,
    folder: &Path,
    host: &str,
    how: &str,
    path: &Path,
) -> anyhow::Result<PathBuf> {
    let mut flags = OsString::from(format!("-Cprofile-{how}="));
    flags.push(path);
    let mut command = workspace.cargo(&["build", "--locked", "--release", "--package", "serin"]);
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", host.replace('-', "_").to_uppercase());
    command.args(["--target", host]).env(variable, flags).env("CARGO_TARGET_DIR", folder);
    succeed(&mut command)?;
    Ok(folder.join(host).join("release").join("serin"))
}

/// The compiler's name for this machine, and its tool that merges counts.
fn compiler() -> anyhow::Result<(String, PathBuf)> {
    let ask = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("rustc").args(arguments).output().context("cannot ask rustc")?;
        ensure!(output.status.success(), "rustc {} fails", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    };
    let version = ask(&["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say what machine this is")?.to_owned();
    let root = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
    let merger = root.join("lib/rustlib").join(&host).join("bin/llvm-profdata");
    ensure!(
        merger.exists(),
        "counts are merged by llvm-profdata, which is not there: rustup component add llvm-tools"
    );
    Ok((host, merger))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} fails");
    Ok(())
}
