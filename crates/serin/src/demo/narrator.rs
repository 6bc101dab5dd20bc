//! Who tells the story: lines for people, and a file of events for programs.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use crate::load::Progress;
use crate::terminal::Palette;

/// An event as it is written to the file.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Event {
    pub(super) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weights: Option<Weights>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// Percent of the users that each version has, and of the requests that are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Weights {
    pub(super) primary: u64,
    pub(super) canary: u64,
    pub(super) mirror: u64,
}

/// An event with its time and with what users have seen until then.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    event: &'a Event,
    user_requests: u64,
    user_errors: u64,
}

/// Tells a story.
pub(super) struct Narrator<'a> {
    out: &'a mut dyn Write,
    pub(super) palette: Palette,
    began: Instant,
    file: Option<File>,
    /// What users see.
    pub(super) users: Arc<Progress>,
}

impl<'a> Narrator<'a> {
    /// Begins; the file is made anew.
    pub(super) fn new(
        out: &'a mut dyn Write,
        palette: Palette,
        json: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let make = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let file = json.map(make).transpose()?;
        Ok(Self { out, palette, began: Instant::now(), file, users: Arc::default() })
    }

    /// A headline.
    pub(super) fn heading(&mut self, text: &str) -> anyhow::Result<()> {
        let styled = self.palette.strong(text);
        writeln!(self.out, "\n{styled}")?;
        Ok(self.out.flush()?)
    }

    /// Something that happens now.
    pub(super) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let seconds = format!("{:>4} s", self.began.elapsed().as_secs());
        let time = self.palette.faint(seconds);
        writeln!(self.out, "{time}  {}", text.replace('\n', "\n        "))?;
        Ok(self.out.flush()?)
    }

    /// More about what was said.
    pub(super) fn add(&mut self, text: &str) -> anyhow::Result<()> {
        for line in text.lines() {
            let styled = self.palette.faint(line);
            writeln!(self.out, "        {styled}")?;
        }
        Ok(self.out.flush()?)
    }

    /// Lines as they are, to be copied.
    pub(super) fn plain(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Writes an event to the file.
    pub(super) fn note(&mut self, event: &Event) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let (user_requests, user_errors) = self.users.so_far();
        let line = Line { time: Timestamp::now().to_string(), event, user_requests, user_errors };
        // One write for a line: who reads along never sees a part of it, nor does a crash leave one.
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        file.write_all(&text).context("cannot write to the file of --json")
    }
}
