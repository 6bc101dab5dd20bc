//! HTTP/1 as bytes: strict reading and writing of heads and bodies (RFC 9112), without I/O.
//!
//! Callers own the buffers and the sockets. [`Head`] is a table of offsets into one buffer, so that reading a head neither
//! copies nor, once the table has grown, allocates. [`Decoder`] walks a body.
//!
//! Reading is strict where two readers could disagree about where a message ends: both `content-length` and
//! `transfer-encoding`, repeated lengths, bare line feeds, folded lines, spaces before colons, and anything after
//! `chunked` are refused. Header names are made lower-case in place, as Envoy and HTTP/2 have them.

mod body;
mod error;
mod framing;
mod head;
mod header;
mod target;
mod write;

pub use body::{Decoder, Step, may_trail};
pub use error::Error;
pub use framing::{Framing, request_framing, response_framing};
pub use head::{Head, Kind, Limits, Version};
pub use header::{Field, FieldName, FieldNames};
pub use target::{Target, is_authority, normalize};
pub use write::{
    chunk_head, last_chunk, request_line, status_line, write_decimal, write_field, write_ipv4,
};
