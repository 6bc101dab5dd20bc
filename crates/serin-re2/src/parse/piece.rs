//! Expressions under construction, with the figures that RE2's limits are about.

use regex_syntax::utf8::Utf8Sequences;

use super::MAX_REPEAT;
use crate::ast::{Look, MAX_RUNE, Node, Repeat, Rune, encode};
use crate::class::{RuneSet, SURROGATES};
use crate::error::ErrorKind;

/// The greatest height of the syntax tree. Go allows 1000; the engine that runs the pattern recurses once for each
/// level, on whatever stack it is called.
const MAX_HEIGHT: u32 = 250;

/// The largest program, in RE2's instructions, that Envoy accepts as Istio configures it
/// (`re2.max_program_size.error_level`). What is counted here is an estimate of it.
const MAX_SIZE: u32 = 32_768;

/// An expression and its measures.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) node: Node,
    height: u32,
    /// Estimated instructions.
    size: u32,
    /// The largest product of the bounds of nested counted repetitions.
    repeats: u32,
}

impl Piece {
    fn leaf(node: Node, size: u32) -> Self {
        Self { node, height: 1, size, repeats: 1 }
    }

    pub(super) fn look(look: Look) -> Self {
        Self::leaf(Node::Look(look), 1)
    }

    pub(super) fn any_byte() -> Self {
        Self::leaf(Node::AnyByte, 1)
    }

    pub(super) fn dot(newline: bool) -> Self {
        let mut set = RuneSet::default();
        if newline {
            set.push(0, MAX_RUNE);
        } else {
            set.push(0, 0x09);
            set.push(0x0B, MAX_RUNE);
        }
        Self::class(set)
    }

    /// A set of code points, which is normalized here.
    pub(super) fn class(mut set: RuneSet) -> Self {
        set.normalize();
        if let Some(rune) = set.single() {
            return Self::literal(rune, false);
        }
        let size = class_size(&set);
        Self::leaf(Node::Class(set), size)
    }

    pub(super) fn literal(rune: Rune, fold: bool) -> Self {
        if fold {
            let mut set = RuneSet::default();
            set.push_folded(rune, rune, true);
            set.normalize();
            if set.single().is_none() {
                return Self::class(set);
            }
        }
        let mut bytes = Vec::new();
        if rune > 0x7F {
            encode(rune, &mut bytes);
        }
        Self::leaf(Node::Literal(rune), bytes.len().max(1) as u32)
    }

    /// The group around this piece.
    pub(super) fn group(self) -> Result<Self, ErrorKind> {
        let piece = Self {
            node: Node::Group(Box::new(self.node)),
            height: self.height + 1,
            size: self.size.saturating_add(2),
            ..self
        };
        piece.check()
    }

    pub(super) fn repeat(self, build: impl FnOnce(Node) -> Repeat) -> Result<Self, ErrorKind> {
        let repeat = build(self.node);
        let copies = repeat.max.unwrap_or(repeat.min).max(1);
        let counted = copies.max(repeat.min) > 1;
        let repeats = self.repeats.saturating_mul(copies);
        if counted && repeats > MAX_REPEAT {
            return Err(ErrorKind::RepetitionSize);
        }
        let optional = repeat.max.map_or(1, |max| max - repeat.min);
        let size = self.size.saturating_mul(copies).saturating_add(optional);
        let piece =
            Self { node: Node::Repeat(Box::new(repeat)), height: self.height + 1, size, repeats };
        piece.check()
    }

    pub(super) fn concat(pieces: Vec<Self>) -> Result<Self, ErrorKind> {
        Self::join(pieces, 0, |nodes| {
            if !nodes.iter().any(|node| matches!(node, Node::Concat(_))) {
                return Node::Concat(nodes);
            }
            let mut flat = Vec::with_capacity(nodes.len());
            for node in nodes {
                match node {
                    Node::Concat(mut inner) => flat.append(&mut inner),
                    node => flat.push(node),
                }
            }
            Node::Concat(flat)
        })
    }

    pub(super) fn alternate(pieces: Vec<Self>) -> Result<Self, ErrorKind> {
        Self::join(pieces, 1, Node::Alternate)
    }

    /// Joins pieces under one node; each costs `extra` instructions.
    fn join(
        mut pieces: Vec<Self>,
        extra: u32,
        build: impl FnOnce(Vec<Node>) -> Node,
    ) -> Result<Self, ErrorKind> {
        match pieces.len() {
            0 => return Ok(Self::leaf(Node::Empty, 0)),
            1 => return Ok(pieces.swap_remove(0)),
            _ => {}
        }
        let height = 1 + pieces.iter().map(|piece| piece.height).max().unwrap_or(0);
        let repeats = pieces.iter().map(|piece| piece.repeats).max().unwrap_or(1);
        let size = pieces.iter().fold(0_u32, |sum, piece| sum.saturating_add(piece.size + extra));
        let node = build(pieces.into_iter().map(|piece| piece.node).collect());
        Self { node, height, size, repeats }.check()
    }

    fn check(self) -> Result<Self, ErrorKind> {
        if self.height > MAX_HEIGHT {
            return Err(ErrorKind::TooDeep);
        }
        if self.size > MAX_SIZE {
            return Err(ErrorKind::TooLarge);
        }
        Ok(self)
    }
}

/// How many instructions a class takes: one for each range of bytes in the tree of its UTF-8 sequences.
fn class_size(set: &RuneSet) -> u32 {
    let ascii = set.ranges().iter().take_while(|range| range.0 <= 0x7F).count() as u32;
    if set.has_all_above_ascii() {
        // RE2 shortens this case to nine ranges.
        return ascii + 9;
    }
    let mut size = ascii;
    let mut previous = None;
    for &(low, high) in set.ranges().iter().filter(|range| range.1 > 0x7F) {
        for (low, high) in
            [(low.max(0x80), high.min(SURROGATES.0 - 1)), (low.max(SURROGATES.1 + 1), high)]
        {
            let (Some(first), Some(last)) = (char::from_u32(low), char::from_u32(high)) else {
                continue;
            };
            if first > last {
                continue;
            }
            for sequence in Utf8Sequences::new(first, last) {
                let shared =
                    previous.as_ref().map_or(0, |previous: &regex_syntax::utf8::Utf8Sequence| {
                        let pairs = previous.as_slice().iter().zip(sequence.as_slice());
                        pairs.take_while(|(left, right)| left == right).count()
                    });
                size += sequence.len().saturating_sub(shared) as u32;
                previous = Some(sequence);
            }
        }
    }
    size
}
