//! What a process uses: processor time and memory.

use std::fs;

use anyhow::Context;

/// Nanoseconds that the threads of a process have run (`/proc/PID/task/*/schedstat`).
pub(crate) fn processor_time(process: u32) -> anyhow::Result<f64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).context("the process is gone")?;
    let mut sum = 0.0;
    for thread in threads {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    Ok(sum)
}

/// Clock ticks that a process has run itself, and those that the system has run for it (`/proc/PID/stat`).
pub(crate) fn ticks(process: u32) -> anyhow::Result<(f64, f64)> {
    let text =
        fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
    // The name before may have spaces in it.
    let (_, rest) = text.rsplit_once(')').context("no stat")?;
    let field = |number: usize| -> anyhow::Result<f64> {
        Ok(rest.split_whitespace().nth(number - 3).context("no such field")?.parse()?)
    };
    Ok((field(14)?, field(15)?))
}

/// KiB of memory that a process holds (resident).
pub(crate) fn memory(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    text.parse().context("VmRSS is no number")
}
