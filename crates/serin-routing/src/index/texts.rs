//! What one text of a request selects: the path, a header's value or a parameter's value.

use std::collections::HashMap;

use super::keys::{Key, Kind};
use super::trie::PrefixTree;
use super::windows::WindowIndex;
use super::{List, MERGE_LISTS};
use crate::hash::TextHash;

/// Lists filed under conditions on one text.
#[derive(Debug, Default)]
pub(crate) struct TextIndex {
    exact: HashMap<Box<[u8]>, List, TextHash>,
    prefixes: PrefixTree,
    contained: WindowIndex,
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
        index.contained = WindowIndex::new(&contained);
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
        self.contained.visit(text, |list| {
            if lists.len() > MERGE_LISTS || !lists.contains(&list) {
                lists.push(list);
            }
        });
    }
}
