//! `serin up`: this machine as a cluster with a mesh, in one process beside the pods.
//!
//! This module puts the parts together and knows none of their work: the API (`serin-apiserver`), the controllers of workloads
//! (`serin-controllers`), the node (`serin-node`), the mesh (`serin-control`, `serin-proxy`) and releases (`serin-operator`). All of them
//! meet in the API; what else passes between them goes through the few seams in `cluster`.

mod admission;
mod apply;
mod cluster;
mod dashboard;
mod detach;
mod fleet;
mod former;
mod images;
mod inside;
mod metrics;
mod networks;
mod place;
mod privileges;
mod told;
mod traffic;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serin_apiserver::{Access, remove_kubeconfig};

pub(crate) use self::apply::{apply_objects, pods, read_text, wait_until_ready};
pub(crate) use self::cluster::Signals;
pub(crate) use self::detach::run as start_detached;
pub(crate) use self::inside::trust as trusted_authorities;
pub(crate) use self::place::{Place, Run};
pub(crate) use self::privileges::{check as check_privileges, may_bind_low_ports};
use crate::cli::UpArgs;
use crate::gateway::log;

/// Runs a cluster until a signal ends it, or starts one that goes on.
pub(crate) fn run(args: &UpArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    privileges::check()?;
    let place = Place::of(&args.place)?;
    if args.detach {
        detach::run(&place, std::env::args_os().skip(1), out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let hold = place.hold()?;
    // Before any thread is started: namespaces are a thread's own.
    privileges::obtain()?;
    log::start(&args.log_level, args.view.color)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(cluster::run(args, &place, hold, out));
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Takes back what a cluster's process that was killed has left in the user's kubeconfig. Its pods have ended with it.
pub(crate) fn clean(place: &Place) -> anyhow::Result<()> {
    if !place.folder.exists() {
        return Ok(());
    }
    if let Some(run) = place.hold()?.left() {
        let access = Access { url: run.api, authority: String::new(), token: String::new() };
        remove_kubeconfig(&run.kubeconfig, &access, run.context_before.as_deref())?;
    }
    Ok(())
}

/// Makes the namespaces of a pod in this process, which then ends.
pub(crate) fn try_namespaces() -> anyhow::Result<()> {
    privileges::check()?;
    privileges::obtain()?;
    privileges::make_pod_namespaces()
}

/// The kubeconfig that kubectl would change.
fn kubeconfig(args: &UpArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.kubeconfig {
        return std::path::absolute(path).context("--kubeconfig");
    }
    let listed = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let first = listed.and_then(|list| std::env::split_paths(&list).next());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    first.or_else(home).context("neither KUBECONFIG nor HOME is set: name a file with --kubeconfig")
}
