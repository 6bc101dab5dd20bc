//! Runs the cluster as a process of its own and waits until it is ready.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::place::Place;

/// Starts `serin up` with these arguments, in which `--detach` is left out, and passes its first line on.
///
/// # Errors
/// It ends before it is ready; the error is what it said.
pub(crate) fn run(
    place: &Place,
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let arguments = arguments.into_iter().filter(|argument| argument != "--detach");
    std::fs::create_dir_all(&place.folder)
        .with_context(|| format!("cannot make the folder {}", place.folder.display()))?;
    let path = place.join("serin.log");
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let begin = log.seek(SeekFrom::End(0))?;
    let mut child = Command::new(std::env::current_exe().context("cannot find this program")?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        // Signals for the terminal's foreground are not for the cluster.
        .process_group(0)
        .spawn()
        .context("cannot start the cluster's process")?;
    let output = child.stdout.take().context("the cluster's process has no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(Ok(line)) = lines.next() {
        writeln!(out, "{line}")?;
        if line.starts_with("ready") {
            writeln!(out, "it runs as process {}; its log is {}", child.id(), path.display())?;
            return Ok(());
        }
    }
    let status = child.wait()?;
    let mut said = String::new();
    log.seek(SeekFrom::Start(begin))?;
    // What cannot be read is not told.
    let _ = log.read_to_string(&mut said);
    let said = said.trim();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    bail!("the cluster did not start ({status}): {said}")
}
