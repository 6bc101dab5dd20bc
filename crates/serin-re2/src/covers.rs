//! Whether one pattern takes every text that another takes.
//!
//! Walks both position automata side by side: one position of the narrower pattern with the set of positions that the
//! wider one can be in. Characters above ASCII are one letter, so patterns that tell these apart are not compared.

use std::collections::HashSet;

use crate::ast::Node;
use crate::class::Above;
use crate::positions::{Graph, Set, contains, insert, members, unite};

/// How many pairs are looked at before giving up.
const MAX_PAIRS: usize = 4_000;

/// A letter: an ASCII character, or any other (128).
const LETTERS: u8 = 129;

/// Whether every full match of `narrow` is one of `wide`; `None` if that cannot be told.
pub(crate) fn covers(wide: &Node, narrow: &Node) -> Option<bool> {
    let (wide, narrow) = (Graph::build(wide)?, Graph::build(narrow)?);
    if wide.states.iter().chain(&narrow.states).any(|state| state.above == Above::Some) {
        return None;
    }
    if narrow.takes_empty && !wide.takes_empty {
        return Some(false);
    }
    // Places between characters: those that come next in the narrow pattern, one by one, and in the wide one together.
    let mut seen = HashSet::new();
    let mut open: Vec<(usize, Set)> =
        members(&narrow.first).map(|state| (state, wide.first)).collect();
    while let Some((state, next)) = open.pop() {
        if !seen.insert((state, next)) {
            continue;
        }
        if seen.len() > MAX_PAIRS {
            return None;
        }
        let mut answers: Vec<Set> = (0..LETTERS)
            .filter(|letter| narrow.states[state].takes(*letter))
            .map(|letter| entered(&wide, &next, letter))
            .collect();
        answers.sort_unstable();
        answers.dedup();
        for entered in answers {
            if contains(&narrow.last, state)
                && members(&entered).all(|state| !contains(&wide.last, state))
            {
                return Some(false);
            }
            let mut following = Set::default();
            for state in members(&entered) {
                unite(&mut following, &wide.states[state].follow);
            }
            open.extend(members(&narrow.states[state].follow).map(|state| (state, following)));
        }
    }
    Some(true)
}

/// Those of some positions that a letter enters.
fn entered(graph: &Graph, positions: &Set, letter: u8) -> Set {
    let mut entered = Set::default();
    for state in members(positions).filter(|state| graph.states[*state].takes(letter)) {
        insert(&mut entered, state);
    }
    entered
}
