//! YAML and JSON as Kubernetes reads them, with the position of every key and value.
//!
//! Relies on a YAML 1.2 parser for the grammar and adds what Kubernetes' reader does on top: the booleans and octal
//! numbers of YAML 1.1, duplicate keys as errors, merge keys, and JSON values in a row. A stream is cut into its
//! documents first; a syntax error costs only its own document. Where it is plain what an author meant (a list item
//! one space too far to the right), the text is mended and read on, so that one pass reports everything; a document
//! that had to be mended says so and must not be used as if it were correct.
//!
//! Knows nothing of Kubernetes objects; that begins with [`crate::load`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::{Severity, Span, codes};

mod build;
mod diagnose;
mod mend;
mod outline;
mod position;
mod problem;
mod scalar;
mod split;
mod tree;
mod write;

use build::{RawContent, RawNode};
pub(crate) use diagnose::glued;
use mend::Mended;
use position::LineIndex;
use problem::Fault;
pub use problem::Problem;
pub use tree::{Content, Entry, Node};
pub use write::write;

/// How much text is read before giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Values of one document, each alias counted as what it stands for.
    pub nodes: usize,
    /// Levels of nesting.
    pub depth: usize,
}

impl Default for Limits {
    /// 64 MiB, two million values, 128 levels.
    fn default() -> Self {
        Self { bytes: 64 << 20, nodes: 2_000_000, depth: 128 }
    }
}

/// What a text holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// The documents that could be read, in order. Empty ones are left out.
    pub documents: Vec<Document>,
    /// Everything that is wrong with the text, in the order of the text.
    pub problems: Vec<Problem>,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The value of the document.
    pub root: Node,
    /// Whether the text was read as written without problems. Otherwise some values are missing or guessed, and the
    /// document serves only to look for more problems.
    pub sound: bool,
}

/// Reads all documents of `text` within the default [`Limits`].
pub fn read(text: &str) -> Stream {
    read_within(text, &Limits::default())
}

/// Reads all documents of `text` within `limits`.
pub fn read_within(text: &str, limits: &Limits) -> Stream {
    let mut stream = Stream::default();
    if text.len() > limits.bytes {
        let message = format!("the text has {} bytes; the limit is {}", text.len(), limits.bytes);
        stream.problems.push(Problem {
            code: codes::LIMIT,
            severity: Severity::Error,
            span: LineIndex::new("").span(0, 0),
            message,
            help: None,
        });
        return stream;
    }
    let index = LineIndex::new(text);
    for range in split::documents(text) {
        Chunk { text, range, index: &index, limits }.read(&mut stream);
    }
    stream
}

/// The text that `bytes` encode: UTF-8, or UTF-16 with a byte order mark as some editors write it.
///
/// # Errors
/// A problem that says where the first invalid byte stands.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.chunks(2).map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or(0)]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok().map(Cow::Owned)
    };
    let decoded = match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    };
    decoded.ok_or_else(|| {
        let valid = String::from_utf8_lossy(bytes);
        let at = valid.find('\u{fffd}').unwrap_or(0);
        Problem {
            code: codes::ENCODING,
            severity: Severity::Error,
            span: LineIndex::new(&valid).span(at, at),
            message: "the bytes from here on are not text in UTF-8 or UTF-16".to_owned(),
            help: Some(
                "save the file as UTF-8, or leave it out if it is not a manifest".to_owned(),
            ),
        }
    })
}

/// One document's part of the text.
struct Chunk<'t> {
    text: &'t str,
    range: Range<usize>,
    index: &'t LineIndex<'t>,
    limits: &'t Limits,
}

