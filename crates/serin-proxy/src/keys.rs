//! Keys that sign tokens: those that somebody fetched, and how signatures are checked.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{hmac, signature};
use serin_routing::authentication::{
    Algorithm, Checks, Curve, Digest, KeySet, KeySource, Material,
};

/// The keys of issuers that publish them elsewhere, by where that is. Clones are the same store.
///
/// Whoever fetches them puts them in; requests with tokens of an issuer whose keys are not here are refused.
#[derive(Clone, Debug, Default)]
pub struct KeyStore {
    fetched: Arc<RwLock<HashMap<KeySource, Arc<KeySet>>>>,
}

impl KeyStore {
    /// Puts in the keys of a source, in the place of those before.
    pub fn put(&self, source: KeySource, keys: KeySet) {
        let mut fetched = self.fetched.write().unwrap_or_else(PoisonError::into_inner);
        fetched.insert(source, Arc::new(keys));
    }

    /// Forgets the keys of sources that are not wanted any more.
    pub fn keep(&self, is_wanted: impl Fn(&KeySource) -> bool) {
        let mut fetched = self.fetched.write().unwrap_or_else(PoisonError::into_inner);
        fetched.retain(|source, _| is_wanted(source));
    }
}

impl Checks for KeyStore {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
    }

    fn fetched(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        self.fetched.read().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    fn has_signed(
        &self,
        key: &Material,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        match (key, algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rsa(_) | Algorithm::RsaPss(_)) => {
                let key = signature::RsaPublicKeyComponents { n, e };
                rsa(algorithm).is_some_and(|it| key.verify(it, signed, signature).is_ok())
            }
            (Material::Ecdsa(curve, point), Algorithm::Ecdsa(_)) => {
                let algorithm = match curve {
                    Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
                };
                let key = signature::UnparsedPublicKey::new(algorithm, point);
                key.verify(signed, signature).is_ok()
            }
            (Material::Edwards(point), Algorithm::Edwards) => {
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, point);
                key.verify(signed, signature).is_ok()
            }
            (Material::Secret(secret), Algorithm::Secret(digest)) => {
                let algorithm = match digest {
                    Digest::Sha256 => hmac::HMAC_SHA256,
                    Digest::Sha384 => hmac::HMAC_SHA384,
                    Digest::Sha512 => hmac::HMAC_SHA512,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// How signatures of RSA are checked; keys shorter than 2048 bits sign nothing.
fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::Rsa(Digest::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rsa(Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rsa(Digest::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::RsaPss(Digest::Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::RsaPss(Digest::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::RsaPss(Digest::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
    };

    use super::*;

    const TEXT: &[u8] = b"head.payload";

    /// The signature is taken, and neither another text's, nor one that was changed, nor another algorithm's.
    #[track_caller]
    fn check(key: &Material, algorithm: Algorithm, signature: &[u8]) {
        let store = KeyStore::default();
        assert!(store.has_signed(key, algorithm, TEXT, signature), "{algorithm:?}");
        assert!(!store.has_signed(key, algorithm, b"head.other", signature), "{algorithm:?}");
        let mut changed = signature.to_vec();
        changed[0] ^= 1;
        assert!(!store.has_signed(key, algorithm, TEXT, &changed), "{algorithm:?}");
        assert!(!store.has_signed(key, algorithm, TEXT, b""), "{algorithm:?}");
        let other = match algorithm {
            Algorithm::Rsa(digest) => Algorithm::RsaPss(digest),
            _ => Algorithm::Rsa(Digest::Sha256),
        };
        assert!(!store.has_signed(key, other, TEXT, signature), "{other:?}");
    }

    #[test]
    fn signatures_of_rsa_are_checked() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let key = Material::Rsa {
            n: public.modulus().big_endian_without_leading_zero().to_vec(),
            e: public.exponent().big_endian_without_leading_zero().to_vec(),
        };
        let both = |how: &'static dyn RsaEncoding, algorithm| {
            let mut signed = vec![0; pair.public_modulus_len()];
            pair.sign(how, &SystemRandom::new(), TEXT, &mut signed).unwrap();
            check(&key, algorithm, &signed);
        };
        both(&signature::RSA_PKCS1_SHA256, Algorithm::Rsa(Digest::Sha256));
        both(&signature::RSA_PKCS1_SHA384, Algorithm::Rsa(Digest::Sha384));
        both(&signature::RSA_PKCS1_SHA512, Algorithm::Rsa(Digest::Sha512));
        both(&signature::RSA_PSS_SHA256, Algorithm::RsaPss(Digest::Sha256));
        both(&signature::RSA_PSS_SHA384, Algorithm::RsaPss(Digest::Sha384));
        both(&signature::RSA_PSS_SHA512, Algorithm::RsaPss(Digest::Sha512));
    }

    #[test]
    fn signatures_of_curves_are_checked() {
        let both = |how: &'static EcdsaSigningAlgorithm, curve, digest| {
            let pair = EcdsaKeyPair::generate(how).unwrap();
            let signed = pair.sign(&SystemRandom::new(), TEXT).unwrap();
            let key = Material::Ecdsa(curve, pair.public_key().as_ref().to_vec());
            check(&key, Algorithm::Ecdsa(digest), signed.as_ref());
        };
        both(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, Curve::P256, Digest::Sha256);
        both(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, Curve::P384, Digest::Sha384);
        both(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, Curve::P521, Digest::Sha512);
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = Material::Edwards(pair.public_key().as_ref().to_vec());
        check(&key, Algorithm::Edwards, pair.sign(TEXT).as_ref());
    }

    #[test]
    fn secrets_that_both_know_are_checked() {
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), TEXT);
        let key = Material::Secret(b"secret".to_vec());
        check(&key, Algorithm::Secret(Digest::Sha256), signed.as_ref());
    }
}
