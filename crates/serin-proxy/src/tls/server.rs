//! Terminating TLS.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureAlgorithm, SupportedProtocolVersion};
use serin_routing::model::{Codec, DownstreamTls, MutualMode, TlsVersion};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::certificates::{Authorities, Certificates, Identity};
use super::cipher::suites;
use super::peer::TlsFacts;
use super::verify::{Checks, ClientVerifier};
use super::{TlsError, provider};
use crate::io::{Stream, TlsStream};

/// How a filter chain terminates TLS.
pub(crate) struct ServerTls {
    made_of: MadeOf,
    config: Arc<ServerConfig>,
    /// For clients with which there is no application protocol in common: they get none rather than an error, as from Envoy.
    without_alpn: Arc<ServerConfig>,
}

/// What a chain's TLS depends on.
struct MadeOf {
    wanted: DownstreamTls,
    identities: Vec<Arc<Identity>>,
    authorities: Option<Arc<Authorities>>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("wanted", &self.made_of.wanted).finish_non_exhaustive()
    }
}

/// Why there is no TLS with a client.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake failed: {0}")]
pub(crate) struct AcceptError(#[from] std::io::Error);

/// TLS for a chain, and what is wrong with what was asked for nevertheless.
pub(crate) type Made = (Result<Arc<ServerTls>, TlsError>, Vec<TlsError>);

impl ServerTls {
    /// TLS as the model wants it; the same one of those before if there is one, made of the same certificates.
    pub(crate) fn make<'b>(
        wanted: &DownstreamTls,
        codec: Option<Codec>,
        certificates: &mut Certificates,
        before: impl IntoIterator<Item = &'b Arc<Self>>,
    ) -> Made {
        let mut wanted = wanted.clone();
        wanted.alpn.retain(|protocol| is_spoken(codec, protocol));
        let mut problems = Vec::new();
        let made_of = match MadeOf::gather(wanted, certificates, &mut problems) {
            Ok(made_of) => made_of,
            Err(error) => return (Err(error), problems),
        };
        problems.extend(unsupported(&made_of.wanted));
        let made = match before.into_iter().find(|before| before.made_of.is_same(&made_of)) {
            Some(before) => Ok(Arc::clone(before)),
            None => Self::new(made_of).map(Arc::new),
        };
        (made, problems)
    }

    fn new(made_of: MadeOf) -> Result<Self, TlsError> {
        let wanted = &made_of.wanted;
        let suites = suites(wanted.cipher_suites.iter().map(|it| &**it));
        let versions = versions(wanted, suites.none_of_tls12)?;
        let provider =
            CryptoProvider { cipher_suites: suites.offered, ..CryptoProvider::clone(provider()) };
        let builder = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .map_err(settings)?;
        let builder = match wanted.client {
            MutualMode::None => builder.with_no_client_auth(),
            mode => {
                let checks = Checks {
                    authorities: made_of.authorities.clone(),
                    names: wanted.subject_alt_names.clone(),
                    pins: pins(wanted)?,
                };
                let verifier = ClientVerifier::new(checks, mode == MutualMode::Required)?;
                builder.with_client_cert_verifier(Arc::new(verifier))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(made_of.identities.clone())));
        // The server's order decides, as BoringSSL has it. Tickets are good only for what they were issued by: a key of
        // their own keeps a session without a client's certificate from being resumed where one is required.
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(settings)?;
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols = wanted.alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Ok(Self { made_of, config: Arc::new(config), without_alpn })
    }

    fn local_uris(&self) -> Vec<Box<str>> {
        self.made_of.identities.first().map_or_else(Vec::new, |it| it.uris.clone())
    }

    /// Handshakes with a client.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(Stream, TlsFacts), AcceptError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let is_common = {
            let offered = &self.config.alpn_protocols;
            let hello = start.client_hello();
            hello.alpn().is_none_or(|mut alpn| alpn.any(|it| offered.iter().any(|own| own == it)))
        };
        let config = if is_common { &self.config } else { &self.without_alpn };
        let stream = start.into_stream(Arc::clone(config)).await?;
        let connection = stream.get_ref().1;
        let facts = TlsFacts::of(connection, connection.server_name(), self.local_uris());
        Ok((Stream::Tls(Box::new(TlsStream::from(stream))), facts))
    }
}

impl MadeOf {
    fn gather(
        wanted: DownstreamTls,
        certificates: &mut Certificates,
        problems: &mut Vec<TlsError>,
    ) -> Result<Self, TlsError> {
        let mut identities = Vec::new();
        for source in &wanted.certificates {
            let (found, problem) = certificates.identity(source);
            identities.extend(found);
            problems.extend(problem);
        }
        if identities.is_empty() {
            let none = || TlsError::Settings("no certificate is named".to_owned());
            return Err(problems.pop().unwrap_or_else(none));
        }
        let authorities = match &wanted.client_ca {
            Some(source) => {
                let (found, problem) = certificates.authorities(source);
                match (found, problem) {
                    (Some(found), problem) => {
                        problems.extend(problem);
                        Some(found)
                    }
                    (None, problem) => {
                        let none = || TlsError::Settings("there are no authorities".to_owned());
                        return Err(problem.unwrap_or_else(none));
                    }
                }
            }
            None => None,
        };
        Ok(Self { wanted, identities, authorities })
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_authorities = match (&self.authorities, &other.authorities) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_authorities
            && self.identities.len() == other.identities.len()
            && self
                .identities
                .iter()
                .zip(&other.identities)
                .all(|(it, other)| Arc::ptr_eq(it, other))
            && self.wanted == other.wanted
    }
}

