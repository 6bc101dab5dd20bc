//! Tokens with which a list goes on where it ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serin_objects::Status;

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Continuation {
    /// The revision of the first page: all pages show that state.
    pub(super) revision: u64,
    /// The name of the last object of the page before.
    pub(super) after: String,
}

impl Continuation {
    pub(super) fn parse(token: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Status::bad_request("continue key is not valid"))
    }

    pub(super) fn token(&self) -> String {
        // A number and a text can always be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let continuation = Continuation { revision: 7, after: "a/\"b".into() };
        assert_eq!(Continuation::parse(&continuation.token()).unwrap(), continuation);
        assert_eq!(Continuation::parse("???").unwrap_err().code, 400);
        assert_eq!(Continuation::parse("e30").unwrap_err().code, 400);
    }
}
