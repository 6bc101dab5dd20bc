//! A text with small mistakes taken out, which still knows where each of its bytes came from.

use std::ops::Range;

use super::problem::Fault;

/// Puts `with` in the place of the bytes `range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) with: String,
}

/// A text and the stretches of it that are as they were written.
pub(super) struct Mended {
    text: String,
    /// In order; between two stretches stands what edits put in.
    kept: Vec<Stretch>,
}

#[derive(Clone, Copy)]
struct Stretch {
    /// Where it begins in the mended text.
    at: usize,
    /// Where it began as written.
    origin: usize,
    len: usize,
}

impl Mended {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), kept: vec![Stretch { at: 0, origin: 0, len: text.len() }] }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Applies edits, which are in order and do not overlap.
    pub(super) fn apply(&mut self, edits: &[Edit]) {
        let mut text = String::with_capacity(self.text.len() + 16);
        let mut kept = Vec::with_capacity(self.kept.len() + edits.len());
        let mut done = 0;
        for edit in edits {
            self.keep(done..edit.range.start, text.len(), &mut kept);
            text.push_str(&self.text[done..edit.range.start]);
            text.push_str(&edit.with);
            done = edit.range.end;
        }
        self.keep(done..self.text.len(), text.len(), &mut kept);
        text.push_str(&self.text[done..]);
        *self = Self { text, kept };
    }

    /// Records that the bytes `range` now begin at `at`.
    fn keep(&self, range: Range<usize>, at: usize, kept: &mut Vec<Stretch>) {
        for stretch in &self.kept {
            let start = stretch.at.max(range.start);
            let end = (stretch.at + stretch.len).min(range.end);
            if start < end {
                let origin = stretch.origin + (start - stretch.at);
                kept.push(Stretch { at: at + (start - range.start), origin, len: end - start });
            }
        }
    }

    /// Where the byte at `offset` stood as written; for what an edit put in, the place it was put.
    pub(super) fn origin(&self, offset: usize) -> usize {
        let next = self.kept.partition_point(|stretch| stretch.at <= offset);
        match next.checked_sub(1).and_then(|at| self.kept.get(at)) {
            Some(stretch) => stretch.origin + (offset - stretch.at).min(stretch.len),
            None => self.kept.first().map_or(0, |stretch| stretch.origin),
        }
    }

    /// The same fault with its places as written.
    pub(super) fn to_origin(&self, mut fault: Fault) -> Fault {
        fault.range = self.origin_range(&fault.range);
        fault.earlier = fault.earlier.map(|range| self.origin_range(&range));
        fault
    }

    pub(super) fn origin_range(&self, range: &Range<usize>) -> Range<usize> {
        self.origin(range.start)..self.origin(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_back_to_the_text_as_written() {
        let mut mended = Mended::new("abcdef");
        mended.apply(&[
            Edit { range: 1..2, with: "xyz".into() },
            Edit { range: 4..5, with: String::new() },
        ]);
        assert_eq!(mended.text(), "axyzcdf");
        mended.apply(&[Edit { range: 0..0, with: "__".into() }]);
        assert_eq!(mended.text(), "__axyzcdf");
        let origins: Vec<usize> = (0..=9).map(|offset| mended.origin(offset)).collect();
        assert_eq!(origins, [0, 0, 0, 1, 1, 1, 2, 3, 5, 6]);
    }
}
