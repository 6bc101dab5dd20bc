//! Bytes in and out: a connection whose two directions can be used at the same time by one task, and the buffers for
//! them.

mod buffer;
mod stream;

pub(crate) use buffer::{Buffer, BufferPool};
pub(crate) use stream::{Io, Stream};
