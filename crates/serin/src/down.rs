//! `serin down`: ends a cluster of `serin up`.

use std::fs;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::DownArgs;
use crate::up::Place;

/// Asks the cluster's process to end, and waits until it has.
pub(crate) fn run(args: &DownArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.place)?;
    match place.running()? {
        Some(run) => {
            let pid = i32::try_from(run.pid).ok().and_then(Pid::from_raw);
            let pid = pid.context("the cluster's process has not said who it is; try again")?;
            kill_process(pid, Signal::TERM)
                .with_context(|| format!("cannot end process {}", run.pid))?;
            if !place.wait_until_free(args.timeout.to_std())? {
                bail!(
                    "process {} still ends its pods after {:?}; `kill -9 {0}` ends it at once, and the next `serin up` cleans up",
                    run.pid,
                    args.timeout.to_std()
                );
            }
            writeln!(out, "the cluster in {} has ended", place.folder.display())?;
        }
        None => {
            // What a process that was killed left behind.
            crate::up::clean(&place)?;
            writeln!(out, "no cluster runs in {}", place.folder.display())?;
        }
    }
    if args.delete_data && place.folder.exists() {
        fs::remove_dir_all(&place.folder)
            .with_context(|| format!("cannot delete {}", place.folder.display()))?;
        writeln!(out, "deleted {}", place.folder.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
