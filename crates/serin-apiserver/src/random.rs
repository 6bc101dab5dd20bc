//! What must not be guessed or met twice: ids and tokens.

use uuid::{Builder, Uuid};

/// A random UUID (RFC 9562 version 4), from a generator that is fit for secrets.
pub(crate) fn uuid() -> Uuid {
    Builder::from_random_bytes(rand::random()).into_uuid()
}

/// Prepares the source of keys, which takes some ten milliseconds: so that it happens beside other work. Whoever needs a key
/// prepares it otherwise.
pub fn warm_up() {
    let mut bytes = [0];
    // Without it the first key fails, and says so.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
}
