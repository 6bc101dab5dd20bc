//! Read buffers, lent by each core's pool only while there is something to read.
//!
//! An idle connection holds no buffer: that is most of what keeps it small. A buffer grows while a stream fills it again and
//! again, because large reads are what makes large bodies cheap, and goes back to the pool at its first size.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::Io;

/// First size of a buffer: a head with cookies, or a response of a few kilobytes, arrives in one read.
const FIRST_SIZE: usize = 16 * 1024;
/// Largest size of a buffer.
const LARGEST_SIZE: usize = 256 * 1024;
/// Buffers of the first size that a core keeps.
const KEPT: usize = 256;

/// The buffers of one core.
#[derive(Clone, Default)]
pub(crate) struct BufferPool(Rc<RefCell<Vec<Box<[u8]>>>>);

impl BufferPool {
    fn take(&self) -> Box<[u8]> {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; FIRST_SIZE].into_boxed_slice())
    }

    fn give_back(&self, storage: Box<[u8]>) {
        let mut kept = self.0.borrow_mut();
        if storage.len() == FIRST_SIZE && kept.len() < KEPT {
            kept.push(storage);
        }
    }
}

/// Bytes that were read and not used yet.
pub(crate) struct Buffer {
    storage: Box<[u8]>,
    start: usize,
    end: usize,
    pool: BufferPool,
}

impl Buffer {
    /// An empty buffer without storage.
    pub(crate) fn new(pool: &BufferPool) -> Self {
        Self { storage: Box::default(), start: 0, end: 0, pool: pool.clone() }
    }

    /// What was read.
    pub(crate) fn data(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// What was read, to be changed in place.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Whether everything was used.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks the first `count` bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Reads once; 0 is the end of the stream.
    pub(crate) async fn fill(&mut self, io: &Io) -> io::Result<usize> {
        self.make_room(1);
        let space = self.storage.get_mut(self.end..).unwrap_or_default();
        let room = space.len();
        let count = io.read(space).await?;
        self.end += count;
        if count == room && self.start == 0 {
            self.grow();
        }
        Ok(count)
    }

    /// Gives the storage back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.pool.give_back(std::mem::take(&mut self.storage));
        }
    }

    fn make_room(&mut self, wanted: usize) {
        if self.storage.is_empty() {
            self.storage = self.pool.take();
        }
        if self.storage.len() - self.end >= wanted {
            return;
        }
        self.storage.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.storage.len() - self.end < wanted {
            self.grow_to((self.storage.len() * 2).max(FIRST_SIZE));
        }
    }

    fn grow(&mut self) {
        if self.storage.len() < LARGEST_SIZE {
            self.grow_to(self.storage.len() * 2);
        }
    }

    fn grow_to(&mut self, size: usize) {
        let mut larger = vec![0; size].into_boxed_slice();
        let (data, used) = (self.data(), self.end - self.start);
        if let Some(space) = larger.get_mut(..used) {
            space.copy_from_slice(data);
        }
        self.pool.give_back(std::mem::replace(&mut self.storage, larger));
        self.start = 0;
        self.end = used;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.storage));
    }
}
