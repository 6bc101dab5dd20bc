//! Originating TLS towards the endpoints of a cluster.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serin_routing::model::Tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificates::{Authorities, Certificates, Identity};
use super::verify::{Checks, ServerVerifier};
use super::{TlsError, provider};
use crate::io::{Stream, TlsStream};

/// Sessions kept for resumption, by server name.
const SESSIONS: usize = 64;

/// How TLS towards a cluster is made.
pub(crate) struct ClientTls {
    made_of: MadeOf,
    config: Arc<ClientConfig>,
}

/// What a cluster's TLS depends on.
struct MadeOf {
    wanted: Tls,
    identity: Option<Arc<Identity>>,
    authorities: Option<Arc<Authorities>>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("wanted", &self.made_of.wanted).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// TLS as the model wants it; the one before if that has not changed, and neither have certificates.
    pub(crate) fn make(
        wanted: &Tls,
        certificates: &mut Certificates,
        before: Option<&Arc<Self>>,
        problems: &mut Vec<TlsError>,
    ) -> Result<Arc<Self>, TlsError> {
        let made_of = MadeOf::gather(wanted, certificates, problems)?;
        match before.filter(|before| before.made_of.is_same(&made_of)) {
            Some(before) => Ok(Arc::clone(before)),
            None => Self::new(made_of).map(Arc::new),
        }
    }

    fn new(made_of: MadeOf) -> Result<Self, TlsError> {
        let wanted = &made_of.wanted;
        let checks = Checks {
            authorities: made_of.authorities.clone(),
            names: wanted.subject_alt_names.clone(),
            pins: Vec::new(),
        };
        let verifier = ServerVerifier { checks, by_server_name: wanted.auto_server_name };
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Settings(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &made_of.identity {
            Some(identity) => builder.with_client_cert_resolver(own(&identity.key)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        config.alpn_protocols = wanted.alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Ok(Self { made_of, config: Arc::new(config) })
    }

    /// The server name to ask for: the cluster's own, else the request's host where the cluster says so.
    pub(crate) fn server_name(&self, host: &str) -> Arc<str> {
        let wanted = &self.made_of.wanted;
        if wanted.server_name.is_empty() && wanted.auto_server_name {
            Arc::from(without_port(host))
        } else {
            Arc::clone(&wanted.server_name)
        }
    }

    /// Handshakes with an endpoint. An empty server name asks for none.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        server_name: &str,
    ) -> std::io::Result<Stream> {
        // Addresses are names that are not sent.
        let address = || stream.peer_addr().map(|it| ServerName::from(it.ip()));
        let name = match server_name.parse::<IpAddr>() {
            Ok(ip) => ServerName::from(ip),
            Err(_) if server_name.is_empty() => address()?,
            Err(_) => ServerName::try_from(server_name.to_owned()).map_err(|_| {
                std::io::Error::other(format!("{server_name:?} is not a server name"))
            })?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(TlsStream::from(stream))))
    }
}

impl MadeOf {
    fn gather(
        wanted: &Tls,
        certificates: &mut Certificates,
        problems: &mut Vec<TlsError>,
    ) -> Result<Self, TlsError> {
        let identity = match &wanted.certificate {
            Some(source) => Some(present(certificates.identity(source), problems)?),
            None => None,
        };
        let authorities = match &wanted.ca {
            Some(source) if !wanted.insecure => {
                Some(present(certificates.authorities(source), problems)?)
            }
            _ => None,
        };
        Ok(Self { wanted: wanted.clone(), identity, authorities })
    }

    fn is_same(&self, other: &Self) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
        }
        same(self.identity.as_ref(), other.identity.as_ref())
            && same(self.authorities.as_ref(), other.authorities.as_ref())
            && self.wanted == other.wanted
    }
}

fn present<T>(
    (found, problem): super::certificates::Found<T>,
    problems: &mut Vec<TlsError>,
) -> Result<Arc<T>, TlsError> {
    match (found, problem) {
        (Some(found), problem) => {
            problems.extend(problem);
            Ok(found)
        }
        (None, Some(problem)) => Err(problem),
        (None, None) => Err(TlsError::Settings("there is no certificate".to_owned())),
    }
}

fn own(key: &Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(CertifiedKey::clone(key)))
}

/// A host without its port, and an IPv6 address without its brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}
