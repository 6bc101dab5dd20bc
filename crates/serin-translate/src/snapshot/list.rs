//! The objects of one kind.

use std::cmp::Ordering;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serin_api::Object;

/// The objects of one kind. A clone is the same list until either is changed.
///
/// Whoever keeps objects from one snapshot to the next says with [`exchange`](Self::exchange) what changes; the list then
/// is and stays in Istio's order: by creation, then name, then namespace (`sortConfigByCreationTime`). What is changed in
/// any other way is put in order by the snapshot. Objects without a time, such as manifests, are oldest. Times are compared
/// as text, which is right for the form in which Kubernetes writes them.
#[derive(Debug)]
pub struct List<T> {
    objects: Arc<Vec<Arc<Object<T>>>>,
    in_order: bool,
}

/// An object that went and the one that came in its place, if there are both.
pub(crate) type Change<'l, T> = (Option<&'l Arc<Object<T>>>, Option<&'l Arc<Object<T>>>);

impl<T> List<T> {
    /// Whether this is the very same list, not only an equal one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.objects, &other.objects)
    }

    /// Puts the list in order.
    pub(crate) fn sort(&mut self) {
        if !self.in_order && !self.objects.is_sorted_by(|one, other| order(one, other).is_le()) {
            Arc::make_mut(&mut self.objects).sort_by(|one, other| order(one, other));
        }
        self.in_order = true;
    }

    /// Takes an object out, or else the one that is called the same, and puts one in.
    pub fn exchange(&mut self, old: Option<&Object<T>>, new: Option<Arc<Object<T>>>) {
        self.sort();
        let place = old.and_then(|old| position(&self.objects, old, |it| it));
        let list = Arc::make_mut(&mut self.objects);
        match (place.and_then(|place| list.get_mut(place)), new) {
            (Some(old), Some(new)) if order(old, &new).is_eq() => *old = new,
            (_, new) => {
                if let Some(place) = place {
                    list.remove(place);
                }
                if let Some(new) = new {
                    list.insert(list.partition_point(|it| order(it, &new).is_le()), new);
                }
            }
        }
    }

    /// What has changed from this list to `now`. Both are in order.
    pub(crate) fn changes<'l>(&'l self, now: &'l Self) -> Vec<Change<'l, T>> {
        if self.is(now) {
            return Vec::new();
        }
        let (mut old, mut new) = (self.iter().peekable(), now.iter().peekable());
        let mut changes = Vec::new();
        loop {
            let ordering = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => Ordering::Equal,
                (Some(old), Some(new)) => order(old, new),
            };
            let gone = ordering.is_le().then(|| old.next()).flatten();
            let come = ordering.is_ge().then(|| new.next()).flatten();
            if gone.map(Arc::as_ptr) != come.map(Arc::as_ptr) {
                changes.push((gone, come));
            }
        }
    }
}

/// The place of an object, or else of one that is called the same, in a list of what was made from objects in order, each
/// from the one that `object` tells.
pub(crate) fn position<T, M>(
    list: &[M],
    wanted: &Object<T>,
    object: impl Fn(&M) -> &Arc<Object<T>>,
) -> Option<usize> {
    let first = list.partition_point(|it| order(object(it), wanted).is_lt());
    let equal = || list[first..].iter().take_while(|it| order(object(it), wanted).is_eq());
    equal()
        .position(|it| std::ptr::eq(&raw const **object(it), wanted))
        .or_else(|| equal().next().map(|_| 0))
        .map(|place| first + place)
}

/// Istio's order.
pub(crate) fn order<T>(one: &Object<T>, other: &Object<T>) -> Ordering {
    let (one, other) = (&one.meta, &other.meta);
    one.creation_timestamp
        .cmp(&other.creation_timestamp)
        .then_with(|| one.name.cmp(&other.name))
        .then_with(|| one.namespace.cmp(&other.namespace))
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { objects: Arc::default(), in_order: true }
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), in_order: self.in_order }
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<Arc<Object<T>>>;

    fn deref(&self) -> &Self::Target {
        &self.objects
    }
}

/// Changes this list alone: one that is shared is copied first.
impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.in_order = false;
        Arc::make_mut(&mut self.objects)
    }
}

impl<T> FromIterator<Arc<Object<T>>> for List<T> {
    fn from_iter<I: IntoIterator<Item = Arc<Object<T>>>>(objects: I) -> Self {
        Self { objects: Arc::new(objects.into_iter().collect()), in_order: false }
    }
}

impl<T> IntoIterator for List<T> {
    type Item = Arc<Object<T>>;
    type IntoIter = std::vec::IntoIter<Arc<Object<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.objects).into_iter()
    }
}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l Arc<Object<T>>;
    type IntoIter = std::slice::Iter<'l, Arc<Object<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.objects.iter()
    }
}

#[cfg(test)]
mod tests;
