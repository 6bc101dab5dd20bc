//! Certificates that are issued to others: what stands in them, and how it is written (RFC 5280, X.690).
//!
//! Subjects and keys of requests are taken over as they are, whatever attributes and algorithms they have. Who may have a
//! certificate is no concern of this module.

use rcgen::{Issuer, KeyPair, SigningKey as _};
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::prelude::FromDer;

use super::pki::PkiError;

/// The object identifiers that are written, encoded.
mod oid {
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    pub(super) const ORGANISATION: &[u8] = &[0x55, 4, 10];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub(super) const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    /// `ecdsa-with-SHA256`, with which the authority signs.
    pub(super) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    /// `id-kp`, below which extended usages are.
    pub(super) const PURPOSES: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3];
    pub(super) const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];
}

/// What a certificate is to say.
pub(crate) struct Content<'c> {
    /// The subject, as DER.
    pub(crate) subject: &'c [u8],
    /// The public key with its algorithm, as DER.
    pub(crate) key: &'c [u8],
    /// The alternative names, as the DER inside of the extension.
    pub(crate) names: Option<&'c [u8]>,
    /// Usages, as Kubernetes spells them: `client auth`.
    pub(crate) usages: &'c [&'c str],
    pub(crate) begin: OffsetDateTime,
    pub(crate) end: OffsetDateTime,
}

/// A request for a certificate that is signed by the key it is for.
pub(crate) struct Request {
    pub(crate) subject: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) names: Option<Vec<u8>>,
    pub(crate) common_name: String,
    pub(crate) organisations: Vec<String>,
}

impl Request {
    /// Reads a request in PEM.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(pem: &[u8]) -> Result<Self, String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|error| error.to_string())?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents)
            .map_err(|error| format!("the request cannot be read: {error}"))?;
        request
            .verify_signature()
            .map_err(|_| "the request is not signed by the key it is for".to_owned())?;
        let info = &request.certification_request_info;
        let mut names = None;
        for attribute in info.iter_attributes() {
            let ParsedCriAttribute::ExtensionRequest(wanted) = attribute.parsed_attribute() else {
                continue;
            };
            let of_names = wanted.extensions.iter();
            let mut of_names = of_names.filter(|it| it.oid.as_bytes() == oid::ALTERNATIVE_NAME);
            names = of_names.next().map(|it| it.value.to_vec());
        }
        let subject = &info.subject;
        let text = |it: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            it.as_str().unwrap_or_default().to_owned()
        };
        Ok(Self {
            subject: subject.as_raw().to_vec(),
            key: info.subject_pki.raw.to_vec(),
            names,
            common_name: subject.iter_common_name().next().map(text).unwrap_or_default(),
            organisations: subject.iter_organization().map(text).collect(),
        })
    }
}

/// A certificate of `issuer`, which calls itself `name` (as DER), as PEM.
///
/// # Errors
/// Fails where it cannot be signed.
pub(crate) fn issue(
    issuer: &Issuer<'_, KeyPair>,
    name: &[u8],
    content: &Content<'_>,
) -> Result<String, PkiError> {
    let algorithm = sequence(&[&element(0x06, oid::ECDSA_SHA256)]);
    let mut serial = crate::random::uuid().as_bytes().to_vec();
    // Positive, and in as few bytes as it needs.
    serial[0] = serial[0] & 0x7f | 0x40;
    let body = sequence(&[
        &element(0xa0, &element(0x02, &[2])),
        &element(0x02, &serial),
        &algorithm,
        name,
        &sequence(&[&moment(content.begin), &moment(content.end)]),
        content.subject,
        content.key,
        &element(0xa3, &extensions(content)),
    ]);
    let signature = issuer.key().sign(&body)?;
    let certificate = sequence(&[&body, &algorithm, &bits(&signature, 0)]);
    Ok(pem("CERTIFICATE", &certificate))
}

