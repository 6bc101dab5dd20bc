//! RE2's rewrite strings: `\0` to `\9` insert what a group matched, `\\` a backslash.

use std::ops::Range;

use crate::error::RewriteError;

/// A checked rewrite string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    text: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A stretch of the text.
    Text(Range<usize>),
    Group(usize),
}

impl serde::Serialize for Rewrite {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Rewrite {
    /// Checks a rewrite string against the number of groups of its pattern ([`Regex::groups`](crate::Regex::groups)).
    ///
    /// # Errors
    /// If a backslash is followed by anything but a digit or a backslash, or a group is referred to that is not there.
    pub fn parse(text: &str, groups: usize) -> Result<Self, RewriteError> {
        let bytes = text.as_bytes();
        let mut parts = Vec::new();
        let mut start = 0;
        let mut position = 0;
        while let Some(found) = memchr::memchr(b'\\', &bytes[position..]) {
            let offset = position + found;
            if start < offset {
                parts.push(Part::Text(start..offset));
            }
            match bytes.get(offset + 1) {
                None => return Err(RewriteError::TrailingBackslash { offset }),
                Some(b'\\') => start = offset + 1,
                Some(digit @ b'0'..=b'9') => {
                    let group = usize::from(digit - b'0');
                    if group > groups {
                        return Err(RewriteError::NoSuchGroup { offset, group, groups });
                    }
                    parts.push(Part::Group(group));
                    start = offset + 2;
                }
                Some(_) => return Err(RewriteError::InvalidEscape { offset }),
            }
            position = offset + 2;
        }
        if start < bytes.len() {
            parts.push(Part::Text(start..bytes.len()));
        }
        Ok(Self { text: text.into(), parts })
    }

    /// The string as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends the string to `out` with the groups filled in; a group that matched nothing inserts nothing.
    pub(crate) fn expand(
        &self,
        out: &mut Vec<u8>,
        haystack: &[u8],
        group: impl Fn(usize) -> Option<Range<usize>>,
    ) {
        for part in &self.parts {
            match part {
                Part::Text(range) => out.extend_from_slice(&self.text.as_bytes()[range.clone()]),
                Part::Group(number) => {
                    if let Some(range) = group(*number) {
                        out.extend_from_slice(&haystack[range]);
                    }
                }
            }
        }
    }
}
