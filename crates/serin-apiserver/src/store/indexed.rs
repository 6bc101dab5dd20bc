//! Something that is made of the objects of a few resources, and made anew when one of them has changed.

use std::sync::{Arc, Mutex, PoisonError};

use super::Store;

/// What was made, and of which state.
pub(crate) struct Indexed<T, const N: usize> {
    resources: [&'static str; N],
    present: Mutex<Option<([u64; N], Arc<T>)>>,
}

impl<T, const N: usize> Indexed<T, N> {
    pub(crate) const fn new(resources: [&'static str; N]) -> Self {
        Self { resources, present: Mutex::new(None) }
    }

    /// What `make` makes of the present state.
    pub(crate) fn get(&self, store: &Store, make: impl FnOnce(&Store) -> T) -> Arc<T> {
        let stamp = self.resources.map(|resource| store.last_change(resource));
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, made)) = present.as_ref()
            && *of == stamp
        {
            return Arc::clone(made);
        }
        let made = Arc::new(make(store));
        *present = Some((stamp, Arc::clone(&made)));
        made
    }
}
