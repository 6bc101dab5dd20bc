//! Access logs: what a line holds, and its way out: a buffer per core, a bounded queue, a thread that writes.
//!
//! No core ever waits: if the file is slower than the requests, whole buffers are dropped and their lines counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use serin_routing::format::Facts;

pub use layout::Layout;

mod layout;

/// A buffer leaves its core when it is as full as this.
const FULL: usize = 16 * 1024;
/// Buffers that may wait for the writer.
const QUEUE: usize = 256;

/// An access log: which requests, in which form, to where.
pub struct AccessLog {
    layout: Layout,
    filter: Option<Filter>,
    writer: Writer,
}

/// Whether a request is logged, by the status of its answer and its facts.
pub type Filter = Box<dyn Fn(u16, &dyn Facts) -> bool + Send + Sync>;

impl AccessLog {
    /// A log of all requests, or of those that the filter takes.
    pub fn new(layout: Layout, filter: Option<Filter>, writer: Writer) -> Self {
        Self { layout, filter, writer }
    }

    /// A buffer for one core.
    pub fn buffer(&self) -> Buffer {
        self.writer.buffer()
    }

    /// Logs a request that is over.
    pub fn log<F: Facts>(&self, status: u16, facts: &F, buffer: &mut Buffer) {
        if self.filter.as_ref().is_none_or(|filter| filter(status, facts)) {
            buffer.line(|out| self.layout.append(facts, out));
        }
    }

    /// Waits until all lines that have left the cores are written, but no longer than `limit`.
    pub fn finish(&self, limit: Duration) {
        self.writer.finish(limit);
    }

    /// Lines that were dropped because the target was too slow or failed.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; opened again when it was moved away.
    File(PathBuf),
}

impl Target {
    /// `-` and the names of the standard streams, or a file.
    pub fn new(path: &str) -> Self {
        match path {
            "-" | "/dev/stdout" => Self::Stdout,
            "/dev/stderr" => Self::Stderr,
            file => Self::File(file.into()),
        }
    }

    fn open(&self) -> io::Result<Output> {
        match self {
            Self::Stdout => Ok(Output::Stream(Box::new(io::stdout()))),
            Self::Stderr => Ok(Output::Stream(Box::new(io::stderr()))),
            Self::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                Ok(Output::File(file))
            }
        }
    }
}

enum Output {
    Stream(Box<dyn Write + Send>),
    File(File),
}

impl Output {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
            Self::File(file) => file.write_all(lines),
        }
    }
}

/// What the thread that writes is told.
enum Job {
    Write(Vec<u8>),
    /// Say when everything before is written.
    Finish(SyncSender<()>),
}

/// Takes lines from all cores.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Opens the target and starts the thread that writes to it, which ends with the last writer.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be made.
    pub fn start(target: Target) -> io::Result<Self> {
        let output = target.open()?;
        let (queue, jobs) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(&target, output, &jobs, &count))?;
        Ok(Self { queue, dropped })
    }

    /// Lines that were dropped because the target was too slow or failed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything that was handed over is written, but no longer than `limit`.
    pub fn finish(&self, limit: Duration) {
        let (done, waiting) = sync_channel(1);
        if self.queue.try_send(Job::Finish(done)).is_ok() {
            // Whatever is not written by then is lost.
            let _ = waiting.recv_timeout(limit);
        }
    }

    /// A buffer for one core.
    pub fn buffer(&self) -> Buffer {
        Buffer { writer: self.clone(), lines: Vec::new(), count: 0 }
    }
}

fn write_all(target: &Target, mut output: Output, jobs: &Receiver<Job>, dropped: &AtomicU64) {
    while let Ok(job) = jobs.recv() {
        let lines = match job {
            Job::Write(lines) => lines,
            Job::Finish(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
                continue;
            }
        };
        if has_moved(target, &output)
            && let Ok(new) = target.open()
        {
            output = new;
        }
        if output.write(&lines).is_err() {
            let lost = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
            dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

/// Whether the file is not the one under its name any more, as after log rotation.
fn has_moved(target: &Target, output: &Output) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Target::File(path), Output::File(file)) = (target, output) else { return false };
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => (named.dev(), named.ino()) != (open.dev(), open.ino()),
        (Err(_), _) => true,
        (Ok(_), Err(_)) => false,
    }
}

/// Lines of one core that have not left it yet.
#[derive(Debug)]
pub struct Buffer {
    writer: Writer,
    lines: Vec<u8>,
    count: u64,
}

impl Buffer {
    /// Adds a line; `write` appends it without its end.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.lines);
        self.lines.push(b'\n');
        self.count += 1;
        if self.lines.len() >= FULL {
            self.flush();
        }
    }

    /// Hands over what there is; to be called from time to time.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(FULL));
        let count = std::mem::take(&mut self.count);
        match self.writer.queue.try_send(Job::Write(lines)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.writer.dropped.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_target_that_takes_nothing_stops_nobody_and_what_is_lost_is_counted() {
        let folder = std::env::temp_dir().join(format!("serin-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pipe = folder.join("pipe");
        assert!(
            Command::new("mkfifo").arg(&pipe).stdout(Stdio::null()).status().unwrap().success()
        );
        // A pipe that is open but never read.
        let _reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let writer = Writer::start(Target::File(pipe)).unwrap();
        let mut buffer = writer.buffer();
        let line = [b'x'; 1024];
        while writer.dropped() == 0 {
            buffer.line(|out| out.extend_from_slice(&line));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
