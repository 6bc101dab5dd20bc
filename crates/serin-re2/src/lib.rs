//! RE2 regular expressions as Envoy and Go read them.
//!
//! Istio's API says "RE2"; its validation compiles patterns with Go's `regexp`, Envoy runs them with RE2. This crate
//! accepts the patterns both accept (and RE2's `\C`) and gives them RE2's meaning: `\d`, `\w`, `\s` and `\b` are ASCII,
//! `.` takes one UTF-8 character but no line feed, bytes that are not UTF-8 match nothing but `\C`. It relies on
//! `regex-automata` for the general case and has a small matcher of its own for full matches of ASCII texts, because
//! thousands of patterns must compile in milliseconds.
//!
//! Which part of a request a pattern is held against, and how many characters it may have, is for its users.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use regex_automata::{Input, meta};

mod analysis;
mod ast;
mod class;
mod covers;
mod dfa;
mod error;
mod matcher;
mod parse;
mod positions;
mod rewrite;
mod runs;
mod translate;

pub use error::{Error, ErrorKind, RewriteError};
pub use rewrite::Rewrite;

use analysis::Spine;
use ast::Node;
use matcher::Matcher;

/// A compiled pattern. Cloning is cheap; two are equal if their patterns are the same text.
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Inner>,
}

struct Inner {
    pattern: Box<str>,
    groups: usize,
    node: Node,
    matcher: Matcher,
    /// The engine that searches and knows groups, built when it is first asked for.
    searcher: OnceLock<Option<meta::Regex>>,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If RE2 or Go would refuse it; the error says where and why.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let (node, groups) = parse::parse(pattern)?;
        let matcher = Matcher::new(&node);
        let inner =
            Inner { pattern: pattern.into(), groups, node, matcher, searcher: OnceLock::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Builds now what a full match of an ASCII text would otherwise build at its first use.
    pub fn warm(&self) {
        self.inner.matcher.warm(&self.inner.node);
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.inner.pattern
    }

    /// How many groups the pattern has, the whole match (`\0`) not counted.
    pub fn groups(&self) -> usize {
        self.inner.groups
    }

    /// Whether the pattern matches the whole of a text, as Envoy's matchers ask.
    pub fn is_full_match(&self, text: &[u8]) -> bool {
        self.inner.matcher.is_full_match(&self.inner.node, text)
    }

    /// Whether the pattern matches some part of a text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.searcher().is_some_and(|searcher| searcher.is_match(text))
    }

    /// Replaces every match, as RE2's `GlobalReplace` does: from left to right, no match overlapping the one before,
    /// and no empty match right behind one.
    pub fn replace_all<'t>(&self, text: &'t [u8], rewrite: &Rewrite) -> Cow<'t, [u8]> {
        let Some(searcher) = self.searcher() else { return Cow::Borrowed(text) };
        let mut captures = searcher.create_captures();
        let mut out = Vec::new();
        let (mut start, mut copied, mut last_end, mut replaced) = (0, 0, None, false);
        while start <= text.len() {
            searcher.search_captures(&Input::new(text).range(start..), &mut captures);
            let Some(found) = captures.get_match() else { break };
            start = found.end();
            if found.is_empty() && last_end == Some(found.end()) {
                start += character_length(&text[found.end()..]);
                continue;
            }
            (last_end, replaced) = (Some(found.end()), true);
            out.extend_from_slice(&text[copied..found.start()]);
            rewrite
                .expand(&mut out, text, |group| captures.get_group(group).map(|span| span.range()));
            copied = found.end();
        }
        if !replaced {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(&text[copied..]);
        Cow::Owned(out)
    }

    /// The bytes that every full match starts with; may be fewer than there are.
    pub fn literal_prefix(&self) -> Vec<u8> {
        Spine::new(&self.inner.node).literal_prefix()
    }

    /// A text that every full match contains; empty if none is known.
    pub fn required_literal(&self) -> Vec<u8> {
        analysis::required_literal(Spine::new(&self.inner.node).nodes())
    }

    /// The only text that is a full match, if the pattern is plain text.
    pub fn as_literal(&self) -> Option<Vec<u8>> {
        let (prefix, middle, _) = Spine::new(&self.inner.node).peel();
        middle.is_empty().then_some(prefix)
    }

    /// The prefix that alone decides a full match, if the pattern is plain text and then `.*`.
    ///
    /// As for [`matches_everything`](Self::matches_everything), of texts without a line feed and of whole characters.
    pub fn as_prefix(&self) -> Option<Vec<u8>> {
        let (prefix, middle, suffix) = Spine::new(&self.inner.node).peel();
        (suffix.is_empty() && analysis::all_take_everything(middle)).then_some(prefix)
    }

    /// Whether every text is a full match, like that of `.*`: every text, that is, that has no line feed and is whole
    /// UTF-8 characters, for these two RE2's `.` does not take.
    pub fn matches_everything(&self) -> bool {
        Spine::new(&self.inner.node).takes_everything()
    }

    /// Whether every full match of `other` is one of this pattern too; `None` if that cannot be told: when one of the
    /// patterns is very large, asks for word boundaries or lines, or tells characters above ASCII apart.
    pub fn covers(&self, other: &Self) -> Option<bool> {
        covers::covers(&self.inner.node, &other.inner.node)
    }

    fn searcher(&self) -> Option<&meta::Regex> {
        let build = || matcher::build(&translate::translate(&self.inner.node, true));
        self.inner.searcher.get_or_init(build).as_ref()
    }
}

/// The length of the UTF-8 character at the start of a text; one byte if there is none.
fn character_length(text: &[u8]) -> usize {
    let head = &text[..text.len().min(4)];
    let character = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    character.map_or(1, char::len_utf8)
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Regex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
