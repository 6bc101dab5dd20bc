//! Certificates with their keys, and authorities: read, checked, kept until there is something better.
//!
//! Relies on whoever watches Kubernetes objects to hand in what Secrets and ConfigMaps say; files it reads itself, again at
//! every publication and refresh, by content: whatever way they are replaced in, nothing is missed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serin_routing::model::CertificateSource;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsError, peer, provider};

/// Where distributions keep the authorities that the system trusts.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What ends the name of a Secret that holds the authorities for the one without it (Istio's convention).
const AUTHORITIES_SUFFIX: &str = "-cacert";

/// A certificate chain with its private key, authorities, or all of it, as PEM text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, then what leads from it to an authority.
    pub certificate: Vec<u8>,
    /// The certificate's private key (PKCS #8, PKCS #1 or SEC 1).
    pub private_key: Vec<u8>,
    /// Certificates of authorities.
    pub authorities: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

/// The certificates a proxy may use.
#[derive(Default)]
pub struct Certificates {
    given: HashMap<CertificateSource, Pem>,
    identities: HashMap<CertificateSource, Kept<Identity>>,
    authorities: HashMap<CertificateSource, Kept<Authorities>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("given", &self.given.keys()).finish_non_exhaustive()
    }
}

/// The last good reading of a source, and what was read last.
struct Kept<T> {
    read: Result<Pem, TlsError>,
    good: Option<Arc<T>>,
    problem: Option<TlsError>,
}

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names, lower-case; the subject's common name if the certificate has none.
    pub(super) names: Vec<Box<str>>,
    /// Subject alternative names that are URIs.
    pub(super) uris: Vec<Box<str>>,
}

/// Whom certificates must come from.
#[derive(Debug)]
pub(super) struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// What there is of a source: the last good, and what is wrong with what is there now.
pub(super) type Found<T> = (Option<Arc<T>>, Option<TlsError>);

impl Certificates {
    /// Says what a Secret, a ConfigMap or the workload's own identity holds; `None` if it is gone. In force from the next
    /// publication or refresh on.
    pub fn set(&mut self, source: CertificateSource, pem: Option<Pem>) {
        match pem {
            Some(pem) => self.given.insert(source, pem),
            None => self.given.remove(&source),
        };
    }

    /// Says what all Secrets and ConfigMaps hold, in place of what was said of them before.
    pub fn set_objects(&mut self, objects: impl IntoIterator<Item = (CertificateSource, Pem)>) {
        self.given.retain(|source, _| matches!(source, CertificateSource::Workload));
        self.given.extend(objects);
    }

    /// Whether a source that is in use holds something else than when it was read last.
    pub(crate) fn have_changed(&self) -> bool {
        let identities =
            self.identities.iter().any(|(source, kept)| kept.read != self.read(source));
        let read = |source| self.read_authorities(source);
        identities || self.authorities.iter().any(|(source, kept)| kept.read != read(source))
    }

    /// The certificate and key of a source.
    pub(super) fn identity(&mut self, source: &CertificateSource) -> Found<Identity> {
        let read = self.read(source);
        keep(&mut self.identities, source, read, |pem| Identity::parse(source, pem))
    }

    /// The authorities of a source.
    pub(super) fn authorities(&mut self, source: &CertificateSource) -> Found<Authorities> {
        let read = self.read_authorities(source);
        keep(&mut self.authorities, source, read, |pem| Authorities::parse(source, pem))
    }

    fn read_authorities(&self, source: &CertificateSource) -> Result<Pem, TlsError> {
        let companion = companion(source).filter(|it| self.given.contains_key(it));
        match (source, &companion) {
            (CertificateSource::Files { certificate, .. }, _) => {
                read_file(certificate).map(|authorities| Pem { authorities, ..Pem::default() })
            }
            (CertificateSource::System, _) => read_system(),
            (_, Some(companion)) => self.read(companion),
            (_, None) => self.read(source),
        }
    }

    fn read(&self, source: &CertificateSource) -> Result<Pem, TlsError> {
        match source {
            CertificateSource::Files { certificate, private_key } => Ok(Pem {
                certificate: read_file(certificate)?,
                private_key: read_file(private_key)?,
                authorities: Vec::new(),
            }),
            _ => self.given.get(source).cloned().ok_or_else(|| TlsError::Missing(describe(source))),
        }
    }
}

/// Takes what was read if it is new and good.
fn keep<T>(
    all: &mut HashMap<CertificateSource, Kept<T>>,
    source: &CertificateSource,
    read: Result<Pem, TlsError>,
    parse: impl FnOnce(&Pem) -> Result<Parsed<T>, TlsError>,
) -> Found<T> {
    let kept = all.entry(source.clone()).or_insert_with(|| Kept {
        read: Err(TlsError::Missing(String::new())),
        good: None,
        problem: None,
    });
    if kept.read != read {
        let parsed = read.as_ref().map_err(TlsError::clone).and_then(parse);
        kept.read = read;
        match parsed {
            // What is outdated takes the place of nothing but what is not there.
            Ok(Parsed { value, problem }) => {
                if problem.is_none() || kept.good.is_none() {
                    kept.good = Some(Arc::new(value));
                }
                kept.problem = problem;
            }
            Err(error) => kept.problem = Some(error),
        }
    }
    (kept.good.clone(), kept.problem.clone())
}

