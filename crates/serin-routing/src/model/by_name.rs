//! Parts of a model by name, shared as a whole.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

/// Parts of a model, by name. A clone is the same map until either is changed, so that what a new version of the model has in
/// common with the last costs nothing, however much it is.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ByName<T>(Arc<BTreeMap<Arc<str>, Arc<T>>>);

impl<T> ByName<T> {
    /// Whether this is the very same map, not only an equal one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Where the map is in memory, for as long as it lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for ByName<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for ByName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0 == other.0
    }
}

impl<T> Deref for ByName<T> {
    type Target = BTreeMap<Arc<str>, Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Changes this map alone: one that is shared is copied first.
impl<T> DerefMut for ByName<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<BTreeMap<Arc<str>, Arc<T>>> for ByName<T> {
    fn from(map: BTreeMap<Arc<str>, Arc<T>>) -> Self {
        Self(Arc::new(map))
    }
}

impl<T, const N: usize> From<[(Arc<str>, Arc<T>); N]> for ByName<T> {
    fn from(parts: [(Arc<str>, Arc<T>); N]) -> Self {
        BTreeMap::from(parts).into()
    }
}

impl<T> FromIterator<(Arc<str>, Arc<T>)> for ByName<T> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<T>)>>(parts: I) -> Self {
        parts.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl<'m, T> IntoIterator for &'m ByName<T> {
    type Item = (&'m Arc<str>, &'m Arc<T>);
    type IntoIter = std::collections::btree_map::Iter<'m, Arc<str>, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_map_until_one_of_them_changes() {
        let one: ByName<u32> = [("a".into(), Arc::new(1))].into();
        let mut other = one.clone();
        assert!(one.is(&other));
        other.insert("b".into(), Arc::new(2));
        assert!(!one.is(&other));
        assert_eq!((one.len(), other.len()), (1, 2));
        assert!(one != other && one == [("a".into(), Arc::new(1))].into());
    }
}