impl Chunk<'_> {
    /// How many mistakes of one document are mended before reading stops at the next one.
    const MENDS: usize = 16;

    fn read(&self, stream: &mut Stream) {
        let mut mended = Mended::new(&self.text[self.range.clone()]);
        let mut faults = diagnose::odd_spaces(mended.text());
        for fault in &faults {
            mended.apply(&fault.edits);
        }
        let first_line = self.index.position(self.range.start).line;
        let built = loop {
            let built = build::build(mended.text(), self.limits);
            let Some(stop) = &built.stop else { break built };
            let found = diagnose::syntax_error(mended.text(), stop, first_line);
            let place = mended.origin(found.fault.range.start);
            // A mend that brought the parser no further was wrong: what it complains about then is not the author's.
            let progress = faults.last().is_none_or(|last| place > last.fault.range.start);
            if !progress {
                break built;
            }
            let edits = found.edits.clone();
            faults.push(diagnose::Diagnosis {
                fault: mended.to_origin(found.fault),
                edits: Vec::new(),
            });
            if edits.is_empty() || faults.len() > Self::MENDS {
                break built;
            }
            mended.apply(&edits);
        };
        // What the parser saw after the place it could not get past is not the author's.
        let stop = built.stop.as_ref().and(faults.last()).map(|last| last.fault.range.start);
        let sound = faults.is_empty() && built.faults.is_empty() && built.stop.is_none();
        let mut problems: Vec<Problem> = faults
            .into_iter()
            .map(|found| found.fault)
            .chain(
                built
                    .faults
                    .into_iter()
                    .map(|fault| mended.to_origin(fault))
                    .filter(|fault| stop.is_none_or(|stop| fault.range.start < stop)),
            )
            .map(|fault| self.problem(fault))
            .collect();
        problems.sort_by_key(|problem| problem.span.start);
        stream.problems.append(&mut problems);
        let mut places = Places { chunk: self, mended: &mended, shared: HashMap::new() };
        stream.documents.extend(built.roots.iter().flatten().filter_map(|root| {
            let empty = matches!(root.content, RawContent::Scalar(serde_json::Value::Null));
            (!empty).then(|| Document { root: places.node(root), sound })
        }));
    }

    fn problem(&self, fault: Fault) -> Problem {
        let base = self.range.start;
        let mut message = fault.message;
        if let Some(earlier) = fault.earlier {
            let line = self.index.position(base + earlier.start).line;
            message.push_str(&format!("; the first is on line {line}"));
        }
        Problem {
            code: fault.code,
            severity: Severity::Error,
            span: self.index.span(base + fault.range.start, base + fault.range.end),
            message,
            help: fault.help,
        }
    }
}

/// Turns byte ranges of a mended part of a text into positions in the text as written.
struct Places<'c> {
    chunk: &'c Chunk<'c>,
    mended: &'c Mended,
    /// Values that aliases share are turned once.
    shared: HashMap<*const RawNode, Arc<Node>>,
}

impl Places<'_> {
    fn span(&self, range: &Range<usize>) -> Span {
        let base = self.chunk.range.start;
        let origin = self.mended.origin_range(range);
        self.chunk.index.span(base + origin.start, base + origin.end)
    }

    fn child(&mut self, raw: &Arc<RawNode>) -> Arc<Node> {
        let key = Arc::as_ptr(raw);
        if let Some(known) = self.shared.get(&key) {
            return Arc::clone(known);
        }
        let node = Arc::new(self.node(raw));
        if Arc::strong_count(raw) > 1 {
            self.shared.insert(key, Arc::clone(&node));
        }
        node
    }

    fn node(&mut self, raw: &RawNode) -> Node {
        let content = match &raw.content {
            RawContent::Scalar(value) => Content::Scalar(value.clone()),
            RawContent::List(items) => {
                Content::List(items.iter().map(|item| self.child(item)).collect())
            }
            RawContent::Map(entries) => Content::Map(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        key_span: self.span(&entry.key_range),
                        value: self.child(&entry.value),
                    })
                    .collect(),
            ),
        };
        Node { span: self.span(&raw.range), content }
    }
}

#[cfg(test)]
mod tests;
