//! Public keys as issuers publish them: JSON Web Key Sets (RFC 7517, RFC 7518 §6).

use base64::Engine as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::token::{BASE64URL, Parsed};

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with the padding of PKCS #1, version 1.5: `RS256` and longer ones.
    Rsa(Digest),
    /// RSA with a padding that varies: `PS256` and longer ones.
    RsaPss(Digest),
    /// Elliptic curves: `ES256` and longer ones.
    Ecdsa(Digest),
    /// `EdDSA`.
    Edwards,
    /// A secret that both sides know: `HS256` and longer ones.
    Secret(Digest),
}

/// What is signed instead of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [(&'static str, Self); 13] = [
        ("RS256", Self::Rsa(Digest::Sha256)),
        ("RS384", Self::Rsa(Digest::Sha384)),
        ("RS512", Self::Rsa(Digest::Sha512)),
        ("PS256", Self::RsaPss(Digest::Sha256)),
        ("PS384", Self::RsaPss(Digest::Sha384)),
        ("PS512", Self::RsaPss(Digest::Sha512)),
        ("ES256", Self::Ecdsa(Digest::Sha256)),
        ("ES384", Self::Ecdsa(Digest::Sha384)),
        ("ES512", Self::Ecdsa(Digest::Sha512)),
        ("EdDSA", Self::Edwards),
        ("HS256", Self::Secret(Digest::Sha256)),
        ("HS384", Self::Secret(Digest::Sha384)),
        ("HS512", Self::Secret(Digest::Sha512)),
    ];

    /// The algorithm of a name; `none` is none.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }
}

/// A curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

/// What a signature is checked with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Material {
    /// Modulus and exponent, the most significant byte first.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Exponent.
        e: Vec<u8>,
    },
    /// A point on a curve, in the long form of SEC 1 (§2.3.3).
    Ecdsa(Curve, Vec<u8>),
    /// Ed25519.
    Edwards(Vec<u8>),
    /// A secret.
    Secret(Vec<u8>),
}

impl std::fmt::Debug for Material {
    /// Its kind: keys do not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } => "RSA",
            Self::Ecdsa(..) => "EC",
            Self::Edwards(_) => "OKP",
            Self::Secret(_) => "oct",
        })
    }
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its name (`kid`).
    pub name: Option<String>,
    /// The one algorithm that it is for, if it says.
    pub algorithm: Option<String>,
    /// The key itself.
    pub material: Material,
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl Serialize for KeySet {
    /// Names and kinds: a dump is no place for keys.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown =
            |key: &Key| format!("{} {:?}", key.name.as_deref().unwrap_or("-"), key.material);
        serializer.collect_seq(self.keys.iter().map(shown))
    }
}

/// Why a text is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No JSON.
    #[error("the key set is no JSON (line {0}, column {1})")]
    Json(usize, usize),
    /// Not of this form.
    #[error("the key set has no list `keys`")]
    NoKeys,
    /// Nothing in it can be used.
    #[error(
        "the key set has no key that can be used: RSA, EC (P-256, P-384, P-521), OKP (Ed25519) and oct can"
    )]
    NoneUsable,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are left out, as long as one can.
    ///
    /// # Errors
    /// It is none, or no key can be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let read: Result<Value, _> = serde_json::from_slice(text);
        let value = read.map_err(|error| KeyError::Json(error.line(), error.column()))?;
        let all = value.get("keys").and_then(Value::as_array).ok_or(KeyError::NoKeys)?;
        let keys: Vec<Key> = all.iter().filter_map(key).collect();
        if keys.is_empty() { Err(KeyError::NoneUsable) } else { Ok(Self { keys }) }
    }

    /// The keys that can have signed a token.
    pub(super) fn fitting(&self, token: &Parsed) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| {
            let is_named = match (&key.name, &token.key) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            };
            let is_for = |name: &String| Algorithm::named(name) == Some(token.algorithm);
            is_named && key.algorithm.as_ref().is_none_or(is_for) && key.can_sign(token.algorithm)
        })
    }
}

impl Key {
    const fn can_sign(&self, algorithm: Algorithm) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { .. }, Algorithm::Rsa(_) | Algorithm::RsaPss(_))
            | (Material::Edwards(_), Algorithm::Edwards)
            | (Material::Secret(_), Algorithm::Secret(_)) => true,
            (Material::Ecdsa(curve, _), Algorithm::Ecdsa(hash)) => matches!(
                (curve, hash),
                (Curve::P256, Digest::Sha256)
                    | (Curve::P384, Digest::Sha384)
                    | (Curve::P521, Digest::Sha512)
            ),
            _ => false,
        }
    }
}

fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let bytes = |name: &str| BASE64URL.decode(text(name)?).ok().filter(|it| !it.is_empty());
    // Numbers may be written with zeros before them.
    let number = |name: &str| {
        let bytes = bytes(name)?;
        let begin = bytes.iter().position(|byte| *byte != 0)?;
        bytes.get(begin..).map(<[u8]>::to_vec)
    };
    let material = match text("kty")? {
        "RSA" => Material::Rsa { n: number("n")?, e: number("e")? },
        "EC" => {
            let (curve, length) = match text("crv")? {
                "P-256" => (Curve::P256, 32_usize),
                "P-384" => (Curve::P384, 48),
                "P-521" => (Curve::P521, 66),
                _ => return None,
            };
            let mut point = vec![4];
            for coordinate in [bytes("x")?, bytes("y")?] {
                point.extend(vec![0; length.checked_sub(coordinate.len())?]);
                point.extend(coordinate);
            }
            Material::Ecdsa(curve, point)
        }
        "OKP" if text("crv")? == "Ed25519" => {
            Material::Edwards(bytes("x").filter(|it| it.len() == 32)?)
        }
        "oct" => Material::Secret(bytes("k")?),
        _ => return None,
    };
    let algorithm = text("alg").map(str::to_owned);
    Some(Key { name: text("kid").map(str::to_owned), algorithm, material })
}
