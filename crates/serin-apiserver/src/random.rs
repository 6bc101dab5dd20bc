//! What must not be guessed or met twice: ids and tokens.

use uuid::{Builder, Uuid};

/// A random UUID (RFC 9562 version 4), from a generator that is fit for secrets.
pub(crate) fn uuid() -> Uuid {
    Builder::from_random_bytes(rand::random()).into_uuid()
}
