//! What the process itself has to say, on standard error.

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::cli::When;
use crate::terminal;

/// Starts logging.
pub(super) fn start(level: &str, color: When) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).with_context(|| {
        format!("--log-level {level:?}: write error, warn, info, debug or trace, or module=level pairs with commas between")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_ansi(terminal::stderr_palette(color).colors)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
