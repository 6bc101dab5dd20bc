//! Reading logs back: previous runs, the last lines, since a time, with times, and on as they grow.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{KEPT, aside};

/// What a reader wants, as the parameters of the API have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Go on as the log grows.
    pub follow: bool,
    /// The last lines only.
    pub tail: Option<usize>,
    /// Lines from then on only.
    pub since: Option<Timestamp>,
    /// Each line with its time.
    pub timestamps: bool,
    /// So many bytes only.
    pub limit: Option<usize>,
    /// One of the streams only.
    pub stream: Option<&'static str>,
}

/// The log of a run: what is there, and with `growth` what comes.
pub(crate) fn read(
    folder: &Path,
    run: i32,
    ask: Ask,
    growth: Option<watch::Receiver<u64>>,
) -> io::Result<impl Stream<Item = Bytes> + Send + use<>> {
    let path = folder.join(format!("{run}.log"));
    let mut reader = Reader { ask, path, file: None, part: Vec::new(), sent: 0 };
    let first = reader.first()?;
    let growth = growth.filter(|_| reader.ask.follow);
    let state = (reader, growth, Some(first));
    Ok(futures_util::stream::unfold(state, |(mut reader, mut growth, first)| async move {
        if let Some(bytes) = first {
            return Some((bytes, (reader, growth, None)));
        }
        let mut over = reader.is_full();
        while !over {
            let changed = match growth.as_mut() {
                Some(growth) => growth.changed().await.is_ok(),
                None => false,
            };
            let bytes = reader.more();
            if !changed {
                growth = None;
                over = true;
            }
            if !bytes.is_empty() {
                return Some((bytes, (reader, growth, None)));
            }
        }
        None
    }))
}

struct Reader {
    ask: Ask,
    path: PathBuf,
    file: Option<File>,
    part: Vec<u8>,
    sent: usize,
}

impl Reader {
    /// What is there.
    fn first(&mut self) -> io::Result<Bytes> {
        let mut lines = VecDeque::new();
        for number in (1..=KEPT).rev() {
            if let Ok(file) = File::open(aside(&self.path, number)) {
                self.collect(BufReader::new(file), &mut lines)?;
            }
        }
        let mut file = File::open(&self.path)?;
        self.collect(BufReader::new(&mut file), &mut lines)?;
        self.file = Some(file);
        let text: Vec<u8> = lines.into_iter().flatten().collect();
        Ok(self.cut(text))
    }

    /// Whole lines of a file; the last ones only where that is asked.
    fn collect(
        &mut self,
        mut from: impl io::BufRead,
        lines: &mut VecDeque<Vec<u8>>,
    ) -> io::Result<()> {
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                self.part = std::mem::take(&mut line);
                break;
            }
            if let Some(text) = render(&line, &self.ask) {
                lines.push_back(text);
                if self.ask.tail.is_some_and(|tail| lines.len() > tail) {
                    lines.pop_front();
                }
            }
            line.clear();
        }
        Ok(())
    }

    /// What was added.
    fn more(&mut self) -> Bytes {
        let mut raw = std::mem::take(&mut self.part);
        if let Some(file) = self.file.as_mut() {
            // A failure shows as nothing new.
            let _ = file.read_to_end(&mut raw);
        }
        self.reopen(&mut raw);
        let end = raw.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.part = raw.split_off(end);
        let ask = self.ask.clone();
        let text = raw
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| render(line, &ask))
            .flatten()
            .collect();
        self.cut(text)
    }

    /// Goes over to the new file where the old one was set aside.
    fn reopen(&mut self, raw: &mut Vec<u8>) {
        use std::os::unix::fs::MetadataExt as _;
        let Some(now) = fs::metadata(&self.path).ok() else { return };
        let mine = self.file.as_ref().and_then(|file| file.metadata().ok());
        if mine.is_some_and(|mine| mine.ino() != now.ino())
            && let Ok(mut file) = File::open(&self.path)
        {
            let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(raw));
            if read.is_ok() {
                self.file = Some(file);
            }
        }
    }

    fn cut(&mut self, mut text: Vec<u8>) -> Bytes {
        if let Some(limit) = self.ask.limit {
            text.truncate(limit.saturating_sub(self.sent));
        }
        self.sent += text.len();
        Bytes::from(text)
    }

    fn is_full(&self) -> bool {
        self.ask.limit.is_some_and(|limit| self.sent >= limit)
    }
}

/// A line as it is shown, if it is.
fn render(line: &[u8], ask: &Ask) -> Option<Vec<u8>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = parts.next()?;
    let stream = parts.next()?;
    let whole = parts.next()? == b"F";
    let text = parts.next().unwrap_or_default();
    if let Some(since) = ask.since {
        let time: Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
        if time < since {
            return None;
        }
    }
    if ask.stream.is_some_and(|wanted| wanted.as_bytes() != stream) {
        return None;
    }
    let mut out = Vec::with_capacity(line.len());
    if ask.timestamps {
        out.extend(time);
        out.push(b' ');
    }
    // A line that was cut goes on in the next entry.
    out.extend(if whole { text } else { text.strip_suffix(b"\n").unwrap_or(text) });
    Some(out)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::super::{Log, Stream as Kind};
    use super::*;

    async fn shown(folder: &Path, ask: Ask) -> String {
        let pieces: Vec<_> = read(folder, 0, ask, None).unwrap().collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn lines_come_back_whole_last_or_cut() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), 0).unwrap();
        log.follow(Kind::Out, &b"one\ntwo\nthree"[..]).await;
        let all = Ask::default();
        assert_eq!(shown(folder.path(), all.clone()).await, "one\ntwo\nthree");
        let tail = Ask { tail: Some(2), ..all.clone() };
        assert_eq!(shown(folder.path(), tail).await, "two\nthree");
        let limit = Ask { limit: Some(5), ..all.clone() };
        assert_eq!(shown(folder.path(), limit).await, "one\nt");
        let late = Ask { since: Some(Timestamp::MAX), ..all.clone() };
        assert_eq!(shown(folder.path(), late).await, "");
        let times = shown(folder.path(), Ask { timestamps: true, ..all }).await;
        let (time, text) = times.lines().next().unwrap().split_once(' ').unwrap();
        assert!(time.parse::<Timestamp>().is_ok());
        assert_eq!(text, "one");
    }

    #[tokio::test]
    async fn a_reader_follows_until_the_run_ends() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), 0).unwrap();
        log.follow(Kind::Out, &b"first\n"[..]).await;
        let ask = Ask { follow: true, ..Ask::default() };
        let mut pieces = std::pin::pin!(read(folder.path(), 0, ask, log.growth()).unwrap());
        assert_eq!(pieces.next().await.unwrap(), "first\n");
        log.follow(Kind::Err, &b"second\n"[..]).await;
        assert_eq!(pieces.next().await.unwrap(), "second\n");
        log.close();
        assert_eq!(pieces.next().await, None);
    }

    #[tokio::test]
    async fn full_files_are_set_aside_and_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), 0).unwrap();
        let line = [vec![b'x'; 8 << 10], b"\n".to_vec()].concat();
        for _ in 0..1400 {
            log.follow(Kind::Out, &line[..]).await;
        }
        assert!(aside(&folder.path().join("0.log"), 1).exists());
        assert_eq!(shown(folder.path(), Ask::default()).await.lines().count(), 1400);
    }
}
