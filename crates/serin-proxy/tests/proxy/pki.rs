//! Authorities that issue certificates, and clients and servers that speak TLS with them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use serin_proxy::Pem;
use serin_routing::model::CertificateSource;

use crate::support::{connect, upstream};

/// Issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A key that certificates are issued for.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Ecdsa,
    Rsa,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for DNS names, addresses and URIs.
    pub(crate) fn issue(&self, names: &[&str]) -> Pem {
        self.issue_for(Key::Ecdsa, names)
    }

    pub(crate) fn issue_for(&self, key: Key, names: &[&str]) -> Pem {
        let key = match key {
            Key::Ecdsa => KeyPair::generate(),
            Key::Rsa => KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256),
        };
        let key = key.unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pem {
            certificate: certificate.pem().into_bytes(),
            private_key: key.serialize_pem().into_bytes(),
            authorities: self.pem.clone().into_bytes(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

fn alternative(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(name.try_into().unwrap())
    } else {
        SanType::DnsName(name.try_into().unwrap())
    }
}

/// The Secret of a name.
pub(crate) fn secret(name: &str) -> CertificateSource {
    CertificateSource::Secret { namespace: "default".into(), name: name.into() }
}

/// A chain and its key as the library takes them.
fn parts(pem: &Pem) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(&pem.certificate).collect::<Result<_, _>>();
    (chain.unwrap(), PrivateKeyDer::from_pem_slice(&pem.private_key).unwrap())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What a client is like.
#[derive(Clone)]
pub(crate) struct Client {
    config: ClientConfig,
    pub(crate) server_name: String,
}

impl Client {
    /// A client that trusts an authority and asks for a server name.
    pub(crate) fn new(authority: &Authority, server_name: &str) -> Self {
        Self::build(authority, server_name, None, rustls::ALL_VERSIONS)
    }

    /// The same, with a certificate of its own.
    pub(crate) fn with_certificate(authority: &Authority, server_name: &str, own: &Pem) -> Self {
        Self::build(authority, server_name, Some(own), rustls::ALL_VERSIONS)
    }

    /// The same, speaking certain versions.
    pub(crate) fn build(
        authority: &Authority,
        server_name: &str,
        own: Option<&Pem>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority.roots());
        let config = match own.map(parts) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        Self { config, server_name: server_name.to_owned() }
    }

    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        self
    }

    /// With cipher suites whose names have a part; any certificate is taken.
    pub(crate) fn suite(mut self, name: &str) -> Self {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|it| format!("{:?}", it.suite()).contains(name));
        self.config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        self
    }

    /// Handshakes.
    pub(crate) fn open(&self, address: SocketAddr) -> io::Result<Stream> {
        self.over(connect(address))
    }

    pub(crate) fn over(&self, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(self.server_name.clone()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Sends bytes and reads until the connection ends. In TLS 1.3 a refusal of the client's certificate comes only then.
    pub(crate) fn talk(&self, address: SocketAddr, bytes: &str) -> io::Result<String> {
        let mut stream = self.open(address)?;
        stream.write_all(bytes.as_bytes())?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Takes any server's certificate: what is asked is which one it shows.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The first name that the peer's certificate is for.
pub(crate) fn shown(stream: &Stream) -> String {
    let der = &stream.conn.peer_certificates().unwrap()[0];
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let name = certificate.subject().iter_common_name().next().unwrap();
    name.as_str().unwrap().to_owned()
}

/// An upstream that speaks TLS and answers HTTP with the server name and the first name of the client's certificate.
pub(crate) fn secure_upstream(own: &Pem, clients: Option<&Authority>) -> SocketAddr {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = parts(own);
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    upstream(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
            if !seen.ends_with(b"\r\n\r\n") {
                continue;
            }
            seen.clear();
            let name = stream.conn.server_name().unwrap_or("-").to_owned();
            let client = stream.conn.peer_certificates().map(|chain| {
                let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
                leaf.subject().to_string()
            });
            let body = format!("name {name} client {}", client.unwrap_or_default());
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}
