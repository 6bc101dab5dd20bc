//! Which of many short texts a longer text contains.
//!
//! The short ones all have one of a few widths, so that a window of each width slid over the text finds them: its bytes are
//! a number, looked up in a table behind a filter of bits small enough to stay in the processor's nearest cache.

use std::collections::HashMap;
use std::ops::Deref;

use super::List;
use crate::hash::TextHash;

/// The widths, widest first.
const WIDTHS: [usize; 3] = [8, 4, 2];

/// Bits of a filter for each text in it.
const BITS_PER_TEXT: usize = 16;

/// So many windows of a text are enough to choose from, if they cover all of it.
const ENOUGH: usize = 8;

/// A short text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    bytes: [u8; WIDTHS[0]],
    width: u8,
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.width)]
    }
}

/// Windows of a text, of the largest width that it has room for; none if it is shorter than the smallest.
///
/// Of a long text some are left out, but so that every pair of neighbouring bytes is in one of the widest.
pub(super) fn windows(text: &[u8]) -> impl Iterator<Item = Window> {
    let width = WIDTHS.into_iter().find(|width| *width <= text.len());
    width.into_iter().flat_map(move |width| {
        let step = if width == WIDTHS[0] { (text.len() / ENOUGH).clamp(1, width - 2) } else { 1 };
        let last = text.len() - width;
        (0..last).step_by(step).chain([last]).map(move |start| {
            let mut bytes = [0; WIDTHS[0]];
            bytes[..width].copy_from_slice(&text[start..start + width]);
            Window { bytes, width: width as u8 }
        })
    })
}

/// Lists filed under short texts.
#[derive(Debug, Default)]
pub(super) struct WindowIndex {
    widths: Vec<OfWidth>,
}

#[derive(Debug)]
struct OfWidth {
    width: usize,
    /// A power of two of bits.
    filter: Box<[u64]>,
    lists: HashMap<u64, List, TextHash>,
}

impl WindowIndex {
    /// The index of texts that [`windows`] gave.
    pub(super) fn new(texts: &[(&[u8], List)]) -> Self {
        let of_width = |width: usize| texts.iter().filter(move |(text, _)| text.len() == width);
        let widths = WIDTHS.into_iter().filter(|width| of_width(*width).next().is_some());
        Self { widths: widths.map(|width| OfWidth::new(width, of_width(width))).collect() }
    }

    /// Visits the list of each window of `text` that has one; that of a window that is repeated, again.
    pub(super) fn visit(&self, text: &[u8], mut visit: impl FnMut(List)) {
        for widths in &self.widths {
            widths.visit(text, &mut visit);
        }
    }
}

impl OfWidth {
    fn new<'t>(width: usize, texts: impl Iterator<Item = &'t (&'t [u8], List)>) -> Self {
        let lists: HashMap<u64, List, TextHash> = texts
            .map(|(text, list)| {
                (text.iter().fold(0, |number, byte| slide(number, *byte, width)), *list)
            })
            .collect();
        let words = (lists.len() * BITS_PER_TEXT).next_power_of_two().max(64) / 64;
        let mut filter = vec![0_u64; words].into_boxed_slice();
        for number in lists.keys() {
            let (word, bit) = place(*number, words);
            filter[word] |= bit;
        }
        Self { width, filter, lists }
    }

    fn visit(&self, text: &[u8], visit: &mut impl FnMut(List)) {
        let mut number = 0;
        for (position, byte) in text.iter().enumerate() {
            number = slide(number, *byte, self.width);
            let (word, bit) = place(number, self.filter.len());
            if position + 1 >= self.width
                && self.filter[word] & bit != 0
                && let Some(list) = self.lists.get(&number)
            {
                visit(*list);
            }
        }
    }
}

/// The number of the window that begins one byte later and ends with `byte`.
const fn slide(number: u64, byte: u8, width: usize) -> u64 {
    number >> 8 | (byte as u64) << (8 * (width - 1))
}

/// The place of a number's bit in a filter of so many words, a power of two.
const fn place(number: u64, words: usize) -> (usize, u64) {
    let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // The upper bits are the best mixed.
    ((hash >> 38) as usize & (words - 1), 1 << (hash >> 32 & 63))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_are_as_wide_as_there_is_room_for() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<Window> = windows(text.as_bytes()).collect();
            let found: Vec<&str> =
                found.iter().map(|window| std::str::from_utf8(window).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("", &[]);
        check("a", &[]);
        check("abc", &["ab", "bc"]);
        check("abcde", &["abcd", "bcde"]);
        check("abcdefghi", &["abcdefgh", "bcdefghi"]);
        check("0123456789abcdef", &["01234567", "23456789", "456789ab", "6789abcd", "89abcdef"]);
        check(
            "0123456789abcdefg",
            &["01234567", "23456789", "456789ab", "6789abcd", "89abcdef", "9abcdefg"],
        );
    }

    proptest! {
        #[test]
        fn every_text_that_is_contained_is_found(
            texts in prop::collection::btree_set("([ab\0]{2}|[ab\0]{4}|[ab\0]{8})", 0..40),
            text in "[ab\0]{0,40}",
        ) {
            let lists = (0..).map(|start| List { start, length: 1 });
            let entries: Vec<_> = texts.iter().map(|text| text.as_bytes()).zip(lists).collect();
            let mut found = std::collections::BTreeSet::new();
            WindowIndex::new(&entries).visit(text.as_bytes(), |list| {
                found.insert(list.start as usize);
            });
            let contained = texts.iter().enumerate().filter(|(_, short)| text.contains(short.as_str()));
            prop_assert_eq!(found, contained.map(|(place, _)| place).collect());
        }
    }
}
