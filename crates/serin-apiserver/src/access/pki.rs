//! The server's own certificate authority: its certificate, the server's, and those of clients.
//!
//! The authority's key lives in memory and in the store. The server's certificate is made at each start and again before it
//! expires; connections that are open keep the one they began with.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::issue::{self, Content};

/// How long the authority lives.
const AUTHORITY_DAYS: i64 = 3650;
/// The authority is replaced at a start when it has less than this left.
const AUTHORITY_LEFT_DAYS: i64 = 400;
/// How long the server's certificate lives.
const SERVER_DAYS: i64 = 90;
/// How long a client's certificate lives.
const CLIENT_DAYS: i64 = 365;
/// The names under which pods know the server.
const NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Why certificates could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// What the store holds is no key or certificate.
    #[error("the certificate authority in the store cannot be read: {0}; restore a backup")]
    Stored(String),
    /// TLS refused a key or a certificate.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new authority, and what to store of it.
    pub(crate) fn make() -> Result<(Self, Pair), PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = name("serin-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        lives(&mut params, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?;
        let pair = Pair { certificate: certificate.pem(), key: key.serialize_pem() };
        let authority = Self::load(&pair)?;
        Ok((authority, pair))
    }

    /// The authority that was stored.
    pub(crate) fn load(pair: &Pair) -> Result<Self, PkiError> {
        let stored = |error: rcgen::Error| PkiError::Stored(error.to_string());
        let key = KeyPair::from_pem(&pair.key).map_err(stored)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(stored)?;
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(pair.certificate.as_bytes())
            .map_err(|error| PkiError::Stored(format!("{error:?}")))?;
        Ok(Self { issuer, pem: pair.certificate.clone(), der })
    }

    /// Whether it has long enough to live.
    pub(crate) fn lasts(&self) -> bool {
        x509_parser::parse_x509_certificate(&self.der).is_ok_and(|(_, certificate)| {
            let left = certificate.validity().not_after.timestamp()
                - OffsetDateTime::now_utc().unix_timestamp();
            left > Duration::days(AUTHORITY_LEFT_DAYS).whole_seconds()
        })
    }

    /// The certificate that clients trust, as PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for the server under its addresses.
    fn server(&self, addresses: &[IpAddr]) -> Result<CertifiedKey, PkiError> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        params.distinguished_name = name("serin-apiserver");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        lives(&mut params, SERVER_DAYS);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let chain = vec![certificate.der().clone()];
        Ok(CertifiedKey::from_der(chain, key.into(), &provider)?)
    }

    /// A certificate that says who a client is: a user and its groups.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Pair, PkiError> {
        let key = KeyPair::generate()?;
        let now = OffsetDateTime::now_utc();
        let certificate = self.issue(&Content {
            subject: &issue::subject(user, groups),
            key: &key.subject_public_key_info(),
            names: None,
            usages: &["digital signature", "client auth"],
            begin: now - EARLY,
            end: now + Duration::days(CLIENT_DAYS),
        })?;
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// A certificate of this authority, as PEM. It ends no later than the authority itself.
    pub(crate) fn issue(&self, content: &Content<'_>) -> Result<String, PkiError> {
        let (_, own) = x509_parser::parse_x509_certificate(&self.der)
            .map_err(|error| PkiError::Stored(error.to_string()))?;
        let last = own.validity().not_after.to_datetime();
        let content = Content { end: content.end.min(last), ..*content };
        issue::issue(&self.issuer, own.subject().as_raw(), &content)
    }

    /// TLS for the server: its certificate, clients' certificates from this authority, HTTP/2 and HTTP/1.1.
    pub(crate) fn tls(
        &self,
        certificate: Arc<ServerCertificate>,
    ) -> Result<rustls::ServerConfig, PkiError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| PkiError::Stored(error.to_string()))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The server's certificate at present.
pub(crate) struct ServerCertificate {
    present: ArcSwap<CertifiedKey>,
    addresses: Vec<IpAddr>,
}

impl ServerCertificate {
    /// After this long the certificate is made anew.
    pub(crate) const LIFETIME: std::time::Duration =
        std::time::Duration::from_secs(SERVER_DAYS as u64 * 24 * 3600 * 2 / 3);

    pub(crate) fn make(authority: &Authority, addresses: Vec<IpAddr>) -> Result<Self, PkiError> {
        let present = ArcSwap::from_pointee(authority.server(&addresses)?);
        Ok(Self { present, addresses })
    }

    /// Replaces the certificate by one that begins to live now.
    pub(crate) fn renew(&self, authority: &Authority) -> Result<(), PkiError> {
        self.present.store(Arc::new(authority.server(&self.addresses)?));
        Ok(())
    }
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }
}

/// The user and groups that a client's certificate names: its common name and its organisations.
pub(crate) fn client_names(certificate: &CertificateDer<'_>) -> Option<(String, Vec<String>)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned);
    Some((user, groups.collect()))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// How far into the past certificates begin, because clocks differ.
pub(crate) const EARLY: Duration = Duration::hours(1);

fn lives(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - EARLY;
    params.not_after = now + Duration::days(days);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_was_stored_signs_for_clients() {
        let (_, pair) = Authority::make().unwrap();
        let authority = Authority::load(&pair).unwrap();
        assert!(authority.lasts());
        let client = authority.client("jane", &["system:masters", "friends"]).unwrap();
        let der: CertificateDer<'_> =
            rustls::pki_types::pem::PemObject::from_pem_slice(client.certificate.as_bytes())
                .unwrap();
        let groups = vec!["system:masters".into(), "friends".into()];
        assert_eq!(client_names(&der), Some(("jane".into(), groups)));
        let (_, own) = x509_parser::parse_x509_certificate(&authority.der).unwrap();
        let (_, client) = x509_parser::parse_x509_certificate(&der).unwrap();
        client.verify_signature(Some(own.public_key())).unwrap();
    }
}
