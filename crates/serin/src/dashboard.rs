//! `serin dashboard`: the link to the dashboard of a cluster that runs.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::cli::DashboardArgs;
use crate::up::Place;

/// Prints the link, and opens it if that is wanted.
pub(crate) fn run(args: &DashboardArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let place = Place::of(&args.place)?;
    let argument = place.argument();
    let Some(run) = place.running()? else {
        bail!("no cluster runs in {}; start one: serin up{argument}", place.folder.display());
    };
    let Some(link) = run.dashboard else {
        bail!(
            "the cluster in {} has no dashboard: it starts, or was started with --dashboard-address off",
            place.folder.display()
        );
    };
    writeln!(out, "{link}")?;
    out.flush()?;
    if args.open {
        let mut opener = Command::new("xdg-open");
        opener.arg(&link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = opener.status().context("cannot start xdg-open; open the link by hand")?;
        if !status.success() {
            bail!("xdg-open cannot open it; open the link by hand");
        }
    }
    Ok(ExitCode::SUCCESS)
}
