//! Whether a peer's certificate is what the model asks for: where it comes from, whom it names, which one it is.
//!
//! Chains are checked by rustls' own verifier. Two kinds of certificates it does not read are in use where people make their
//! own: one that is itself the authority, and one of X.509 version 1 (what `openssl x509 -req` makes unless told otherwise).
//! Both are checked here, and only directly against an authority.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Version};

use super::certificates::Authorities;
use super::peer::sha256;
use super::{TlsError, provider};

/// What a certificate must be, beside being within its time.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Whom it must come from; `None` does not check.
    pub(super) authorities: Option<Arc<Authorities>>,
    /// One of these must be among its subject alternative names; any when empty.
    pub(super) names: Vec<Arc<str>>,
    /// SHA-256 hashes of certificates or public keys: it must be one of these; any when empty.
    pub(super) pins: Vec<[u8; 32]>,
}

impl Checks {
    fn names_and_pins(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names.is_empty() && self.pins.is_empty() {
            return Ok(());
        }
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| bad_encoding())?;
        if !self.names.is_empty() && !self.names.iter().any(|name| carries(&parsed, name)) {
            return Err(CertificateError::NotValidForName.into());
        }
        let is_pinned = self.pins.is_empty()
            || [sha256(leaf), sha256(parsed.public_key().raw)]
                .iter()
                .any(|hash| self.pins.contains(hash));
        if is_pinned {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

/// Checks clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    checks: Checks,
    /// Checks the way to an authority.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
}

impl ClientVerifier {
    pub(super) fn new(checks: Checks, mandatory: bool) -> Result<Self, TlsError> {
        let chain = match &checks.authorities {
            Some(authorities) => {
                let roots = Arc::clone(&authorities.roots);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()));
                Some(builder.build().map_err(|error| TlsError::Settings(error.to_string()))?)
            }
            None if !checks.names.is_empty() => {
                let reason =
                    "names of clients mean nothing without the authorities they must come from";
                return Err(TlsError::Settings(reason.to_owned()));
            }
            None => None,
        };
        Ok(Self { checks, chain, mandatory })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let (Some(chain), Some(authorities)) = (&self.chain, &self.checks.authorities)
            && !is_directly_trusted(leaf, authorities, now)?
        {
            chain.verify_client_cert(leaf, intermediates, now)?;
        }
        self.checks.names_and_pins(leaf)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature_12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature_13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Checks endpoints.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) checks: Checks,
    /// The certificate must be for the server name that was asked for.
    pub(super) by_server_name: bool,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.checks.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        if !is_directly_trusted(leaf, authorities, now)? {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(leaf)?,
                &authorities.roots,
                intermediates,
                now,
                algorithms().all,
            )?;
        }
        if self.by_server_name && self.checks.names.is_empty() {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, server_name)?;
        }
        self.checks.names_and_pins(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature_12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature_13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// Whether a certificate that rustls does not read comes from an authority: it is one itself, or it is of version 1 and
/// signed by one. Others are left to rustls.
fn is_directly_trusted(
    leaf: &CertificateDer<'_>,
    authorities: &Authorities,
    now: UnixTime,
) -> Result<bool, Error> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| bad_encoding())?;
    let is_version_1 = parsed.version() == X509Version::V1;
    let is_authority = authorities.certificates.iter().any(|it| it == leaf);
    if !is_version_1 && !is_authority {
        return Ok(false);
    }
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if is_authority || authorities.certificates.iter().any(|it| is_signed_by(&parsed, it)) {
        Ok(true)
    } else {
        Err(CertificateError::UnknownIssuer.into())
    }
}

/// Whether the key of `issuer` made the signature, by whichever algorithm: all that are tried are sound.
fn is_signed_by(certificate: &X509Certificate<'_>, issuer: &CertificateDer<'_>) -> bool {
    let Ok((_, issuer)) = X509Certificate::from_der(issuer) else { return false };
    if certificate.issuer().as_raw() != issuer.subject().as_raw() || !issuer.is_ca() {
        return false;
    }
    let key = &issuer.public_key().subject_public_key.data;
    let (message, signature) =
        (certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
    algorithms().all.iter().any(|it| it.verify_signature(key, message, signature).is_ok())
}

fn verify_signature_12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = algorithms();
    if !is_version_1(certificate) {
        return verify_tls12_signature(message, certificate, signature, &algorithms);
    }
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad_encoding())?;
    let key = &parsed.public_key().subject_public_key.data;
    let of_scheme = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
    let is_valid = of_scheme
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|it| it.verify_signature(key, message, signature.signature()).is_ok());
    if is_valid {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

fn verify_signature_13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if !is_version_1(certificate) {
        return verify_tls13_signature(message, certificate, signature, &algorithms());
    }
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad_encoding())?;
    let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
    verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms())
}

fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, it)| it.version() == X509Version::V1)
}

/// Whether a name is among a certificate's subject alternative names, of whatever kind.
fn carries(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    alternative.iter().flat_map(|it| &it.value.general_names).any(|it| match it {
        GeneralName::DNSName(pattern) => is_dns_match(pattern, name),
        GeneralName::URI(text) | GeneralName::RFC822Name(text) => *text == name,
        GeneralName::IPAddress(bytes) => is_address(bytes, name),
        _ => false,
    })
}

/// A certificate's `*.example.com` stands for one label.
fn is_dns_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => {
            name.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest))
        }
        None => pattern.eq_ignore_ascii_case(name),
    }
}

fn is_address(bytes: &[u8], name: &str) -> bool {
    match name.parse() {
        Ok(std::net::IpAddr::V4(address)) => address.octets() == *bytes,
        Ok(std::net::IpAddr::V6(address)) => address.octets() == *bytes,
        Err(_) => false,
    }
}

const fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_in_a_certificate_stands_for_one_label() {
        for (pattern, name, expect) in [
            ("a.example", "A.example", true),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*", "a", false),
        ] {
            assert_eq!(is_dns_match(pattern, name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        assert!(is_address(&[127, 0, 0, 1], "127.0.0.1"));
        assert!(!is_address(&[127, 0, 0, 1], "127.0.0.2"));
        assert!(is_address(&std::net::Ipv6Addr::LOCALHOST.octets(), "0:0::1"));
    }
}
