//! A release live: on a terminal a screen that is drawn anew each second, elsewhere a line for each decision.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use serin_rollout::Phase;
use serin_rollout::facts::{Decision, Facts};

use super::{Cluster, now, text};
use crate::terminal::Palette;

/// How often the release is looked at.
const PACE: Duration = Duration::from_millis(500);
/// Another screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Shows a release until the user has seen enough, or until its end.
pub(super) async fn watch(
    cluster: &Cluster,
    name: &str,
    until_end: bool,
    palette: Palette,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    // Before the screen is changed, so that what is wrong from the start can be read.
    let first = cluster.one(name).await?;
    let is_screen = io::stdout().is_terminal();
    if is_screen {
        write!(out, "{ENTER}")?;
        out.flush()?;
    }
    let view = View { is_screen, palette, printed: first.decisions.last().cloned() };
    let seen = tokio::select! {
        seen = view.follow(cluster, name, until_end, out) => seen,
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if is_screen {
        write!(io::stdout(), "{LEAVE}")?;
        io::stdout().flush()?;
    }
    match seen? {
        Some(last) => {
            writeln!(io::stdout(), "{} {}", last.name, last.phase)?;
            Ok(ExitCode::from(u8::from(last.phase == Phase::Failed)))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

struct View {
    is_screen: bool,
    palette: Palette,
    /// The last decision that was printed as a line.
    printed: Option<Decision>,
}

impl View {
    /// Shows the release again and again. Ends with it, if it is to.
    async fn follow(
        mut self,
        cluster: &Cluster,
        name: &str,
        until_end: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<Option<Facts>> {
        let mut was_running = false;
        let mut failures = 0;
        loop {
            match cluster.one(name).await {
                Ok(facts) => {
                    failures = 0;
                    self.draw(&facts, out)?;
                    let is_over = matches!(facts.phase, Phase::Succeeded | Phase::Failed);
                    if until_end && was_running && is_over {
                        return Ok(Some(facts));
                    }
                    was_running |= facts.is_running();
                }
                // The API may be away for a while.
                Err(error) => {
                    failures += 1;
                    if failures > 20 {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    fn draw(&mut self, facts: &Facts, out: &mut dyn Write) -> anyhow::Result<()> {
        if !self.is_screen {
            let known = self.printed.as_ref();
            let from =
                facts.decisions.iter().rposition(|it| Some(it) == known).map_or(0, |at| at + 1);
            let new = &facts.decisions[from..];
            text::decisions(new, self.palette, out)?;
            if let Some(last) = new.last() {
                self.printed = Some(last.clone());
            }
            out.flush()?;
            return Ok(());
        }
        let mut screen = Vec::new();
        text::show(facts, now(), self.palette, &mut screen)?;
        writeln!(screen, "\n{}", self.palette.faint("Ctrl-C leaves; the release goes on"))?;
        let (_, rows) = size();
        write!(out, "\x1b[H")?;
        // No more lines than there are, so that nothing scrolls; each is cleared to its end.
        for line in String::from_utf8_lossy(&screen).lines().take(rows.saturating_sub(1)) {
            write!(out, "{line}\x1b[K\r\n")?;
        }
        write!(out, "\x1b[J")?;
        out.flush()?;
        Ok(())
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(io::stdout())
        .map_or((80, 24), |it| (usize::from(it.ws_col), usize::from(it.ws_row)))
}
