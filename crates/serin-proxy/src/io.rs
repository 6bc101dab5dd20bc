//! Bytes in and out: a connection whose two directions can be used at the same time by one task, and the buffers for
//! them.

mod buffer;
mod corked;
mod rewound;
mod stream;

pub(crate) use buffer::{Buffer, BufferPool};
pub(crate) use corked::{Cork, Corked};
pub(crate) use rewound::Rewound;
pub(crate) use stream::{Io, Stream, TlsStream};
