//! The syntax tree in the form that `regex-automata` compiles.
//!
//! RE2 works on bytes: a class takes the UTF-8 encodings of its members, and a byte that starts none of them matches
//! nothing but `\C`. So neither the pattern nor the text has to be valid UTF-8.

use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir,
    Look as HirLook, Repetition,
};

use crate::ast::{Look, Node, encode};
use crate::class::{RuneSet, SURROGATES};

/// Translates a tree, with its groups numbered from 1, or without any.
pub(crate) fn translate(node: &Node, groups: bool) -> Hir {
    Translator { next_group: groups.then_some(1) }.node(node)
}

struct Translator {
    next_group: Option<u32>,
}

impl Translator {
    fn node(&mut self, node: &Node) -> Hir {
        match node {
            Node::Empty => Hir::empty(),
            Node::Literal(rune) => {
                let mut bytes = Vec::with_capacity(4);
                encode(*rune, &mut bytes);
                Hir::literal(bytes)
            }
            Node::Class(set) => class(set),
            Node::AnyByte => bytes(&[(0x00, 0xFF)]),
            Node::Look(look) => Hir::look(match look {
                Look::TextStart => HirLook::Start,
                Look::TextEnd => HirLook::End,
                Look::LineStart => HirLook::StartLF,
                Look::LineEnd => HirLook::EndLF,
                Look::WordBoundary => HirLook::WordAscii,
                Look::NoWordBoundary => HirLook::WordAsciiNegate,
            }),
            Node::Repeat(repeat) => Hir::repetition(Repetition {
                min: repeat.min,
                max: repeat.max,
                greedy: repeat.greedy,
                sub: Box::new(self.node(&repeat.node)),
            }),
            Node::Group(node) => {
                let Some(index) = self.next_group else { return self.node(node) };
                self.next_group = Some(index + 1);
                Hir::capture(Capture { index, name: None, sub: Box::new(self.node(node)) })
            }
            Node::Concat(nodes) => Hir::concat(nodes.iter().map(|node| self.node(node)).collect()),
            Node::Alternate(nodes) => {
                Hir::alternation(nodes.iter().map(|node| self.node(node)).collect())
            }
        }
    }
}

fn bytes(ranges: &[(u8, u8)]) -> Hir {
    let ranges = ranges.iter().map(|&(low, high)| ClassBytesRange::new(low, high));
    Hir::class(Class::Bytes(ClassBytes::new(ranges)))
}

fn class(set: &RuneSet) -> Hir {
    let mut ascii = Vec::new();
    let mut above = Vec::new();
    for &(low, high) in set.ranges() {
        if low <= 0x7F {
            ascii.push((low as u8, high.min(0x7F) as u8));
        }
        if high > 0x7F {
            above.push((low.max(0x80), high));
        }
    }
    if above.is_empty() {
        return bytes(&ascii);
    }
    let mut branches = vec![bytes(&ascii)];
    if set.has_all_above_ascii() {
        // As RE2 shortens it, which also lets in overlong encodings, surrogates and what is above U+10FFFF.
        let tail = || bytes(&[(0x80, 0xBF)]);
        branches.push(Hir::concat(vec![bytes(&[(0xC2, 0xDF)]), tail()]));
        branches.push(Hir::concat(vec![bytes(&[(0xE0, 0xEF)]), tail(), tail()]));
        branches.push(Hir::concat(vec![bytes(&[(0xF0, 0xF4)]), tail(), tail(), tail()]));
    } else {
        let mut scalars = Vec::new();
        for (low, high) in above {
            let parts = [(low, high.min(SURROGATES.0 - 1)), (low.max(SURROGATES.1 + 1), high)];
            scalars.extend(parts.into_iter().filter(|(low, high)| low <= high).filter_map(
                |(low, high)| {
                    Some(ClassUnicodeRange::new(char::from_u32(low)?, char::from_u32(high)?))
                },
            ));
            let (low, high) = (low.max(SURROGATES.0), high.min(SURROGATES.1));
            branches.extend((low..=high).map(|rune| {
                let mut bytes = Vec::with_capacity(3);
                encode(rune, &mut bytes);
                Hir::literal(bytes)
            }));
        }
        branches.push(Hir::class(Class::Unicode(ClassUnicode::new(scalars))));
    }
    Hir::alternation(branches)
}
