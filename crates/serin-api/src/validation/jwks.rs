//! JSON Web Key Sets (RFC 7517), as far as they stand in an object: well-formed and without private keys.

use serde_json::{Map, Value};

use super::place::Place;

/// The members that each type of key must have (RFC 7518, RFC 8037).
const KEY_TYPES: [(&str, &[&str]); 4] =
    [("RSA", &["n", "e"]), ("EC", &["crv", "x", "y"]), ("OKP", &["crv", "x"]), ("oct", &["k"])];

pub(super) fn check(text: &str, at: &Place<'_>) {
    let set: Value = match serde_json::from_str(text) {
        Ok(set) => set,
        Err(error) => return at.error(format!("the keys are not JSON: {error}")),
    };
    let Value::Object(members) = &set else {
        return at.error("the keys must be a JSON Web Key Set: {\"keys\": […]}");
    };
    let keys: Vec<&Value> = match members.get("keys") {
        Some(Value::Array(keys)) => keys.iter().collect(),
        Some(_) => return at.error("\"keys\" must be a list"),
        None => vec![&set],
    };
    for (index, key) in keys.iter().enumerate() {
        match key.as_object().ok_or("it is not an object".to_owned()).and_then(is_private) {
            Err(reason) => at.error(format!("key {index} cannot be used: {reason}")),
            Ok(true) => at.warning(format!("key {index} is a private key: checking tokens needs public keys only, and everybody who can read this object can make tokens")),
            Ok(false) => {}
        }
    }
}

/// Whether a key can sign; an error if it is none.
fn is_private(key: &Map<String, Value>) -> Result<bool, String> {
    let kind = key.get("kty").and_then(Value::as_str).unwrap_or_default();
    let Some((_, required)) = KEY_TYPES.iter().find(|(known, _)| *known == kind) else {
        return Err(format!("the key type (kty) {kind:?} is not known"));
    };
    for name in *required {
        let value = key.get(*name).and_then(Value::as_str).unwrap_or_default();
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
        if value.is_empty() || (*name != "crv" && !value.bytes().all(is_base64url)) {
            return Err(format!("its {name} is missing or not base64url"));
        }
    }
    Ok(kind == "oct" || key.contains_key("d"))
}
