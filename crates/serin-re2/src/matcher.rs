//! The choice of means for a full match: plain comparisons where they suffice, the position automaton for the rest
//! of ASCII, the general engine for everything else.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look as HirLook};

use crate::analysis::{Spine, required_literal};
use crate::ast::Node;
use crate::positions::{Answer, Edges, Positions};
use crate::translate::translate;

/// Below this length, looking for a required literal first does not pay.
const WORTH_SEARCHING: usize = 32;

#[derive(Debug)]
pub(crate) struct Matcher {
    prefix: Box<[u8]>,
    suffix: Box<[u8]>,
    middle: Middle,
    engine: OnceLock<Option<meta::Regex>>,
}

/// What lies between the literal start and end of a pattern.
#[derive(Debug)]
enum Middle {
    /// Nothing: the pattern is one literal.
    Nothing,
    /// One class of characters again and again.
    Run { members: [u64; 2], min: usize, max: usize },
    /// Anything with few enough positions.
    Positions { required: Option<Box<Finder<'static>>>, positions: Positions },
    /// The rest.
    Engine,
}

impl Matcher {
    pub(crate) fn new(node: &Node) -> Self {
        let (prefix, middle, suffix) = Spine::new(node).peel();
        let edges = Edges { start: prefix.is_empty(), end: suffix.is_empty() };
        Self {
            prefix: prefix.into(),
            suffix: suffix.into(),
            middle: Middle::new(middle, edges),
            engine: OnceLock::new(),
        }
    }

    /// Whether the general engine decides every text that has the literal start and end.
    pub(crate) fn needs_engine(&self) -> bool {
        matches!(self.middle, Middle::Engine)
    }

    pub(crate) fn is_full_match(&self, node: &Node, text: &[u8]) -> bool {
        let Some(middle) =
            text.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_suffix(&*self.suffix))
        else {
            return false;
        };
        match self.middle.run(middle) {
            Answer::Match => true,
            Answer::NoMatch => false,
            Answer::Unknown => self
                .engine(node)
                .is_some_and(|engine| engine.is_match(Input::new(text).anchored(Anchored::Yes))),
        }
    }

    /// The engine for the whole pattern between the ends of the text, without groups.
    pub(crate) fn engine(&self, node: &Node) -> Option<&meta::Regex> {
        let build = || {
            let ends = [Hir::look(HirLook::Start), translate(node, false), Hir::look(HirLook::End)];
            build(&Hir::concat(ends.into()))
        };
        self.engine.get_or_init(build).as_ref()
    }
}

/// Compiles for the general engine. The parser's limits keep every pattern within the engine's.
pub(crate) fn build(hir: &Hir) -> Option<meta::Regex> {
    let config = meta::Regex::config().utf8_empty(false).nfa_size_limit(None);
    let built = meta::Regex::builder().configure(config).build_from_hir(hir);
    debug_assert!(built.is_ok(), "the engine refuses what the parser lets pass: {built:?}");
    built.ok()
}

impl Middle {
    fn new(nodes: &[Node], edges: Edges) -> Self {
        if nodes.is_empty() {
            return Self::Nothing;
        }
        if let [Node::Repeat(repeat)] = nodes
            && let Node::Class(set) = &repeat.node
        {
            let ascii = set.ascii();
            let max = repeat.max.map_or(usize::MAX, |max| max as usize);
            return Self::Run {
                members: [ascii as u64, (ascii >> 64) as u64],
                min: repeat.min as usize,
                max,
            };
        }
        let Some(positions) = Positions::build(nodes, edges) else { return Self::Engine };
        // An automaton that can leave a text early needs no help.
        let starts_open =
            matches!(nodes, [Node::Repeat(repeat), ..] if repeat.max.is_none_or(|max| max == 1));
        let required = if starts_open { required_literal(nodes) } else { Vec::new() };
        let required = (required.len() > 1).then(|| Box::new(Finder::new(&required).into_owned()));
        Self::Positions { required, positions }
    }

    fn run(&self, text: &[u8]) -> Answer {
        match self {
            Self::Nothing if text.is_empty() => Answer::Match,
            Self::Nothing => Answer::NoMatch,
            Self::Run { members, min, max } => run(*members, *min, *max, text),
            Self::Positions { required, positions } => {
                if text.len() >= WORTH_SEARCHING
                    && required.as_ref().is_some_and(|literal| literal.find(text).is_none())
                {
                    return Answer::NoMatch;
                }
                positions.run(text)
            }
            Self::Engine => Answer::Unknown,
        }
    }
}

/// Whether a text has only members of a class, and between `min` and `max` of them.
fn run(members: [u64; 2], min: usize, max: usize, text: &[u8]) -> Answer {
    for &byte in text {
        if byte >= 0x80 {
            return Answer::Unknown;
        }
        if members[usize::from(byte >> 6)] >> (byte & 63) & 1 == 0 {
            return Answer::NoMatch;
        }
    }
    if (min..=max).contains(&text.len()) { Answer::Match } else { Answer::NoMatch }
}
