//! The syntax tree of a pattern. It keeps what RE2 distinguishes and nothing of how it was written.

use crate::class::RuneSet;

/// A code point as RE2 sees it: surrogates included, which UTF-8 proper has no encoding for.
pub(crate) type Rune = u32;

/// The highest code point.
pub(crate) const MAX_RUNE: Rune = 0x10_FFFF;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Matches the empty text.
    Empty,
    /// One code point.
    Literal(Rune),
    /// One code point of a set; of an empty set, nothing.
    Class(RuneSet),
    /// `\C`: one byte, whatever it is.
    AnyByte,
    /// A condition on the place.
    Look(Look),
    /// A repetition.
    Repeat(Box<Repeat>),
    /// A numbered group.
    Group(Box<Self>),
    /// One after the other; neither empty nor nested.
    Concat(Vec<Self>),
    /// The first that leads to a match; never empty.
    Alternate(Vec<Self>),
}

/// A repetition of `node` at least `min` and at most `max` times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Repeat {
    pub(crate) min: u32,
    pub(crate) max: Option<u32>,
    pub(crate) greedy: bool,
    pub(crate) node: Node,
}

/// A condition on a place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// `\A`, and `^` without the flag `m`.
    TextStart,
    /// `\z`, and `$` without the flag `m`. Unlike Perl's, not before a final line feed.
    TextEnd,
    /// `^` with the flag `m`.
    LineStart,
    /// `$` with the flag `m`.
    LineEnd,
    /// `\b`, between ASCII word characters and others.
    WordBoundary,
    /// `\B`.
    NoWordBoundary,
}

/// The UTF-8 bytes of a code point, surrogates encoded in the same scheme as RE2 does.
pub(crate) fn encode(rune: Rune, out: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (rune >> shift & 0x3F) as u8;
    match rune {
        0..=0x7F => out.push(rune as u8),
        0x80..=0x7FF => out.extend([0xC0 | (rune >> 6) as u8, tail(0)]),
        0x800..=0xFFFF => out.extend([0xE0 | (rune >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend([0xF0 | (rune >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}
