//! Which tokens requests may carry: RequestAuthentications as a workload's own proxy keeps them.
//!
//! Where tokens are looked for, what is asked of them and in which order, and what is answered follow Envoy's filter for JSON Web Tokens
//! as Istio sets it up (`convertToEnvoyJwtConfig`): one issuer whose tokens are all good is enough; without that, a request that has any
//! token is refused, and one that has none passes. Time and signatures are the caller's: [`Checks`].

mod keys;
mod refusal;
mod token;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode;
use serde::Serialize;
use serde_json::Value;

use crate::request::{Request, View, cookie, first_parameter};

pub use keys::{Algorithm, Curve, Digest, Key, KeyError, KeySet, Material};
pub use refusal::Refusal;
use token::Parsed;
pub use token::Token;

/// By how much clocks may differ, in seconds (Envoy's default).
const SKEW: u64 = 60;

/// The issuers whose tokens a workload takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Authentication {
    /// In Istio's order.
    pub issuers: Vec<Issuer>,
}

/// An issuer, and how its tokens are found, checked and passed on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Issuer {
    /// `iss`; empty takes any.
    pub name: Arc<str>,
    /// `aud`, one of which a token must have; empty takes any.
    pub audiences: Vec<Arc<str>>,
    /// Its public keys.
    pub keys: KeySource,
    /// Where tokens are looked for.
    pub places: Vec<Place>,
    /// Whether the header with the token is passed on.
    pub forwards: bool,
    /// The header in which the payload is passed on, in base64url.
    pub payload_header: Option<Arc<str>>,
    /// Headers in which claims are passed on: the header, and the claim with its path.
    pub claim_headers: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// Claims that are lists with blanks between.
    pub lists: Vec<Arc<str>>,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum KeySource {
    /// Here.
    Given(Arc<KeySet>),
    /// At an address.
    At(Arc<str>),
    /// At an address that the issuer's own description tells (OpenID Connect Discovery).
    Discovered(Arc<str>),
}

impl Default for KeySource {
    fn default() -> Self {
        Self::Given(Arc::default())
    }
}

/// Where a token may stand. Names of headers are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Place {
    /// In a header, after a prefix.
    Header(Arc<str>, Arc<str>),
    /// In a parameter of the query.
    Parameter(Arc<str>),
    /// In a cookie.
    Cookie(Arc<str>),
}

impl Place {
    /// Where tokens are looked for if nothing is said.
    pub fn usual() -> Vec<Self> {
        vec![
            Self::Header("authorization".into(), "Bearer ".into()),
            Self::Parameter("access_token".into()),
        ]
    }
}

/// What tokens are checked with.
pub trait Checks {
    /// The time, in seconds since 1970.
    fn now(&self) -> u64;

    /// The keys of a source that is elsewhere, once they were fetched.
    fn fetched(&self, source: &KeySource) -> Option<Arc<KeySet>>;

    /// Whether a key's owner has signed this.
    fn has_signed(
        &self,
        key: &Material,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool;
}

/// What became of a request's tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// The token that counts, if there is one.
    pub token: Option<Token>,
    /// Headers that are taken away.
    pub removed: Vec<Arc<str>>,
    /// Headers that are added after that.
    pub added: Vec<(Arc<str>, Vec<u8>)>,
}

