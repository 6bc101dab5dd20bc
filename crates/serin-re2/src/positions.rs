//! Full matches of ASCII texts, by the position automaton: each character of the pattern is a state, and a state is
//! entered by reading that character. It is built in one walk over the tree and needs no memory to run, which is what
//! matters with thousands of patterns that are each tried a few times.
//!
//! A text that has bytes above ASCII, and a pattern with conditions on places in its middle or with too many
//! positions, are left to the general engine.

use crate::ast::{Look, Node};

/// What the automaton can say about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Match,
    NoMatch,
    /// A byte above ASCII decides.
    Unknown,
}

/// An automaton of the smallest width that holds its positions.
#[derive(Debug)]
pub(crate) enum Positions {
    Narrow(Automaton<1>),
    Medium(Automaton<2>),
    Wide(Automaton<4>),
}

impl Positions {
    /// Builds the automaton of a sequence, or nothing if it cannot be had.
    pub(crate) fn build(nodes: &[Node], edges: Edges) -> Option<Self> {
        let mut builder = Builder { states: Vec::new() };
        let whole = builder.sequence(nodes, edges)?;
        let Builder { states } = builder;
        Some(match states.len() {
            0..=64 => Self::Narrow(Automaton::new(&states, &whole)),
            65..=128 => Self::Medium(Automaton::new(&states, &whole)),
            _ => Self::Wide(Automaton::new(&states, &whole)),
        })
    }

    pub(crate) fn run(&self, text: &[u8]) -> Answer {
        match self {
            Self::Narrow(automaton) => automaton.run(text),
            Self::Medium(automaton) => automaton.run(text),
            Self::Wide(automaton) => automaton.run(text),
        }
    }
}

/// The most positions of an automaton.
const MAX_STATES: usize = 256;
const WORDS: usize = MAX_STATES / 64;

/// A set of positions.
type Set = [u64; WORDS];

#[derive(Debug)]
pub(crate) struct Automaton<const W: usize> {
    /// The positions that a text can start at.
    first: [u64; W],
    /// The positions that a text can end at.
    last: [u64; W],
    /// Whether the empty text matches.
    takes_empty: bool,
    states: Box<[State<W>]>,
}

#[derive(Debug)]
struct State<const W: usize> {
    /// The ASCII characters that enter this position.
    entry: [u64; 2],
    /// The positions that can come next.
    follow: [u64; W],
}

impl<const W: usize> Automaton<W> {
    fn new(states: &[BuiltState], whole: &Fragment) -> Self {
        let narrow = |set: &Set| std::array::from_fn(|word| set[word]);
        let states = states.iter().map(|state| State {
            entry: [state.entry as u64, (state.entry >> 64) as u64],
            follow: narrow(&state.follow),
        });
        Self {
            first: narrow(&whole.first),
            last: narrow(&whole.last),
            takes_empty: whole.takes_empty,
            states: states.collect(),
        }
    }

    fn run(&self, text: &[u8]) -> Answer {
        let Some((&first, rest)) = text.split_first() else {
            return if self.takes_empty { Answer::Match } else { Answer::NoMatch };
        };
        let mut candidates = self.first;
        let mut byte = first;
        let mut rest = rest.iter();
        loop {
            if byte >= 0x80 {
                return Answer::Unknown;
            }
            let (word, bit) = (usize::from(byte >> 6), byte & 63);
            let mut entered = [0; W];
            let mut next = [0; W];
            for block in 0..W {
                let mut left = candidates[block];
                while left != 0 {
                    let offset = left.trailing_zeros() as usize;
                    left &= left - 1;
                    let state = &self.states[block * 64 + offset];
                    if state.entry[word] >> bit & 1 == 1 {
                        entered[block] |= 1 << offset;
                        for (next, follow) in next.iter_mut().zip(&state.follow) {
                            *next |= follow;
                        }
                    }
                }
            }
            match rest.next() {
                Some(&following) if next != [0; W] => byte = following,
                Some(_) => return Answer::NoMatch,
                None => {
                    let ends =
                        entered.iter().zip(&self.last).any(|(entered, last)| entered & last != 0);
                    return if ends { Answer::Match } else { Answer::NoMatch };
                }
            }
            candidates = next;
        }
    }
}

struct Builder {
    states: Vec<BuiltState>,
}

struct BuiltState {
    entry: u128,
    follow: Set,
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
        Self { first: [0; WORDS], last: [0; WORDS], takes_empty: true }
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

fn unite(into: &mut Set, other: &Set) {
    for (into, other) in into.iter_mut().zip(other) {
        *into |= other;
    }
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
            Node::Literal(rune) => self.state(if *rune <= 0x7F { 1 << rune } else { 0 }),
            Node::Class(set) => self.state(set.ascii()),
            Node::AnyByte => self.state(u128::MAX),
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
            if part.first == [0; WORDS] {
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

    fn state(&mut self, entry: u128) -> Option<Fragment> {
        let index = self.states.len();
        if index == MAX_STATES {
            return None;
        }
        self.states.push(BuiltState { entry, follow: [0; WORDS] });
        let mut set = [0; WORDS];
        set[index / 64] = 1 << (index % 64);
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
        for (block, &bits) in from.iter().enumerate() {
            let mut left = bits;
            while left != 0 {
                let offset = left.trailing_zeros() as usize;
                left &= left - 1;
                unite(&mut self.states[block * 64 + offset].follow, to);
            }
        }
    }
}
