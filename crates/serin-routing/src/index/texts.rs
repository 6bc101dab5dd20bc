//! What one text of a request selects: the path, a header's value or a parameter's value.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::keys::{Key, Kind};
use super::trie::PrefixTree;
use super::{List, MERGE_LISTS};
use crate::hash::TextHash;

/// Lists filed under conditions on one text.
#[derive(Debug, Default)]
pub(crate) struct TextIndex {
    exact: HashMap<Box<[u8]>, List, TextHash>,
    prefixes: PrefixTree,
    /// Finds texts anywhere; the number of a pattern is its place in `contained_lists`. There is none if it would be
    /// too large; all lists are selected then.
    contained: Option<AhoCorasick>,
    contained_lists: Vec<List>,
    /// Selected whatever the text.
    present: List,
}

impl TextIndex {
    /// The index of lists by key; no key is repeated.
    pub(super) fn new(keys: Vec<(Key<'_>, List)>) -> Self {
        let mut index = Self::default();
        let (mut prefixes, mut contained) = (Vec::new(), Vec::new());
        for (key, list) in &keys {
            match key.kind {
                Kind::Exact => {
                    index.exact.insert((*key.text).into(), *list);
                }
                Kind::Prefix => prefixes.push((&*key.text, *list)),
                Kind::Contained => contained.push((&*key.text, *list)),
                Kind::Present => index.present = *list,
            }
        }
        prefixes.sort_unstable_by_key(|(prefix, _)| *prefix);
        index.prefixes = PrefixTree::new(&prefixes);
        if !contained.is_empty() {
            let patterns = contained.iter().map(|(text, _)| text);
            index.contained =
                AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns).ok();
            index.contained_lists = contained.iter().map(|(_, list)| *list).collect();
        }
        index
    }

    /// Appends the lists that `text` selects; none twice unless there are many.
    pub(super) fn select(&self, text: &[u8], lists: &mut Vec<List>) {
        if !self.present.is_empty() {
            lists.push(self.present);
        }
        if !self.exact.is_empty() {
            lists.extend(self.exact.get(text));
        }
        self.prefixes.visit(text, |list| lists.push(list));
        let Some(automaton) = &self.contained else {
            lists.extend_from_slice(&self.contained_lists);
            return;
        };
        for found in automaton.find_overlapping_iter(text) {
            let Some(list) = self.contained_lists.get(found.pattern().as_usize()) else { continue };
            if lists.len() > MERGE_LISTS || !lists.contains(list) {
                lists.push(*list);
            }
        }
    }
}