/// Whether a codec speaks a protocol. Bytes of unknown protocols speak all of them.
fn is_spoken(codec: Option<Codec>, protocol: &str) -> bool {
    match codec {
        Some(Codec::Http1) => protocol != "h2",
        Some(Codec::Http2) => !protocol.starts_with("http/1"),
        Some(Codec::Auto) | None => true,
    }
}

/// The versions between the lowest and the highest. Older ones than 1.2 are not spoken; a range that begins below it begins at it.
fn versions(
    wanted: &DownstreamTls,
    only_tls13: bool,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let lowest = wanted.min_version.unwrap_or(TlsVersion::V1_2);
    let highest = wanted.max_version.unwrap_or(TlsVersion::V1_3);
    let in_range = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)]
        .into_iter()
        .filter(|(version, _)| (lowest..=highest).contains(version));
    let mut versions: Vec<_> = in_range.map(|(_, version)| version).collect();
    if only_tls13 && versions.contains(&&TLS12) {
        if lowest == highest || !versions.contains(&&TLS13) {
            let reason = "none of the cipher suites is supported";
            return Err(TlsError::Settings(reason.to_owned()));
        }
        versions.retain(|version| *version != &TLS12);
    }
    if versions.is_empty() {
        let reason = "no version of TLS is left: 1.2 and 1.3 are supported";
        return Err(TlsError::Settings(reason.to_owned()));
    }
    Ok(versions)
}

/// What was asked for and is left out, so that what is offered is stronger than what was asked for.
fn unsupported(wanted: &DownstreamTls) -> Vec<TlsError> {
    let suites = suites(wanted.cipher_suites.iter().map(|it| &**it));
    let mut problems: Vec<_> = suites
        .unsupported
        .iter()
        .map(|name| {
            TlsError::Settings(format!(
                "the cipher suite {name} is not supported; it is not offered"
            ))
        })
        .collect();
    if wanted.min_version.is_some_and(|version| version < TlsVersion::V1_2) {
        let reason = "versions of TLS before 1.2 are not supported; they are not offered";
        problems.push(TlsError::Settings(reason.to_owned()));
    }
    problems
}

fn pins(wanted: &DownstreamTls) -> Result<Vec<[u8; 32]>, TlsError> {
    let invalid = |pin: &str, kind: &str| {
        TlsError::Settings(format!("{pin:?} is not {kind} of a SHA-256 hash"))
    };
    let of_keys = wanted.verify_spki.iter().map(|pin| {
        let decoded = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, pin.as_bytes());
        let hash = decoded.ok().and_then(|it| <[u8; 32]>::try_from(it).ok());
        hash.ok_or_else(|| invalid(pin, "the base64 form"))
    });
    let of_certificates = wanted.verify_hash.iter().map(|pin| {
        let digits: Vec<u8> = pin
            .chars()
            .filter(|&it| it != ':')
            .filter_map(|it| u8::try_from(it.to_digit(16)?).ok())
            .collect();
        let is_whole = digits.len() == 64 && pin.chars().filter(|&it| it != ':').count() == 64;
        let bytes =
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
        let hash =
            is_whole.then(|| <[u8; 32]>::try_from(bytes.collect::<Vec<u8>>()).ok()).flatten();
        hash.ok_or_else(|| invalid(pin, "the hexadecimal form"))
    });
    of_keys.chain(of_certificates).collect()
}

fn settings(error: rustls::Error) -> TlsError {
    TlsError::Settings(error.to_string())
}

/// The certificate for a server name: one that names it, before one whose wildcard covers it, before the first; of those
/// alike the first whose key the client can check, ECDSA before RSA.
#[derive(Debug)]
struct ByName(Vec<Arc<Identity>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let rank = |identity: &Identity| {
            let is_exact = identity.names.iter().any(|it| **it == *name);
            let covers = |it: &str| it.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent);
            let is_covered = identity.names.iter().any(|it| covers(it));
            let is_ecdsa = identity.key.key.algorithm() == SignatureAlgorithm::ECDSA;
            (is_exact, is_covered, is_ecdsa)
        };
        let usable = || self.0.iter().filter(|it| it.key.key.choose_scheme(schemes).is_some());
        // Of equals the last is taken by `max_by_key`: from the end, that is the first.
        let named = usable().rev().max_by_key(|it| rank(it)).filter(|it| {
            let (is_exact, is_covered, _) = rank(it);
            is_exact || is_covered
        });
        // With none that it can check the handshake fails by what the two have in common, and says so.
        let chosen = named.or_else(|| usable().next()).or_else(|| self.0.first())?;
        Some(Arc::clone(&chosen.key))
    }
}
