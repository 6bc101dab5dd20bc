//! What the process itself has to say, on standard error; how much of it can be changed while it runs.

use anyhow::Context;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::cli::When;
use crate::terminal;

/// Changes what is logged.
#[derive(Clone, Debug)]
pub(crate) struct Level(Handle<EnvFilter, Registry>);

impl Level {
    /// What is logged now.
    pub(super) fn get(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Changes it.
    pub(super) fn set(&self, level: &str) -> anyhow::Result<()> {
        self.0.reload(parse(level)?).context("logging has ended")
    }
}

/// Starts logging.
pub(crate) fn start(level: &str, color: When) -> anyhow::Result<Level> {
    let filter = parse(level).context("--log-level")?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_timer(SystemTime)
        .with_ansi(terminal::stderr_palette(color).colors)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .context("cannot start logging")?;
    Ok(Level(handle))
}

fn parse(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level).with_context(|| {
        format!("{level:?} is no level: write error, warn, info, debug or trace, or module=level pairs with commas between")
    })
}
