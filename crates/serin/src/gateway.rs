//! `serin gateway`: a reverse proxy that serves the Gateways of manifests, and follows them as they change.
//!
//! The manifests are read and judged on this module's own thread (`manifests`), translated like those of `serin explain`, and
//! handed to `serin-proxy`, whose threads serve. Names of endpoints are resolved here (`names`), changes of files are noticed
//! here (`watch`); none of it stands in a request's way.

pub(crate) mod access_log;
mod admin;
pub(crate) mod attributes;
pub(crate) mod certificates;
pub(crate) mod log;
mod manifests;
pub(crate) mod metric_changes;
mod names;
mod serve;
mod take_over;
mod telemetries;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

pub(crate) use self::admin::names_loopback;
use crate::cli::GatewayArgs;

/// Threads that resolve names, at most; the rest of the command's own work needs one.
const RESOLVERS: usize = 8;

/// Serves until a signal ends it.
pub(crate) fn run(args: &GatewayArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let level = log::start(&args.log_level, args.view.color)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(RESOLVERS)
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(serve::serve(args, level, out));
    // A name that is being resolved is not waited for.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}
