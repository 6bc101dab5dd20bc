//! Access logs: what a line holds, and its way out: a buffer per core, a bounded queue, a thread that writes.
//!
//! No core ever waits: if the file is slower than the requests, whole buffers are dropped and their lines counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serin_routing::format::Facts;

pub use layout::Layout;

mod layout;

/// A buffer leaves its core when it is as full as this.
const FULL: usize = 16 * 1024;
/// Buffers that may wait for the writer.
const QUEUE: usize = 256;
/// A file that nobody else looks after is set aside when it is larger, as a kubelet's `containerLogMaxSize`.
const LARGE: u64 = 10 << 20;

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
    /// The same, and when it has become large it is moved to `NAME.1`, in the place of the one before.
    Limited(PathBuf),
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
            Self::File(path) | Self::Limited(path) => {
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
    Write(Arc<Place>, Vec<u8>),
    /// Say when everything before is written.
    Finish(SyncSender<()>),
}

/// An open target.
struct Place {
    target: Target,
    output: Mutex<Output>,
    /// Lines that were lost on the way to it.
    dropped: AtomicU64,
}

/// Takes lines from all cores.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Job>,
    place: Arc<Place>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("target", &self.place.target).finish_non_exhaustive()
    }
}

impl Writer {
    /// Opens the target and starts the thread that writes to it, which ends with the last writer.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be made.
    pub fn start(target: Target) -> io::Result<Self> {
        let place = Place::open(target)?;
        let (queue, jobs) = sync_channel(QUEUE);
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&jobs))?;
        Ok(Self { queue, place })
    }

    /// A writer to another target on the thread of this one.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn beside(&self, target: Target) -> io::Result<Self> {
        Ok(Self { queue: self.queue.clone(), place: Place::open(target)? })
    }

    /// Lines that were dropped because the target was too slow or failed.
    pub fn dropped(&self) -> u64 {
        self.place.dropped.load(Ordering::Relaxed)
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

impl Place {
    fn open(target: Target) -> io::Result<Arc<Self>> {
        let output = Mutex::new(target.open()?);
        Ok(Arc::new(Self { target, output, dropped: AtomicU64::new(0) }))
    }

    fn write(&self, lines: &[u8]) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Target::Limited(path), Output::File(file)) = (&self.target, &*output)
            && file.metadata().is_ok_and(|it| it.len() > LARGE)
        {
            // One that stays where it is goes on growing, which loses nothing.
            let _ = std::fs::rename(path, path.with_added_extension("1"));
        }
        if has_moved(&self.target, &output)
            && let Ok(new) = self.target.open()
        {
            *output = new;
        }
        if output.write(lines).is_err() {
            let lost = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

fn write_all(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(place, lines) => place.write(&lines),
            Job::Finish(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }
}

/// Whether the file is not the one under its name any more, as after log rotation.
fn has_moved(target: &Target, output: &Output) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Target::File(path) | Target::Limited(path), Output::File(file)) = (target, output) else {
        return false;
    };
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
        let Writer { queue, place } = &self.writer;
        match queue.try_send(Job::Write(Arc::clone(place), lines)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                place.dropped.fetch_add(count, Ordering::Relaxed);
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
    #[test]
    fn several_targets_share_a_thread_and_a_large_file_is_set_aside() {
        let folder = std::env::temp_dir().join(format!("serin-logs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let first = Writer::start(Target::File(path("a"))).unwrap();
        let second = first.beside(Target::Limited(path("b"))).unwrap();
        let large = vec![b'x'; usize::try_from(LARGE).unwrap()];
        for (writer, line) in [(&first, &b"one"[..]), (&second, &large), (&second, b"two")] {
            let mut buffer = writer.buffer();
            buffer.line(|out| out.extend_from_slice(line));
            buffer.flush();
        }
        second.finish(Duration::from_secs(60));
        assert_eq!(std::fs::read(path("a")).unwrap(), b"one\n");
        assert_eq!(std::fs::read(path("b")).unwrap(), b"two\n");
        assert_eq!(std::fs::metadata(path("b.1")).unwrap().len(), LARGE + 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
