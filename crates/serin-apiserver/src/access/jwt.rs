//! Tokens of ServiceAccounts: signed statements of who a pod is, bound to objects and to a time.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Who issues the tokens, and whom they are meant for when nothing else is said.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Who issued the tokens of Secrets, which do not expire.
pub(crate) const SECRET_ISSUER: &str = "kubernetes/serviceaccount";

/// What tells others how tokens can be judged.
pub(crate) fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// The key that signs tokens.
pub(crate) struct TokenKey {
    pair: EcdsaKeyPair,
    id: String,
}

/// The store holds no usable key.
#[derive(Debug, thiserror::Error)]
#[error("the key that signs the tokens of ServiceAccounts cannot be {0}")]
pub struct TokenKeyError(&'static str);

impl TokenKey {
    /// A new key in the form in which it is stored.
    pub(crate) fn make() -> Result<Vec<u8>, TokenKeyError> {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        key.map(|document| document.as_ref().to_vec()).map_err(|_| TokenKeyError("made"))
    }

    /// The key that was stored.
    pub(crate) fn load(pkcs8: &[u8]) -> Result<Self, TokenKeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| TokenKeyError("read"))?;
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(digest.as_ref());
        Ok(Self { pair, id })
    }

    /// A token that says `claims`.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, TokenKeyError> {
        let head = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .map_err(|_| TokenKeyError("used"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// The public key, as others need it to judge tokens (RFC 7517).
    pub(crate) fn jwks(&self) -> Value {
        // An uncompressed point: 4, and both coordinates.
        let point = self.pair.public_key().as_ref();
        let coordinate = |from: usize| {
            let bytes = point.get(from..from + 32).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(bytes)
        };
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": coordinate(1), "y": coordinate(33),
        }]})
    }

    /// What a token says, where this key signed it. Time and audience are the caller's to judge.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let (head, claims) = text.split_once('.')?;
        let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        if head.get("alg").and_then(Value::as_str) != Some("ES256") {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_believed_only_as_it_was_signed() {
        let key = TokenKey::load(&TokenKey::make().unwrap()).unwrap();
        let claims = json!({"sub": "system:serviceaccount:a:b"});
        let token = key.sign(&claims).unwrap();
        assert_eq!(key.verify(&token), Some(claims));
        let other = TokenKey::load(&TokenKey::make().unwrap()).unwrap();
        assert_eq!(other.verify(&token), None);
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(r#"{"sub":"system:serviceaccount:a:c"}"#);
        assert_eq!(key.verify(&format!("{}.{forged}.{}", parts[0], parts[2])), None);
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(key.verify(&format!("{none}.{}.", parts[1])), None);
        assert_eq!(key.verify("x"), None);
    }
}
