//! Whether a Secret can serve as a certificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serin_api::core::Secret;
use x509_parser::pem::Pem;

/// What is wrong with the Secret, to be read after its name. `now` is in seconds since 1970.
pub(super) fn problem(secret: &Secret, now: Option<i64>) -> Option<String> {
    let value = |names: [&str; 2]| {
        let data = names
            .iter()
            .find_map(|name| secret.data.get(*name))
            .map(|text| STANDARD.decode(text).unwrap_or_default());
        data.or_else(|| {
            names
                .iter()
                .find_map(|name| secret.string_data.get(*name))
                .map(|text| text.clone().into_bytes())
        })
    };
    let Some(certificate) = value(["tls.crt", "cert"]) else {
        return Some("has no certificate under the key tls.crt (or cert)".to_owned());
    };
    let Some(key) = value(["tls.key", "key"]) else {
        return Some("has no private key under the key tls.key (or key)".to_owned());
    };
    certificate_problem(&certificate, now).or_else(|| key_problem(&key))
}

fn certificate_problem(pem: &[u8], now: Option<i64>) -> Option<String> {
    let Some(Ok(block)) = Pem::iter_from_buffer(pem)
        .find(|block| block.as_ref().is_ok_and(|it| it.label == "CERTIFICATE"))
    else {
        return Some("has no PEM block CERTIFICATE where its certificate should be".to_owned());
    };
    let Ok(certificate) = block.parse_x509() else {
        return Some("has a certificate that cannot be read".to_owned());
    };
    let validity = certificate.validity();
    match now {
        Some(now) if now > validity.not_after.timestamp() => {
            Some(format!("has a certificate that expired at {}", validity.not_after))
        }
        Some(now) if now < validity.not_before.timestamp() => {
            Some(format!("has a certificate that is not valid before {}", validity.not_before))
        }
        _ => None,
    }
}

fn key_problem(pem: &[u8]) -> Option<String> {
    let is_key = |block: &Pem| {
        matches!(block.label.as_str(), "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
    };
    let has_key = Pem::iter_from_buffer(pem).any(|block| block.as_ref().is_ok_and(is_key));
    (!has_key).then(|| "has no PEM block PRIVATE KEY where its key should be".to_owned())
}
