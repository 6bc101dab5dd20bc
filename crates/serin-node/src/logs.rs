//! What containers print: files in the form of the container runtime interface, with a limit, and readers of them.
//!
//! Each line has its time, its stream and whether it is whole. One file a run; a full one is set aside, and of those the oldest goes.

mod read;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{broadcast, watch};

pub(crate) use self::read::{Ask, read};

/// How large a file may grow, as a kubelet's `containerLogMaxSize`.
const LIMIT: u64 = 10 << 20;
/// How many files a run keeps that are full.
const KEPT: u32 = 4;
/// Lines that are longer are cut in parts.
const LONGEST_LINE: usize = 16 << 10;
/// Pieces of output that a slow `attach` may be behind.
const BEHIND: usize = 256;
/// So long after a run began an `attach` is still one to its beginning: who starts a pod can only ask for it when it runs.
const YOUNG: Duration = Duration::from_secs(10);
/// How much is kept for the first of them.
const BEGINNING: usize = 64 << 10;

/// Where a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The log of one run of a container. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Mutex<Open>,
    /// Counts up whenever something was written; ends when the run has.
    grown: Mutex<Option<watch::Sender<u64>>>,
    pieces: broadcast::Sender<(Stream, Bytes)>,
    beginning: Mutex<Option<Beginning>>,
}

/// What a run has said since it began, until somebody listens or it is no longer young.
#[derive(Debug)]
struct Beginning {
    since: Instant,
    size: usize,
    pieces: broadcast::Receiver<(Stream, Bytes)>,
}

#[derive(Debug)]
struct Open {
    file: Option<File>,
    size: u64,
}

/// The folder of a container's logs.
pub(crate) fn folder(data_dir: &Path, pod: (&str, &str, &str), container: &str) -> PathBuf {
    let (namespace, name, uid) = pod;
    data_dir.join("logs").join(format!("{namespace}_{name}_{uid}")).join(container)
}

impl Log {
    /// The log of a run, which is counted from 0.
    pub(crate) fn create(folder: &Path, run: i32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{run}.log"));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        let (sender, pieces) = broadcast::channel(BEHIND);
        let beginning = Beginning { since: Instant::now(), size: 0, pieces };
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                file: Mutex::new(Open { file: Some(file), size }),
                grown: Mutex::new(Some(watch::Sender::new(0))),
                pieces: sender,
                beginning: Mutex::new(Some(beginning)),
            }),
        })
    }

    /// Takes what a stream says until its end.
    pub(crate) async fn follow(&self, stream: Stream, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 32 << 10];
        let mut line = Vec::new();
        loop {
            match from.read(&mut buffer).await {
                // A terminal tells its end by an error.
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    let piece = buffer.get(..length).unwrap_or_default();
                    // Nobody may be listening.
                    let _ = self.inner.pieces.send((stream, Bytes::copy_from_slice(piece)));
                    self.keep_beginning(length);
                    self.append(stream, &mut line, piece);
                }
            }
        }
        if !line.is_empty() {
            let text = entry(stream, &line, false);
            self.write(&text);
        }
    }

    fn append(&self, stream: Stream, line: &mut Vec<u8>, piece: &[u8]) {
        let mut text = Vec::with_capacity(piece.len() + 64);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend(part);
            if line.last() == Some(&b'\n') {
                line.pop();
                text.extend(entry(stream, line, true));
                line.clear();
            }
            while line.len() >= LONGEST_LINE {
                let rest = line.split_off(LONGEST_LINE);
                text.extend(entry(stream, line, false));
                *line = rest;
            }
        }
        if !text.is_empty() {
            self.write(&text);
        }
    }

    /// A full disk loses lines, never the container.
    fn write(&self, text: &[u8]) {
        {
            let mut open = self.inner.file.lock().unwrap_or_else(PoisonError::into_inner);
            if open.size >= LIMIT {
                self.rotate(&mut open);
            }
            let written = open.file.as_mut().map(|file| file.write_all(text));
            if matches!(written, Some(Ok(()))) {
                open.size += text.len() as u64;
            }
        }
        let grown = self.inner.grown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grown) = grown.as_ref() {
            grown.send_modify(|count| *count += 1);
        }
    }

    fn rotate(&self, open: &mut Open) {
        let aside = |number: u32| aside(&self.inner.path, number);
        // What is not there cannot be moved: the first times, and after a full disk.
        let _ = fs::remove_file(aside(KEPT));
        for number in (1..KEPT).rev() {
            let _ = fs::rename(aside(number), aside(number + 1));
        }
        let _ = fs::rename(&self.inner.path, aside(1));
        open.file = OpenOptions::new().create(true).append(true).open(&self.inner.path).ok();
        open.size = 0;
    }

    /// The run has ended: readers that follow it end, too.
    pub(crate) fn close(&self) {
        self.inner.grown.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Tells when something was written; it ends with the run.
    pub(crate) fn growth(&self) -> Option<watch::Receiver<u64>> {
        let grown = self.inner.grown.lock().unwrap_or_else(PoisonError::into_inner);
        grown.as_ref().map(watch::Sender::subscribe)
    }

    /// The last lines, and of them the last bytes.
    pub(crate) fn last_lines(&self, lines: usize, bytes: usize) -> Option<String> {
        let text = fs::read_to_string(&self.inner.path).ok()?;
        let shown: Vec<_> = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
        let last = shown.get(shown.len().saturating_sub(lines)..)?.join("\n");
        let mut start = last.len().saturating_sub(bytes);
        while !last.is_char_boundary(start) {
            start += 1;
        }
        last.get(start..).map(str::to_owned)
    }

    fn keep_beginning(&self, said: usize) {
        let mut kept = self.inner.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = kept.take().and_then(|it| {
            let size = it.size + said;
            (size <= BEGINNING && it.since.elapsed() < YOUNG).then_some(Beginning { size, ..it })
        });
    }

    /// Output as it comes, and whether it is all since the run began: for the first who listens while it is young.
    pub(crate) fn listen(&self) -> (broadcast::Receiver<(Stream, Bytes)>, bool) {
        let kept = self.inner.beginning.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept.filter(|it| it.since.elapsed() < YOUNG) {
            Some(beginning) => (beginning.pieces, true),
            None => (self.inner.pieces.subscribe(), false),
        }
    }
}

/// Where a full file is set aside.
fn aside(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("log.{number}"))
}

fn entry(stream: Stream, line: &[u8], whole: bool) -> Vec<u8> {
    let stream = match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    };
    let mut text =
        format!("{:.9} {stream} {} ", Timestamp::now(), if whole { 'F' } else { 'P' }).into_bytes();
    text.extend(line);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_first_hears_what_was_said_before() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), 0).unwrap();
        log.follow(Stream::Out, &b"hi\n"[..]).await;
        let (mut first, is_all) = log.listen();
        assert!(is_all);
        assert_eq!(first.try_recv().unwrap(), (Stream::Out, Bytes::from_static(b"hi\n")));
        let (mut second, is_all) = log.listen();
        assert!(!is_all && second.try_recv().is_err());

        let log = Log::create(folder.path(), 1).unwrap();
        log.follow(Stream::Err, &vec![b'x'; BEGINNING + 1][..]).await;
        assert!(!log.listen().1, "so much is not kept");
    }
}
