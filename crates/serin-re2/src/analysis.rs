//! What can be said about every match of a pattern without matching: its literal start, a text it must contain,
//! whether it takes anything. Indexes narrow their candidates with it, and checks compare rules.

use crate::ast::{Look, MAX_RUNE, Node, Repeat, encode};

/// The longest literal that is collected, in bytes: counted repetitions must not blow it up.
const MAX_LITERAL: usize = 256;

/// The parts of a pattern that matter in a full match: an anchor at its own end holds there anyway.
#[derive(Clone, Copy)]
pub(crate) struct Spine<'n> {
    nodes: &'n [Node],
}

impl<'n> Spine<'n> {
    pub(crate) fn new(node: &'n Node) -> Self {
        let mut nodes = std::slice::from_ref(node);
        loop {
            nodes = match nodes {
                [Node::Look(Look::TextStart | Look::LineStart), rest @ ..] => rest,
                [rest @ .., Node::Look(Look::TextEnd | Look::LineEnd)] => rest,
                [Node::Concat(inner)] => inner,
                [Node::Group(inner)] => std::slice::from_ref(inner),
                _ => return Self { nodes },
            };
        }
    }

    pub(crate) fn nodes(self) -> &'n [Node] {
        self.nodes
    }

    /// Splits plain literals off both ends.
    pub(crate) fn peel(self) -> (Vec<u8>, &'n [Node], Vec<u8>) {
        let mut middle = self.nodes;
        let (mut prefix, mut suffix) = (Vec::new(), Vec::new());
        while let [Node::Literal(rune), rest @ ..] = middle {
            encode(*rune, &mut prefix);
            middle = rest;
        }
        let literals =
            middle.iter().rev().take_while(|node| matches!(node, Node::Literal(_))).count();
        let (rest, tail) = middle.split_at(middle.len() - literals);
        for node in tail {
            if let Node::Literal(rune) = node {
                encode(*rune, &mut suffix);
            }
        }
        (prefix, rest, suffix)
    }

    /// The bytes that every full match starts with.
    pub(crate) fn literal_prefix(self) -> Vec<u8> {
        let mut prefix = Vec::new();
        for node in self.nodes {
            if !push_prefix(node, &mut prefix) {
                break;
            }
        }
        prefix
    }

    /// Whether every text of whole UTF-8 characters and without a line feed is a full match.
    pub(crate) fn takes_everything(self) -> bool {
        all_take_everything(self.nodes)
    }
}

/// Whether a sequence takes every such text.
pub(crate) fn all_take_everything(nodes: &[Node]) -> bool {
    !nodes.is_empty() && nodes.iter().all(takes_everything)
}

fn takes_everything(node: &Node) -> bool {
    match node {
        Node::Group(node) => takes_everything(node),
        Node::Concat(nodes) => nodes.iter().all(takes_everything),
        Node::Alternate(nodes) => nodes.iter().any(takes_everything),
        Node::Repeat(repeat) => {
            let Repeat { min, max, node, .. } = &**repeat;
            match (min, max) {
                (0, None) => takes_any_character(node) || takes_everything(node),
                (_, Some(0)) => false,
                _ => takes_everything(node),
            }
        }
        Node::Empty | Node::Literal(_) | Node::Class(_) | Node::AnyByte | Node::Look(_) => false,
    }
}

fn takes_any_character(node: &Node) -> bool {
    match node {
        Node::Group(node) => takes_any_character(node),
        Node::Alternate(nodes) => nodes.iter().any(takes_any_character),
        Node::Class(set) => {
            // Everything but, perhaps, the line feed.
            matches!(set.ranges(), [(0, MAX_RUNE)] | [(0, 0x09), (0x0B, MAX_RUNE)])
        }
        _ => false,
    }
}

/// Appends the literal that every match of `node` starts with; true if that is all of it.
fn push_prefix(node: &Node, out: &mut Vec<u8>) -> bool {
    if out.len() >= MAX_LITERAL {
        return false;
    }
    match node {
        Node::Empty | Node::Look(_) => true,
        Node::Literal(rune) => {
            encode(*rune, out);
            true
        }
        Node::Class(_) | Node::AnyByte => false,
        Node::Group(node) => push_prefix(node, out),
        Node::Concat(nodes) => nodes.iter().all(|node| push_prefix(node, out)),
        Node::Repeat(repeat) => {
            let whole = (0..repeat.min).all(|_| push_prefix(&repeat.node, out));
            whole && repeat.max == Some(repeat.min)
        }
        Node::Alternate(nodes) => {
            let mut branches = nodes.iter().map(|node| {
                let mut branch = Vec::new();
                push_prefix(node, &mut branch);
                branch
            });
            let mut common = branches.next().unwrap_or_default();
            for branch in branches {
                let equal =
                    common.iter().zip(&branch).take_while(|(left, right)| left == right).count();
                common.truncate(equal);
            }
            out.append(&mut common);
            false
        }
    }
}

/// The longest literal that stands in every match of a sequence; empty if there is none.
pub(crate) fn required_literal(nodes: &[Node]) -> Vec<u8> {
    let mut search = Required::default();
    search.sequence(nodes);
    search.end_run();
    search.best
}

#[derive(Default)]
struct Required {
    run: Vec<u8>,
    best: Vec<u8>,
}

impl Required {
    fn end_run(&mut self) {
        if self.run.len() > self.best.len() {
            std::mem::swap(&mut self.run, &mut self.best);
        }
        self.run.clear();
    }

    fn sequence(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Literal(rune) if self.run.len() < MAX_LITERAL => encode(*rune, &mut self.run),
                Node::Empty | Node::Look(_) => {}
                Node::Group(node) => self.sequence(std::slice::from_ref(node)),
                Node::Concat(nodes) => self.sequence(nodes),
                Node::Repeat(repeat) if repeat.min > 0 => {
                    self.end_run();
                    self.sequence(std::slice::from_ref(&repeat.node));
                    self.end_run();
                }
                Node::Literal(_)
                | Node::Class(_)
                | Node::AnyByte
                | Node::Repeat(_)
                | Node::Alternate(_) => {
                    self.end_run();
                }
            }
        }
    }
}
