//! From byte offsets to lines and columns.

use crate::{Position, Span};

const BLOCK: usize = 256;

/// Finds line and column of any byte of a text without reading the text again from its start.
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many characters begin before each block of `BLOCK` bytes.
    chars: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![if text.starts_with('\u{feff}') { 3 } else { 0 }];
        let mut chars = Vec::with_capacity(bytes.len() / BLOCK + 1);
        let mut seen = 0;
        for (offset, &byte) in bytes.iter().enumerate() {
            if offset % BLOCK == 0 {
                chars.push(seen);
            }
            seen += usize::from(begins_char(byte));
            let lone_return = byte == b'\r' && bytes.get(offset + 1) != Some(&b'\n');
            if byte == b'\n' || lone_return {
                starts.push(offset + 1);
            }
        }
        Self { text, starts, chars }
    }

    /// The position of the byte at `offset`; offsets past the end count as the end.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts[line - 1].min(offset);
        Position { line, column: self.chars_before(offset) - self.chars_before(start) + 1, offset }
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.position(start), end: self.position(end.max(start)) }
    }

    fn chars_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        // A text whose length is a multiple of the block size has no entry for its end.
        let Some(&before) = self.chars.get(block) else {
            return block.checked_sub(1).map_or(0, |last| {
                self.chars[last] + count_chars(&self.text.as_bytes()[last * BLOCK..offset])
            });
        };
        before + count_chars(&self.text.as_bytes()[block * BLOCK..offset])
    }
}

fn count_chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| begins_char(byte)).count()
}

const fn begins_char(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_counting_from_the_start(text in "[a\\n\\r\u{e4}\u{20ac}\u{1f426}]{0,700}") {
            let index = LineIndex::new(&text);
            for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let before = &text[..offset];
                let ends_inside_crlf = before.ends_with('\r') && text[offset..].starts_with('\n');
                let mut lines = before.replace("\r\n", "\n").replace('\r', "\n");
                if ends_inside_crlf {
                    lines.pop();
                    lines.push(' ');
                }
                let line = lines.matches('\n').count() + 1;
                let column = lines.rsplit('\n').next().unwrap_or("").chars().count() + 1;
                let position = index.position(offset);
                prop_assert_eq!((position.line, position.column), (line, column));
            }
        }
    }
}
