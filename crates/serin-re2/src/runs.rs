//! Patterns whose parts end where they must: `v[0-9]+/users/[^/]+/orders`. Each run of characters takes as many as there are,
//! because what follows it cannot begin with one of them, so that a text is read once, without going back.
//!
//! Most patterns for paths are of this kind. They need no automaton, only some bytes, which matters where thousands of
//! patterns do not fit into the processor's caches.

use crate::ast::{Node, Repeat, encode};
use crate::matcher::Answer;

/// A sequence of literals and runs.
#[derive(Debug)]
pub(crate) struct Runs {
    steps: Box<[Step]>,
    /// The literals, one behind the other.
    literals: Box<[u8]>,
}

/// A literal, and then characters of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    literal: u32,
    min: u32,
    max: u32,
    /// The ASCII members of the class, one bit each.
    members: u128,
}

impl Runs {
    /// The runs of a sequence; `None` if where one ends is not plain.
    pub(crate) fn new(nodes: &[Node]) -> Option<Self> {
        let (mut steps, mut literals) = (Vec::new(), Vec::new());
        for node in nodes {
            add(node, &mut steps, &mut literals)?;
        }
        let mut start = 0;
        let ends_plainly = |pair: &[Step]| {
            let [step, next] = pair else { return true };
            start += step.literal as usize;
            // A byte above ASCII in a literal cannot be taken by a run either: the text is left to the general engine.
            step.is_fixed()
                || match literals.get(start).filter(|_| next.literal > 0) {
                    Some(first) => !step.takes(*first),
                    None => next.min > 0 && step.members & next.members == 0,
                }
        };
        let is_plain = steps.windows(2).all(ends_plainly);
        is_plain.then(|| Self { steps: steps.into(), literals: literals.into() })
    }

    pub(crate) fn run(&self, text: &[u8]) -> Answer {
        let (mut rest, mut literals) = (text, &*self.literals);
        for step in &self.steps {
            let (literal, others) = literals.split_at(step.literal as usize);
            let Some(after) = rest.strip_prefix(literal) else { return Answer::NoMatch };
            literals = others;
            let most = if step.is_fixed() { step.max as usize } else { after.len() };
            let run = after.iter().take(most).take_while(|byte| step.takes(**byte)).count();
            if run < most && after.get(run).is_some_and(|byte| *byte >= 0x80) {
                return Answer::Unknown;
            }
            if run < step.min as usize || run > step.max as usize {
                return Answer::NoMatch;
            }
            rest = &after[run..];
        }
        if rest.is_empty() { Answer::Match } else { Answer::NoMatch }
    }
}

impl Step {
    const fn is_fixed(&self) -> bool {
        self.min == self.max
    }

    const fn takes(&self, byte: u8) -> bool {
        byte < 0x80 && self.members >> byte & 1 == 1
    }
}

/// Appends the steps of a node; `None` if it is anything but literals and runs.
fn add(node: &Node, steps: &mut Vec<Step>, literals: &mut Vec<u8>) -> Option<()> {
    match node {
        Node::Empty => {}
        Node::Literal(rune) => {
            let before = literals.len();
            encode(*rune, literals);
            let length = (literals.len() - before) as u32;
            match steps.last_mut() {
                // A step without a run yet.
                Some(step) if step.max == 0 => step.literal += length,
                _ => steps.push(Step { literal: length, ..Step::default() }),
            }
        }
        Node::Group(node) => add(node, steps, literals)?,
        Node::Concat(nodes) => nodes.iter().try_for_each(|node| add(node, steps, literals))?,
        Node::Class(set) => add_run(steps, set.ascii(), 1, 1),
        Node::Repeat(repeat) => {
            let Repeat { min, max, node, .. } = &**repeat;
            let members = match node {
                Node::Class(set) => set.ascii(),
                Node::Literal(rune @ 0..=0x7F) => 1 << rune,
                _ => return None,
            };
            let max = max.unwrap_or(u32::MAX);
            if max > 0 {
                add_run(steps, members, *min, max);
            }
        }
        Node::Alternate(_) | Node::AnyByte | Node::Look(_) => return None,
    }
    Some(())
}

fn add_run(steps: &mut Vec<Step>, members: u128, min: u32, max: u32) {
    match steps.last_mut() {
        Some(step) if step.max == 0 => *step = Step { min, max, members, ..*step },
        _ => steps.push(Step { literal: 0, min, max, members }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[track_caller]
    fn check(pattern: &str, steps: Option<usize>) {
        let (node, _) = parse::parse(pattern).unwrap();
        let found = Runs::new(std::slice::from_ref(&node)).map(|runs| runs.steps.len());
        assert_eq!(found, steps, "{pattern}");
    }

    #[test]
    fn runs_end_where_what_follows_cannot_be_taken() {
        check("v[0-9]+/users/[^/]+/orders", Some(3));
        check("[a-z]+[0-9]+", Some(2));
        check("([a-z]+)(/b)c", Some(2));
        check("[a-z]{3}abc", Some(2));
        check("x*", Some(1));
        check("/[^/]+/.*", Some(2));
        check("[a-z]+abc", None);
        check(".*/a", None);
        check("[a-z]+[0-9]*b", None);
        check("[a-z]+[a-c]", None);
        check("a|b", None);
        check("(ab)+", None);
        check("a?b", Some(2));
        check("a?a", None);
    }
}
