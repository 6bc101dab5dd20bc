//! The choice of means for a full match: plain comparisons where they suffice, a small automaton for the rest of
//! ASCII, the general engine for everything else.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look as HirLook};

use crate::analysis::{Spine, required_literal};
use crate::ast::Node;
use crate::dfa::Dfa;
use crate::positions::{Edges, Graph};
use crate::runs::Runs;
use crate::translate::translate;

/// Below this length, looking for a required literal first does not pay.
const WORTH_SEARCHING: usize = 32;

#[derive(Debug)]
pub(crate) struct Matcher {
    /// The literal start and the literal end.
    ends: Box<[u8]>,
    /// The length of the literal start.
    start: usize,
    middle: Middle,
    engine: OnceLock<Option<meta::Regex>>,
}

/// What can be said about a text by its ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Match,
    NoMatch,
    /// A byte above ASCII decides.
    Unknown,
}

/// What lies between the literal start and end of a pattern.
#[derive(Debug)]
enum Middle {
    /// Nothing: the pattern is one literal.
    Nothing,
    /// Runs of characters with literals between them.
    Runs(Runs),
    /// Anything else: an automaton that is built at its first use, if it can be had.
    Other(OnceLock<Option<Box<Automaton>>>),
}

#[derive(Debug)]
struct Automaton {
    /// A literal to look for before anything else.
    required: Option<Finder<'static>>,
    dfa: Dfa,
}

impl Matcher {
    pub(crate) fn new(node: &Node) -> Self {
        let (prefix, middle, suffix) = Spine::new(node).peel();
        let (start, ends) = (prefix.len(), [prefix, suffix].concat().into());
        Self { ends, start, middle: Middle::new(middle), engine: OnceLock::new() }
    }

    /// Builds what a match would need.
    pub(crate) fn warm(&self, node: &Node) {
        if let Middle::Other(automaton) = &self.middle
            && automaton.get_or_init(|| Automaton::new(node)).is_none()
        {
            self.engine(node);
        }
    }

    pub(crate) fn is_full_match(&self, node: &Node, text: &[u8]) -> bool {
        let (prefix, suffix) = self.ends.split_at(self.start);
        let Some(middle) = text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix))
        else {
            return false;
        };
        let answer = match &self.middle {
            Middle::Nothing if middle.is_empty() => Answer::Match,
            Middle::Nothing => Answer::NoMatch,
            Middle::Runs(runs) => runs.run(middle),
            Middle::Other(automaton) => {
                let automaton = automaton.get_or_init(|| Automaton::new(node));
                automaton.as_ref().map_or(Answer::Unknown, |automaton| automaton.run(middle))
            }
        };
        match answer {
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
    fn new(nodes: &[Node]) -> Self {
        if nodes.is_empty() {
            return Self::Nothing;
        }
        if let Some(runs) = Runs::new(nodes) {
            return Self::Runs(runs);
        }
        Self::Other(OnceLock::new())
    }
}

impl Automaton {
    /// The automaton of what lies between the literal start and end of a pattern.
    fn new(node: &Node) -> Option<Box<Self>> {
        let (prefix, middle, suffix) = Spine::new(node).peel();
        let edges = Edges { start: prefix.is_empty(), end: suffix.is_empty() };
        let dfa = Dfa::new(&Graph::of(middle, edges)?)?;
        // An automaton that can leave a text early needs no help.
        let starts_open =
            matches!(middle, [Node::Repeat(repeat), ..] if repeat.max.is_none_or(|max| max == 1));
        let required = if starts_open { required_literal(middle) } else { Vec::new() };
        let required = (required.len() > 1).then(|| Finder::new(&required).into_owned());
        Some(Box::new(Self { required, dfa }))
    }

    fn run(&self, text: &[u8]) -> Answer {
        let required = self.required.as_ref().filter(|_| text.len() >= WORTH_SEARCHING);
        if required.is_some_and(|literal| literal.find(text).is_none()) {
            return Answer::NoMatch;
        }
        self.dfa.run(text)
    }
}
