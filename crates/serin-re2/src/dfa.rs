//! Full matches of ASCII texts by a table: one step for each character, nothing to allocate, no state to keep. It is
//! small and built in microseconds, which is what matters with thousands of patterns of which few are ever tried.
//!
//! Texts with bytes above ASCII, and patterns that would need many states, are left to the general engine.

use std::collections::HashMap;

use crate::matcher::Answer;
use crate::positions::{Graph, Set, members, unite};

/// The most states.
const MAX_STATES: usize = 256;

/// A deterministic automaton over classes of ASCII characters that the pattern does not tell apart.
#[derive(Debug)]
pub(crate) struct Dfa {
    class_of: Box<[u8; 128]>,
    /// A row for each state, with the start of the next state's row for each class. The first row is that of texts that
    /// cannot match any more, the second that of the empty text.
    rows: Box<[u16]>,
    classes: usize,
    /// By state, whether a text may end there.
    accepting: Box<[bool]>,
}

impl Dfa {
    /// The automaton of a graph; `None` if that takes too many states.
    pub(crate) fn new(graph: &Graph) -> Option<Self> {
        let classes = classes(graph);
        let mut class_of = Box::new([0; 128]);
        for (class, letters) in (0..).zip(&classes) {
            (0..128)
                .filter(|letter| letters >> letter & 1 == 1)
                .for_each(|letter| class_of[letter] = class);
        }
        // The positions that each class enters.
        let enters: Vec<Set> = classes
            .iter()
            .map(|letters| graph.entered_by(letters.trailing_zeros() as u8))
            .collect();
        let start = Place { candidates: graph.first, accepting: graph.takes_empty };
        let mut numbers = HashMap::from([(start, 1)]);
        let mut places = vec![Place::default(), start];
        let mut rows = vec![0; enters.len()];
        let mut state = 1;
        while let Some(place) = places.get(state).copied() {
            // Most classes lead where the one before them leads.
            let mut last = (Place::default(), 0);
            for enters in &enters {
                let reached = place.step(graph, enters);
                if reached != last.0 {
                    let number = if reached == Place::default() {
                        0
                    } else {
                        *numbers.entry(reached).or_insert_with(|| {
                            places.push(reached);
                            places.len() - 1
                        })
                    };
                    last = (reached, number);
                }
                // At most 256 rows of 128 classes.
                rows.push((last.1 * classes.len()) as u16);
            }
            if places.len() > MAX_STATES {
                return None;
            }
            state += 1;
        }
        let accepting = places.iter().map(|place| place.accepting).collect();
        Some(Self { class_of, rows: rows.into(), classes: classes.len(), accepting })
    }

    pub(crate) fn run(&self, text: &[u8]) -> Answer {
        let mut row = self.classes;
        for &byte in text {
            let Some(&class) = self.class_of.get(usize::from(byte)) else { return Answer::Unknown };
            row = usize::from(self.rows[row + usize::from(class)]);
            if row == 0 {
                return Answer::NoMatch;
            }
        }
        if self.accepting[row / self.classes] { Answer::Match } else { Answer::NoMatch }
    }
}

/// A place between two characters of a text: what may come next, and whether the text may end here. The default is the
/// place that nothing leads on from.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Place {
    candidates: Set,
    accepting: bool,
}

impl Place {
    /// The place behind a character that enters some positions.
    fn step(&self, graph: &Graph, enters: &Set) -> Self {
        let mut entered = self.candidates;
        entered.iter_mut().zip(enters).for_each(|(entered, enters)| *entered &= enters);
        let mut place = Self {
            accepting: entered.iter().zip(&graph.last).any(|(entered, last)| entered & last != 0),
            ..Self::default()
        };
        for state in members(&entered) {
            unite(&mut place.candidates, &graph.states[state].follow);
        }
        place
    }
}

/// Divides the ASCII characters into those that no position tells apart.
fn classes(graph: &Graph) -> Vec<u128> {
    let mut classes = vec![u128::MAX];
    for state in &graph.states {
        for index in 0..classes.len() {
            let (inside, outside) = (classes[index] & state.entry, classes[index] & !state.entry);
            if inside != 0 && outside != 0 {
                classes[index] = outside;
                classes.push(inside);
            }
        }
    }
    classes
}
