//! Memory for heads, kept by each core from message to message: reading, changing and writing a head allocates nothing once a core
//! is warm.

use std::cell::RefCell;

/// Pieces of memory that a core keeps.
const KEPT: usize = 256;
/// Size of a new piece: a head with cookies.
const FIRST_SIZE: usize = 2048;
/// A piece that has grown beyond this is not kept.
const LARGEST_SIZE: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty piece of memory.
pub(crate) fn take() -> Vec<u8> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare.unwrap_or_else(|| Vec::with_capacity(FIRST_SIZE))
}

/// Keeps a piece for the next message.
pub(crate) fn give_back(mut memory: Vec<u8>) {
    if memory.capacity() == 0 || memory.capacity() > LARGEST_SIZE {
        return;
    }
    memory.clear();
    // A thread that ends keeps nothing.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(memory);
        }
    });
}
