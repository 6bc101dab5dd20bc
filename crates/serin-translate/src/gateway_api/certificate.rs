//! Whether what a Secret or ConfigMap holds can serve as a certificate with its key, or as a set of authorities.
//!
//! The keys of the data and the texts of the failures are those that Kubernetes users know from Go's `crypto/tls` and
//! from istiod. Signatures are not verified and dates are not looked at: a proxy does both when it uses the certificate.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serin_api::core::{ConfigMap, Secret};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Names of the entries for certificate and key, in order of preference.
const PAIRS: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];
/// Names of the entry for authorities, in order of preference.
const AUTHORITIES: [&str; 2] = ["cacert", "ca.crt"];

/// The entries of a Secret or a ConfigMap.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// The entries of a Secret. What is not base64 is empty.
pub(super) fn of_secret(secret: &Secret) -> Entries {
    let decoded = |(name, text): (&String, &String)| {
        (name.clone(), STANDARD.decode(text).unwrap_or_default())
    };
    let written = |(name, text): (&String, &String)| (name.clone(), text.clone().into_bytes());
    secret.data.iter().map(decoded).chain(secret.string_data.iter().map(written)).collect()
}

/// The entries of a ConfigMap that are text.
pub(super) fn of_config_map(map: &ConfigMap) -> Entries {
    map.data.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect()
}

/// Checks that `data` of a Secret holds a certificate and its private key.
///
/// # Errors
/// What is missing or malformed.
pub(super) fn check_key_pair(data: &Entries) -> Result<(), String> {
    let present =
        PAIRS.iter().find_map(|(cert, key)| Some((*cert, data.get(*cert)?, *key, data.get(*key)?)));
    let Some((cert_name, cert, key_name, key)) = present else {
        let expected = "(cert and key) or (tls.crt and tls.key)";
        return Err(format!(
            "found secret, but didn't have expected keys {expected}; found: {}",
            names(data.keys())
        ));
    };
    for (name, content) in [(cert_name, cert), (key_name, key)] {
        if content.is_empty() {
            return Err(format!("found keys {cert_name:?} and {key_name:?}, but {name} was empty"));
        }
    }
    matching(cert, key).map_err(|error| format!("the certificate is malformed: tls: {error}"))
}

/// The authorities in `data` of a Secret or ConfigMap, as PEM text.
///
/// # Errors
/// That there is no entry for them.
pub(super) fn authorities(data: &Entries) -> Result<&[u8], String> {
    match AUTHORITIES.iter().find_map(|name| Some((name, data.get(*name)?.as_slice()))) {
        Some((_, content)) if !content.is_empty() => Ok(content),
        Some((name, _)) => Err(format!("found key {name:?}, but it was empty")),
        None => {
            let expected = AUTHORITIES.join(" or ");
            Err(format!(
                "found secret, but didn't have expected keys {expected}; found: {}",
                names(data.keys())
            ))
        }
    }
}

/// Whether `pem` holds at least one certificate that can be read.
pub(super) fn has_certificate(pem: &[u8]) -> bool {
    blocks(pem).iter().any(|block| {
        block.label == "CERTIFICATE" && X509Certificate::from_der(&block.contents).is_ok()
    })
}

fn names<'a>(keys: impl Iterator<Item = &'a String>) -> String {
    keys.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn blocks(pem: &[u8]) -> Vec<Pem> {
    Pem::iter_from_buffer(pem).map_while(Result::ok).collect()
}

fn find(input: &[u8], what: &str, is_wanted: impl Fn(&Pem) -> bool) -> Result<Pem, String> {
    let blocks = blocks(input);
    if blocks.is_empty() {
        return Err(format!("failed to find any PEM data in {what} input"));
    }
    let labels: Vec<_> = blocks.iter().map(|block| block.label.clone()).collect();
    blocks.into_iter().find(is_wanted).ok_or_else(|| {
        format!("the {what} input holds no {what}, only PEM blocks of type {}", labels.join(", "))
    })
}

fn matching(cert: &[u8], key: &[u8]) -> Result<(), String> {
    let cert = find(cert, "certificate", |block| block.label == "CERTIFICATE")?;
    let key = find(key, "key", |block| block.label.ends_with("PRIVATE KEY"))?;
    let (_, cert) = X509Certificate::from_der(&cert.contents)
        .map_err(|_| "malformed certificate".to_owned())?;
    let key = private_key(&key.contents).ok_or("failed to parse private key")?;
    let agree = match (cert.public_key().parsed(), &key) {
        (Ok(PublicKey::RSA(public)), Key::Rsa { modulus }) => {
            unsigned(public.modulus) == unsigned(modulus)
        }
        (Ok(PublicKey::EC(public)), Key::Ec { public: Some(key) }) => public.data() == *key,
        (Ok(PublicKey::RSA(_)), _) | (_, Key::Rsa { .. }) => {
            return Err("private key type does not match public key type".to_owned());
        }
        // The rest would need the curve's arithmetic; the proxy finds out when it uses the pair.
        _ => true,
    };
    if agree { Ok(()) } else { Err("private key does not match public key".to_owned()) }
}

/// As much of a private key as says which public key it belongs to.
enum Key<'a> {
    Rsa { modulus: &'a [u8] },
    Ec { public: Option<&'a [u8]> },
    Other,
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EC_PUBLIC_KEY: u8 = 0xa1;
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// Reads PKCS#1 (RFC 8017), SEC 1 (RFC 5915) or PKCS#8 (RFC 5958).
fn private_key(der: &[u8]) -> Option<Key<'_>> {
    let (SEQUENCE, fields, _) = element(der)? else { return None };
    let (INTEGER, _, rest) = element(fields)? else { return None };
    match element(rest)? {
        (INTEGER, modulus, _) => Some(Key::Rsa { modulus }),
        (OCTET_STRING, _, rest) => Some(Key::Ec { public: ec_public(rest) }),
        (SEQUENCE, algorithm, rest) => {
            let (OBJECT_ID, oid, _) = element(algorithm)? else { return None };
            let (OCTET_STRING, inner, _) = element(rest)? else { return None };
            match oid {
                OID_RSA | OID_EC => private_key(inner),
                _ => Some(Key::Other),
            }
        }
        _ => None,
    }
}

fn ec_public(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((tag, content, after)) = element(rest) {
        if tag == EC_PUBLIC_KEY {
            let (BIT_STRING, bits, _) = element(content)? else { return None };
            return bits.get(1..);
        }
        rest = after;
    }
    None
}

/// The first element of DER data: its tag, its content, and what follows it.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A number without the zero that marks it as positive.
fn unsigned(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

#[cfg(test)]
mod tests;
