//! JSON Web Tokens: three parts in base64url (RFC 7519, in the compact form of RFC 7515).

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::keys::Algorithm;
use super::refusal::Refusal;
use super::value_at;

/// Base64url, with or without signs that fill it up.
pub(super) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true)
        .with_encode_padding(false),
);

/// Claims that are lists with blanks between, whatever the issuer.
const LISTS: [&str; 2] = ["scope", "permission"];

/// A token that was found good.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    claims: Value,
    /// Issuer and subject: `issuer/subject`.
    principal: Option<String>,
}

impl Token {
    pub(super) fn new(mut claims: Value, lists: &[Arc<str>]) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let both = text("iss").zip(text("sub"));
        let principal = both.map(|(issuer, subject)| format!("{issuer}/{subject}"));
        for name in LISTS.into_iter().chain(lists.iter().map(|it| &**it)) {
            if let Some(claim) = claims.get_mut(name)
                && let Value::String(text) = claim
            {
                *claim = text.split(' ').filter(|it| !it.is_empty()).collect();
            }
        }
        Self { claims, principal }
    }

    /// `issuer/subject`, if it names both.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Whether `accept` takes a claim's text, or one of them if it is a list.
    pub fn any_claim(&self, path: &[Arc<str>], accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match value_at(&self.claims, path) {
            Some(Value::String(text)) => accept(text.as_bytes()),
            Some(Value::Array(all)) => {
                all.iter().filter_map(Value::as_str).any(|text| accept(text.as_bytes()))
            }
            _ => false,
        }
    }
}

/// A token that was read, and not checked.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) algorithm: Algorithm,
    /// The name of the key.
    pub(super) key: Option<String>,
    pub(super) payload: Value,
    /// As it was sent.
    pub(super) payload_text: String,
    pub(super) audiences: Vec<String>,
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
    pub(super) signature: Vec<u8>,
    /// How much of the text is signed.
    length: usize,
}

impl Parsed {
    pub(super) fn read(text: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(text).map_err(|_| Refusal::Form)?;
        let parts: Vec<&str> = text.split('.').collect();
        let &[head, body, signature] = parts.as_slice() else { return Err(Refusal::Form) };
        let decoded = |part: &str, refusal| BASE64URL.decode(part).map_err(|_| refusal);
        let object = |bytes: &[u8], refusal| {
            let value: Option<Value> = serde_json::from_slice(bytes).ok();
            value.filter(Value::is_object).ok_or(refusal)
        };
        let head_value = object(&decoded(head, Refusal::HeadEncoding)?, Refusal::HeadJson)?;
        let algorithm = head_value.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.ok_or(Refusal::NoAlgorithm)?;
        let algorithm = Algorithm::named(algorithm).ok_or(Refusal::UnknownAlgorithm)?;
        let key = match head_value.get("kid") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(Refusal::KeyName),
        };
        let payload = object(&decoded(body, Refusal::PayloadEncoding)?, Refusal::PayloadJson)?;
        for (name, refusal) in [("iss", Refusal::Issuer), ("sub", Refusal::Subject)] {
            if payload.get(name).is_some_and(|it| !it.is_string()) {
                return Err(refusal);
            }
        }
        Ok(Self {
            algorithm,
            key,
            audiences: audiences(&payload)?,
            not_before: seconds(&payload, "nbf", Refusal::NotBefore)?,
            expires: seconds(&payload, "exp", Refusal::Expires)?,
            payload,
            payload_text: body.to_owned(),
            signature: decoded(signature, Refusal::SignatureEncoding)?,
            length: head.len() + 1 + body.len(),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        self.payload.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// What of the token's text is signed.
    pub(super) fn signed<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(..self.length).unwrap_or_default()
    }
}

fn audiences(payload: &Value) -> Result<Vec<String>, Refusal> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(Refusal::Audience);
    match payload.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(text).collect(),
        Some(one) => Ok(vec![text(one)?]),
    }
}

/// A time; parts of a second do not count.
fn seconds(payload: &Value, name: &str, refusal: Refusal) -> Result<Option<u64>, Refusal> {
    let Some(value) = payload.get(name) else { return Ok(None) };
    let number = value.as_f64().filter(|number| (0.0..9e18).contains(number)).ok_or(refusal)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, see above"
    )]
    Ok(Some(number as u64))
}