impl Checked {
    /// Whether the request goes on as it is.
    pub fn changes_nothing(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

impl Authentication {
    /// Checks the tokens of a request.
    ///
    /// # Errors
    /// It has tokens, and no issuer finds its own good.
    pub fn check<R: Request>(&self, request: &R, checks: &impl Checks) -> Result<Checked, Refusal> {
        let view = View::new(request);
        if is_preflight(&view) {
            return Ok(Checked::default());
        }
        // What claims to be from here is not, if a client sends it.
        let of_ours = self.issuers.iter().flat_map(Issuer::own_headers);
        let of_ours = of_ours.filter(|name| view.first_header(name).is_some());
        let mut checked = Checked { removed: of_ours.cloned().collect(), ..Checked::default() };
        let mut refusal = None;
        for issuer in &self.issuers {
            match issuer.check(&view, checks) {
                None => {}
                Some(Ok(found)) => {
                    issuer.pass_on(found, &mut checked);
                    return Ok(checked);
                }
                // Why the issuer that a token names refuses it says more than that others do not know it.
                Some(Err(why)) => {
                    if matches!(refusal, None | Some(Refusal::UnknownIssuer)) {
                        refusal = Some(why);
                    }
                }
            }
        }
        refusal.map_or(Ok(checked), Err)
    }

    /// The addresses of keys that are elsewhere.
    pub fn sources(&self) -> impl Iterator<Item = &KeySource> {
        self.issuers.iter().map(|it| &it.keys).filter(|it| !matches!(it, KeySource::Given(_)))
    }
}

/// The last of an issuer's tokens, and the headers that held tokens.
struct Found {
    parsed: Parsed,
    held_by: Vec<Arc<str>>,
}

impl Issuer {
    fn own_headers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|(header, _)| header))
    }

    /// Checks what stands where this issuer's tokens do, of which all must be good. `None` if nothing does.
    fn check<R: Request>(
        &self,
        view: &View<'_, R>,
        checks: &impl Checks,
    ) -> Option<Result<Found, Refusal>> {
        let mut last = None;
        let mut held_by = Vec::new();
        for place in &self.places {
            let Some(text) = place.token(view) else { continue };
            match self.judge(&text, checks) {
                Ok(parsed) => last = Some(parsed),
                Err(refusal) => return Some(Err(refusal)),
            }
            if let Place::Header(name, _) = place {
                held_by.push(Arc::clone(name));
            }
        }
        Some(Ok(Found { parsed: last?, held_by }))
    }

    fn judge(&self, text: &[u8], checks: &impl Checks) -> Result<Parsed, Refusal> {
        let parsed = Parsed::read(text)?;
        if !self.name.is_empty() && parsed.issuer() != &*self.name {
            return Err(Refusal::UnknownIssuer);
        }
        let now = checks.now();
        if parsed.not_before.is_some_and(|begin| now + SKEW < begin) {
            return Err(Refusal::NotYetValid);
        }
        if parsed.expires.is_some_and(|end| now > end.saturating_add(SKEW)) {
            return Err(Refusal::Expired);
        }
        let is_for_us =
            |audience: &str| self.audiences.iter().any(|wanted| bare(wanted) == bare(audience));
        if !self.audiences.is_empty() && !parsed.audiences.iter().any(|it| is_for_us(it)) {
            return Err(Refusal::WrongAudience);
        }
        let fetched;
        let keys = match &self.keys {
            KeySource::Given(keys) => keys,
            source => {
                fetched = checks.fetched(source).ok_or(Refusal::NoKeys)?;
                &fetched
            }
        };
        let (signed, signature) = (parsed.signed(text), &parsed.signature);
        let has_signed =
            |key: &Key| checks.has_signed(&key.material, parsed.algorithm, signed, signature);
        match keys.fitting(&parsed).map(has_signed).reduce(|one, other| one || other) {
            None => Err(Refusal::NoKey),
            Some(false) => Err(Refusal::NotSigned),
            Some(true) => Ok(parsed),
        }
    }

    fn pass_on(&self, found: Found, checked: &mut Checked) {
        if !self.forwards {
            checked.removed.extend(found.held_by);
        }
        let Parsed { payload, payload_text, .. } = found.parsed;
        if let Some(header) = &self.payload_header {
            checked.added.push((Arc::clone(header), payload_text.into_bytes()));
        }
        for (header, path) in &self.claim_headers {
            if let Some(value) = value_at(&payload, path).and_then(in_header) {
                checked.added.push((Arc::clone(header), value));
            }
        }
        checked.token = Some(Token::new(payload, &self.lists));
    }
}

impl Place {
    /// What stands there in place of a token, as Envoy takes it: nothing is cut off at its end, and an empty one is malformed.
    fn token<R: Request>(&self, view: &View<'_, R>) -> Option<Vec<u8>> {
        match self {
            Self::Header(name, prefix) => {
                let mut buffer = Vec::new();
                let value = view.header(name, &mut buffer)?;
                if prefix.is_empty() {
                    return Some(value.to_vec());
                }
                let at = value.windows(prefix.len()).position(|it| it == prefix.as_bytes())?;
                let rest = value.get(at + prefix.len()..).unwrap_or_default();
                let begin = rest.iter().position(is_of_token);
                let token = begin.map_or(value, |begin| rest.get(begin..).unwrap_or_default());
                Some(token.to_vec())
            }
            Self::Parameter(name) => {
                first_parameter(view.query, name).map(|it| percent_decode(it).collect())
            }
            Self::Cookie(name) => cookie(view.request, name).map(<[u8]>::to_vec),
        }
    }
}

/// Signs of base64url, and the dots between.
const fn is_of_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A browser that asks whether it may ask: it sends no token yet.
fn is_preflight<R: Request>(view: &View<'_, R>) -> bool {
    let has = |name| view.first_header(name).is_some_and(|it| !it.is_empty());
    view.request.method() == b"OPTIONS" && has("origin") && has("access-control-request-method")
}

/// An audience without what is written in different ways.
fn bare(audience: &str) -> &str {
    let rest = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    let rest = rest.unwrap_or(audience);
    rest.strip_suffix('/').unwrap_or(rest)
}

fn value_at<'v>(payload: &'v Value, path: &[Arc<str>]) -> Option<&'v Value> {
    path.iter().try_fold(payload, |value, name| value.get(&**name))
}

/// A claim as a header has it: texts, numbers and whether something is so as they are, all else as JSON in base64.
fn in_header(value: &Value) -> Option<Vec<u8>> {
    let is_clean = |text: &str| !text.bytes().any(|byte| byte < b' ' || byte == 0x7F);
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => BASE64_STANDARD.encode(value.to_string()),
    };
    is_clean(&text).then(|| text.into_bytes())
}

#[cfg(test)]
mod tests;
