//! The position automaton of a pattern: each character of the pattern is a state, and a state is entered by reading
//! that character. It is built in one walk over the tree.
//!
//! Patterns with conditions on places in their middle, or with too many positions, have none.

use crate::ast::{Look, Node};
use crate::class::Above;

/// The most positions.
const MAX_STATES: usize = 256;
const WORDS: usize = MAX_STATES / 64;

/// A set of positions.
pub(crate) type Set = [u64; WORDS];

/// Adds the members of a set to another.
pub(crate) fn unite(into: &mut Set, other: &Set) {
    for (into, other) in into.iter_mut().zip(other) {
        *into |= other;
    }
}

pub(crate) fn insert(set: &mut Set, state: usize) {
    set[state / 64] |= 1 << (state % 64);
}

pub(crate) fn contains(set: &Set, state: usize) -> bool {
    set[state / 64] >> (state % 64) & 1 == 1
}

pub(crate) fn members(set: &Set) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(block, &bits)| {
        let mut left = bits;
        std::iter::from_fn(move || {
            let offset = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(block * 64 + offset)
        })
    })
}

/// The positions of a pattern and what follows what.
pub(crate) struct Graph {
    pub(crate) states: Vec<State>,
    /// The positions that a text can start at.
    pub(crate) first: Set,
    /// The positions that a text can end at.
    pub(crate) last: Set,
    /// Whether the empty text matches.
    pub(crate) takes_empty: bool,
}

impl Graph {
    /// The graph of a whole pattern, or nothing if it cannot be had.
    pub(crate) fn build(node: &Node) -> Option<Self> {
        Self::of(std::slice::from_ref(node), Edges { start: true, end: true })
    }

    /// The positions that a letter enters, wherever they are.
    pub(crate) fn entered_by(&self, letter: u8) -> Set {
        let mut entered = Set::default();
        for (index, _) in self.states.iter().enumerate().filter(|(_, state)| state.takes(letter)) {
            insert(&mut entered, index);
        }
        entered
    }

    /// The graph of a sequence.
    pub(crate) fn of(nodes: &[Node], edges: Edges) -> Option<Self> {
        let mut builder = Builder { states: Vec::new() };
        let Fragment { first, last, takes_empty } = builder.sequence(nodes, edges)?;
        Some(Self { states: builder.states, first, last, takes_empty })
    }
}

struct Builder {
    states: Vec<State>,
}

/// A position.
pub(crate) struct State {
    /// The ASCII characters that enter it.
    pub(crate) entry: u128,
    /// The other characters that enter it.
    pub(crate) above: Above,
    /// The positions that can come next.
    pub(crate) follow: Set,
}

impl State {
    /// Whether a letter enters the position: an ASCII character, or 128 for any other.
    pub(crate) fn takes(&self, letter: u8) -> bool {
        if letter > 0x7F { self.above == Above::All } else { self.entry >> letter & 1 == 1 }
    }
}

/// The automaton of a part of the pattern.
#[derive(Clone)]
struct Fragment {
    first: Set,
    last: Set,
    takes_empty: bool,
}

impl Fragment {
    fn empty() -> Self {
        Self { first: Set::default(), last: Set::default(), takes_empty: true }
    }
}

/// Whether a part of the pattern is certain to lie at the start or the end of the text, where anchors hold.
#[derive(Clone, Copy)]
pub(crate) struct Edges {
    pub(crate) start: bool,
    pub(crate) end: bool,
}

impl Edges {
    const NONE: Self = Self { start: false, end: false };
}

impl Builder {
    fn sequence(&mut self, nodes: &[Node], edges: Edges) -> Option<Fragment> {
        let no_width = |node: &Node| matches!(node, Node::Empty | Node::Look(_));
        let leading = nodes.iter().take_while(|node| no_width(node)).count();
        let trailing = nodes.iter().rev().take_while(|node| no_width(node)).count();
        let mut whole = Fragment::empty();
        for (index, node) in nodes.iter().enumerate() {
            let edges = Edges {
                start: edges.start && index <= leading,
                end: edges.end && index + trailing + 1 >= nodes.len(),
            };
            let part = self.node(node, edges)?;
            whole = self.append(&whole, &part);
        }
        Some(whole)
    }

    fn node(&mut self, node: &Node, edges: Edges) -> Option<Fragment> {
        match node {
            Node::Empty => Some(Fragment::empty()),
            Node::Literal(rune @ 0..=0x7F) => self.state(1 << rune, Above::None),
            Node::Literal(_) => self.state(0, Above::Some),
            Node::Class(set) => self.state(set.ascii(), set.above()),
            Node::AnyByte => self.state(u128::MAX, Above::Some),
            Node::Look(Look::TextStart | Look::LineStart) if edges.start => Some(Fragment::empty()),
            Node::Look(Look::TextEnd | Look::LineEnd) if edges.end => Some(Fragment::empty()),
            Node::Look(_) => None,
            Node::Group(node) => self.node(node, edges),
            Node::Concat(nodes) => self.sequence(nodes, edges),
            Node::Alternate(nodes) => {
                let mut whole = Fragment { takes_empty: false, ..Fragment::empty() };
                for node in nodes {
                    let branch = self.node(node, edges)?;
                    unite(&mut whole.first, &branch.first);
                    unite(&mut whole.last, &branch.last);
                    whole.takes_empty |= branch.takes_empty;
                }
                Some(whole)
            }
            Node::Repeat(repeat) => self.repeat(&repeat.node, repeat.min, repeat.max),
        }
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>) -> Option<Fragment> {
        let mut whole = Fragment::empty();
        // One copy for each time that can be told from the others; the last one loops if there is no upper bound.
        let copies = max.unwrap_or(min.max(1));
        for copy in 1..=copies {
            let mut part = self.node(node, Edges::NONE)?;
            if part.first == Set::default() {
                // Neither the number of empty texts nor of impossible ones matters.
                part.takes_empty |= min == 0;
                return Some(part);
            }
            if max.is_none() && copy == copies {
                self.connect(&part.last, &part.first);
            }
            part.takes_empty |= copy > min;
            whole = self.append(&whole, &part);
        }
        Some(whole)
    }

    fn state(&mut self, entry: u128, above: Above) -> Option<Fragment> {
        let index = self.states.len();
        if index == MAX_STATES {
            return None;
        }
        self.states.push(State { entry, above, follow: Set::default() });
        let mut set = Set::default();
        insert(&mut set, index);
        Some(Fragment { first: set, last: set, takes_empty: false })
    }

    fn append(&mut self, left: &Fragment, right: &Fragment) -> Fragment {
        self.connect(&left.last, &right.first);
        let mut whole = Fragment {
            first: left.first,
            last: right.last,
            takes_empty: left.takes_empty && right.takes_empty,
        };
        if left.takes_empty {
            unite(&mut whole.first, &right.first);
        }
        if right.takes_empty {
            unite(&mut whole.last, &left.last);
        }
        whole
    }

    /// Lets every position of `to` follow every one of `from`.
    fn connect(&mut self, from: &Set, to: &Set) {
        for state in members(from) {
            unite(&mut self.states[state].follow, to);
        }
    }
}
