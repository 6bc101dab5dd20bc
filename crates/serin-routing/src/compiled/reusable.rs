//! What of the version before can be taken over.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Parts of the version before, in order. The next version's are looked for in its order, so that most are found at once, by
/// address; a part that is not there is found by what identifies it.
pub(super) struct Reusable<'o, T, I, F> {
    old: &'o [Arc<T>],
    identity: F,
    /// The place behind the last that was found.
    next: usize,
    by_identity: Option<HashMap<I, usize>>,
}

impl<'o, T, I: Eq + Hash, F: Fn(&Arc<T>) -> I> Reusable<'o, T, I, F> {
    pub(super) const fn new(old: &'o [Arc<T>], identity: F) -> Self {
        Self { old, identity, next: 0, by_identity: None }
    }

    /// The place of the same part, or else of one with the same identity.
    pub(super) fn find(&mut self, new: &Arc<T>) -> Option<usize> {
        let is = |place: usize| self.old.get(place).is_some_and(|old| Arc::ptr_eq(old, new));
        // Of a part that is gone, the next stands one further on.
        let found = [self.next, self.next + 1].into_iter().find(|place| is(*place));
        let place = found.or_else(|| self.find_identity((self.identity)(new)))?;
        self.next = place + 1;
        Some(place)
    }

    fn find_identity(&mut self, identity: I) -> Option<usize> {
        let here = self.old.get(self.next).is_some_and(|old| (self.identity)(old) == identity);
        if here {
            return Some(self.next);
        }
        let by_identity = self.by_identity.get_or_insert_with(|| {
            self.old.iter().enumerate().map(|(place, old)| ((self.identity)(old), place)).collect()
        });
        by_identity.get(&identity).copied()
    }
}