/// The subject of a user in groups, as DER.
pub(crate) fn subject(user: &str, groups: &[&str]) -> Vec<u8> {
    let part = |kind: &[u8], text: &str| {
        let pair = sequence(&[&element(0x06, kind), &element(0x0c, text.as_bytes())]);
        element(0x31, &pair)
    };
    let mut parts: Vec<Vec<u8>> =
        groups.iter().map(|group| part(oid::ORGANISATION, group)).collect();
    parts.push(part(oid::COMMON_NAME, user));
    sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn extensions(content: &Content<'_>) -> Vec<u8> {
    const CRITICAL: &[u8] = &[0x01, 0x01, 0xff];
    let extension = |kind: &[u8], critical: &[u8], value: &[u8]| {
        sequence(&[&element(0x06, kind), critical, &element(0x04, value)])
    };
    let mut all = Vec::new();
    let flags = content.usages.iter().filter_map(|it| flag(it)).fold(0_u16, |all, it| all | it);
    if flags != 0 {
        let bytes = flags.to_be_bytes();
        let used = if bytes[1] == 0 { &bytes[..1] } else { &bytes[..] };
        let spare = used.last().map_or(0, |last| last.trailing_zeros());
        let value = bits(used, u8::try_from(spare).unwrap_or(0));
        all.extend(extension(oid::KEY_USAGE, CRITICAL, &value));
    }
    let purposes: Vec<Vec<u8>> = content.usages.iter().filter_map(|it| purpose(it)).collect();
    if !purposes.is_empty() {
        let value = sequence(&purposes.iter().map(Vec::as_slice).collect::<Vec<_>>());
        all.extend(extension(oid::EXTENDED_KEY_USAGE, &[], &value));
    }
    all.extend(extension(oid::BASIC_CONSTRAINTS, CRITICAL, &sequence(&[])));
    if let Some(names) = content.names {
        all.extend(extension(oid::ALTERNATIVE_NAME, &[], names));
    }
    element(0x30, &all)
}

/// The bit of a usage of the key itself; the first of them is the highest.
fn flag(usage: &str) -> Option<u16> {
    const FLAGS: &[&str] = &[
        "digital signature",
        "content commitment",
        "key encipherment",
        "data encipherment",
        "key agreement",
        "cert sign",
        "crl sign",
        "encipher only",
        "decipher only",
    ];
    let usage = if usage == "signing" { "digital signature" } else { usage };
    FLAGS.iter().position(|it| *it == usage).map(|place| 0x8000 >> place)
}

/// The identifier of an extended usage, as an element.
fn purpose(usage: &str) -> Option<Vec<u8>> {
    let last = match usage {
        "any" => return Some(element(0x06, oid::ANY_PURPOSE)),
        "server auth" => 1,
        "client auth" => 2,
        "code signing" => 3,
        "email protection" | "s/mime" => 4,
        "ipsec end system" => 5,
        "ipsec tunnel" => 6,
        "ipsec user" => 7,
        "timestamping" => 8,
        "ocsp signing" => 9,
        _ => return None,
    };
    Some(element(0x06, &[oid::PURPOSES, &[last]].concat()))
}

/// A tag, a length and the content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let used = length.iter().position(|it| *it != 0).unwrap_or(length.len());
            let used = length.get(used..).unwrap_or_default();
            out.push(0x80 | u8::try_from(used.len()).unwrap_or(0));
            out.extend_from_slice(used);
        }
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

fn bits(bytes: &[u8], spare: u8) -> Vec<u8> {
    element(0x03, &[&[spare], bytes].concat())
}

/// A time: with two digits of the year up to 2049, with four after.
fn moment(at: OffsetDateTime) -> Vec<u8> {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        element(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times_are_written_as_short_as_they_may_be() {
        assert_eq!(element(4, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        assert_eq!(moment(at(0)), [&[0x17, 13], "700101000000Z".as_bytes()].concat());
        assert_eq!(moment(at(2_524_608_000)), [&[0x18, 15], "20500101000000Z".as_bytes()].concat());
    }

    #[test]
    fn every_usage_is_a_flag_or_a_purpose() {
        assert_eq!(flag("digital signature"), Some(0x8000));
        assert_eq!(flag("signing"), Some(0x8000));
        assert_eq!(flag("decipher only"), Some(0x80));
        assert!(flag("client auth").is_none() && purpose("client auth").is_some());
        assert_eq!(purpose("nonsense"), None);
    }
}
