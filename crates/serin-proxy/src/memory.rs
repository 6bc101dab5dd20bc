//! Memory for heads, kept by each core from message to message: reading, changing and writing a head allocates nothing once a core
//! is warm.

use std::cell::RefCell;

use serin_http1::Head;

/// Pieces of memory that a core keeps of each kind.
const KEPT: usize = 256;
/// Size of a new piece: a head with cookies.
const FIRST_SIZE: usize = 2048;
/// A piece that has grown beyond this is not kept.
const LARGEST_SIZE: usize = 64 * 1024;

/// Lists that wait to be used again.
pub(crate) struct Spare<T>(RefCell<Vec<Vec<T>>>);

impl<T> Spare<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// An empty list with room for at least so many.
    pub(crate) fn take(&self, room: usize) -> Vec<T> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(room))
    }

    /// Keeps a list unless it has become too large.
    pub(crate) fn give_back(&self, mut list: Vec<T>) {
        if list.capacity() == 0 || list.capacity() * size_of::<T>() > LARGEST_SIZE {
            return;
        }
        list.clear();
        let mut spare = self.0.borrow_mut();
        if spare.len() < KEPT {
            spare.push(list);
        }
    }
}

thread_local! {
    static BYTES: Spare<u8> = const { Spare::new() };
    static HEAD: RefCell<Head> = RefCell::default();
}

/// An empty piece of memory.
pub(crate) fn take() -> Vec<u8> {
    BYTES.try_with(|spare| spare.take(FIRST_SIZE)).unwrap_or_default()
}

/// Keeps a piece for the next message.
pub(crate) fn give_back(memory: Vec<u8>) {
    // A thread that ends keeps nothing.
    let _ = BYTES.try_with(|spare| spare.give_back(memory));
}

/// Lends the core's only [`Head`]: it is read and taken over in one go, so that no connection needs one of its own.
pub(crate) fn with_head<R>(read: impl FnOnce(&mut Head) -> R) -> R {
    HEAD.with_borrow_mut(read)
}
