//! What a WebSocket's opening says over HTTP/1 and not over HTTP/2 (RFC 6455 §4, RFC 8441 §5): a key, and the proof that it was
//! read. Between the two versions a proxy has to speak for the side that does not say it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::Rng;
use sha1::{Digest, Sha1};

/// The client's key.
pub(crate) const KEY: &[u8] = b"sec-websocket-key";
/// The server's proof.
pub(crate) const ACCEPT: &[u8] = b"sec-websocket-accept";
/// The constant that is hashed with a key (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key for a client that sent none.
pub(crate) fn key(random: &mut impl Rng) -> String {
    let mut nonce = [0; 16];
    random.fill_bytes(&mut nonce);
    STANDARD.encode(nonce)
}

/// The proof for a key.
pub(crate) fn accept(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_the_standards_own_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
