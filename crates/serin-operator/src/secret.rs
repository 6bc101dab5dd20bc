//! What Secrets hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::json;

/// A text in a Secret, without the line's end that files have.
pub(crate) fn text(secret: &Value, key: &str) -> Option<String> {
    let bytes = BASE64.decode(json::at(secret, "data").get(key)?.as_str()?).ok()?;
    String::from_utf8(bytes).ok().map(|it| it.trim_end_matches('\n').to_owned())
}

/// An Authorization header from `username` and `password`.
pub(crate) fn basic(secret: &Value) -> Option<(String, String)> {
    let (user, password) = (text(secret, "username")?, text(secret, "password")?);
    let value = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    Some(("authorization".to_owned(), value))
}
