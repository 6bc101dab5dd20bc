//! The server's own keys: read from the store, made where there are none, and stored before they are used.

use super::StartError;
use crate::access::authn::Authenticator;
use crate::access::jwt::TokenKey;
use crate::access::pki::{Authority, Pair};
use crate::store::Store;

const AUTHORITY_CERTIFICATE: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const ADMINISTRATOR: &str = "administrator.token";
const TOKENS: &str = "tokens.key";

/// The authority and what tells users apart.
pub(super) async fn load(store: &Store) -> Result<(Authority, Authenticator), StartError> {
    let stored_keys = store.keys();
    let find = |name: &str| {
        stored_keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let text = |name: &str| find(name).and_then(|bytes| String::from_utf8(bytes).ok());
    let mut made: Vec<(String, Vec<u8>)> = Vec::new();

    let stored = match (text(AUTHORITY_CERTIFICATE), text(AUTHORITY_KEY)) {
        (Some(certificate), Some(key)) => Some(Authority::load(&Pair { certificate, key })?),
        _ => None,
    };
    let authority = match stored.filter(Authority::lasts) {
        Some(authority) => authority,
        None => {
            let (authority, pair) = Authority::make()?;
            made.push((AUTHORITY_CERTIFICATE.into(), pair.certificate.into_bytes()));
            made.push((AUTHORITY_KEY.into(), pair.key.into_bytes()));
            authority
        }
    };
    let administrator = text(ADMINISTRATOR).unwrap_or_else(|| {
        let token = secret();
        made.push((ADMINISTRATOR.into(), token.clone().into_bytes()));
        token
    });
    let tokens = match find(TOKENS) {
        Some(key) => key,
        None => {
            let key = TokenKey::make()?;
            made.push((TOKENS.into(), key.clone()));
            key
        }
    };
    if !made.is_empty() {
        store.put_keys(made).await?;
    }
    let authn = Authenticator::new(store.clone(), administrator, TokenKey::load(&tokens)?);
    Ok((authority, authn))
}

/// A text that cannot be guessed: 244 random bits.
fn secret() -> String {
    format!("{}{}", crate::random::uuid().simple(), crate::random::uuid().simple())
}