/// Something to use, and what is wrong with it nevertheless.
struct Parsed<T> {
    value: T,
    problem: Option<TlsError>,
}

impl Identity {
    fn parse(source: &CertificateSource, pem: &Pem) -> Result<Parsed<Self>, TlsError> {
        let invalid = |reason: &str| TlsError::Invalid {
            origin: describe(source),
            reason: reason.to_owned(),
        };
        let chain = certificates(&pem.certificate)
            .ok_or_else(|| invalid("the certificate is not in PEM"))?;
        let leaf = chain.first().ok_or_else(|| invalid("there is no certificate"))?.clone();
        let (_, leaf) = X509Certificate::from_der(&leaf)
            .map_err(|_| invalid("the certificate cannot be read"))?;
        let key = PrivateKeyDer::from_pem_slice(&pem.private_key)
            .map_err(|_| invalid("there is no private key in PEM"))?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| invalid("the private key is of a kind that is not supported"))?;
        if key.public_key().is_some_and(|public| public.as_ref() != leaf.public_key().raw) {
            return Err(invalid("the private key is not the certificate's"));
        }
        let problem =
            is_outdated(&leaf).then(|| invalid("the certificate is not valid at this time"));
        let (uris, dns_names) = peer::names(&leaf);
        let names = served_names(&leaf, &dns_names);
        let key = Arc::new(CertifiedKey::new(chain, key));
        Ok(Parsed { value: Self { key, names, uris }, problem })
    }
}

impl Authorities {
    fn parse(source: &CertificateSource, pem: &Pem) -> Result<Parsed<Self>, TlsError> {
        let invalid = |reason: &str| TlsError::Invalid {
            origin: describe(source),
            reason: reason.to_owned(),
        };
        let certificates = certificates(&pem.authorities)
            .ok_or_else(|| invalid("the authorities' certificates are not in PEM"))?;
        if certificates.is_empty() {
            return Err(invalid("there is no authority's certificate"));
        }
        let mut roots = RootCertStore::empty();
        // Bundles of systems hold certificates that no library reads; those are passed over.
        let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(invalid("no authority's certificate can be read"));
        }
        Ok(Parsed { value: Self { roots: Arc::new(roots), certificates }, problem: None })
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

fn is_outdated(certificate: &X509Certificate<'_>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    now < validity.not_before.timestamp() || now > validity.not_after.timestamp()
}

/// DNS names, lower-case; the subject's common name if there are none.
fn served_names(certificate: &X509Certificate<'_>, dns_names: &[Box<str>]) -> Vec<Box<str>> {
    let common = certificate.subject().iter_common_name().filter_map(|it| it.as_str().ok());
    let common = common.filter(|_| dns_names.is_empty());
    let names = dns_names.iter().map(|name| &**name).chain(common);
    names.map(|name| name.to_ascii_lowercase().into_boxed_str()).collect()
}

/// The Secret beside one that may hold its authorities.
fn companion(source: &CertificateSource) -> Option<CertificateSource> {
    let CertificateSource::Secret { namespace, name } = source else { return None };
    if name.ends_with(AUTHORITIES_SUFFIX) {
        return None;
    }
    let name = Arc::from(format!("{name}{AUTHORITIES_SUFFIX}"));
    Some(CertificateSource::Secret { namespace: Arc::clone(namespace), name })
}

fn read_file(file: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file)
        .map_err(|error| TlsError::Unreadable { file: file.to_owned(), error: error.to_string() })
}

fn read_system() -> Result<Pem, TlsError> {
    let bundle = SYSTEM_AUTHORITIES.iter().find_map(|file| std::fs::read(file).ok());
    let authorities = bundle
        .ok_or_else(|| TlsError::Missing("a bundle of the system's authorities".to_owned()))?;
    Ok(Pem { authorities, ..Pem::default() })
}

/// What to call a source to people.
fn describe(source: &CertificateSource) -> String {
    match source {
        CertificateSource::Secret { namespace, name } => format!("Secret {namespace}/{name}"),
        CertificateSource::ConfigMap { namespace, name } => format!("ConfigMap {namespace}/{name}"),
        CertificateSource::Files { certificate, private_key } if private_key.is_empty() => {
            format!("file {certificate}")
        }
        CertificateSource::Files { certificate, private_key } => {
            format!("files {certificate} and {private_key}")
        }
        CertificateSource::Workload => "the workload's certificate".to_owned(),
        CertificateSource::System => "the system's authorities".to_owned(),
    }
}

#[cfg(test)]
mod tests;
