//! `serin dashboard`: the link to a dashboard that runs; and what all dashboards of this program share.

mod forward;
pub(crate) mod known;
pub(crate) mod serving;

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::cli::DashboardArgs;
use crate::up::Place;

pub(crate) use known::Known;

/// The Secret with the token of an installed dashboard, and its entry.
pub(crate) const SECRET: &str = "serin-dashboard";
pub(crate) const TOKEN: &str = "token";

/// Prints the link, and opens it if that is wanted.
pub(crate) fn run(args: &DashboardArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.installed {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start")?;
        runtime.block_on(forward::run(args, out))?;
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place::of(&args.place)?;
    let argument = place.argument();
    let Some(run) = place.running()? else {
        bail!(
            "no cluster runs in {}; start one: serin up{argument}; or, for a Kubernetes where `serin install` was \
             applied: serin dashboard --installed",
            place.folder.display()
        );
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
        open(&link)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(link: &str) -> anyhow::Result<()> {
    let mut opener = Command::new("xdg-open");
    opener.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = opener.status().context("cannot start xdg-open; open the link by hand")?;
    if !status.success() {
        bail!("xdg-open cannot open it; open the link by hand");
    }
    Ok(())
}
