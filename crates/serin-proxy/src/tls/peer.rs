//! What a connection's TLS tells about the other side, for routing, headers and logs.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion};
use serin_routing::format::Property;
use serin_routing::model::TlsVersion;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::cipher;

/// The facts of a connection that was handshaken.
#[derive(Debug, Default)]
pub(crate) struct TlsFacts {
    /// The server name that the client asked for, lower-case; empty if it asked for none.
    pub(crate) server_name: Box<str>,
    /// The application protocol that was agreed on; empty if none was.
    alpn: Box<[u8]>,
    /// The version.
    pub(crate) version: Option<TlsVersion>,
    /// OpenSSL's name of the cipher suite.
    pub(crate) cipher: &'static str,
    /// Subject alternative names of this side's certificate that are URIs.
    pub(crate) local_uris: Vec<Box<str>>,
    /// The client's certificate, which was checked.
    pub(crate) peer: Option<PeerCertificate>,
}

/// A peer's certificate.
#[derive(Debug)]
pub(crate) struct PeerCertificate {
    /// Its subject (RFC 2253).
    pub(crate) subject: Box<str>,
    /// Its issuer (RFC 2253).
    pub(crate) issuer: Box<str>,
    /// Its serial number, in hexadecimal digits.
    pub(crate) serial: Box<str>,
    /// Its SHA-256 hash, in hexadecimal digits.
    pub(crate) fingerprint: Box<str>,
    /// Its subject alternative names that are URIs.
    pub(crate) uris: Vec<Box<str>>,
    /// Its subject alternative names that are DNS names.
    pub(crate) dns_names: Vec<Box<str>>,
    /// The certificate itself, as PEM in the encoding of URLs.
    pub(crate) pem: Box<str>,
}

impl TlsFacts {
    pub(super) fn of(
        connection: &CommonState,
        server_name: Option<&str>,
        local_uris: Vec<Box<str>>,
    ) -> Self {
        let suite = connection.negotiated_cipher_suite();
        Self {
            server_name: server_name.unwrap_or_default().to_ascii_lowercase().into(),
            alpn: connection.alpn_protocol().unwrap_or_default().into(),
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => Some(TlsVersion::V1_2),
                Some(ProtocolVersion::TLSv1_3) => Some(TlsVersion::V1_3),
                _ => None,
            },
            cipher: suite.map_or("-", |suite| cipher::name(suite.suite())),
            local_uris,
            peer: connection
                .peer_certificates()
                .and_then(<[_]>::first)
                .and_then(PeerCertificate::read),
        }
    }

    /// Appends a property of the connection for logs and headers; false if it is none of TLS, or does not apply.
    pub(crate) fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        let peer = self.peer.as_ref();
        let text = match property {
            Property::RequestedServerName => Some(&*self.server_name),
            Property::DownstreamTlsCipher => Some(self.cipher),
            Property::DownstreamTlsVersion => Some(self.version_name()),
            Property::DownstreamLocalUriSan => self.local_uris.first().map(|it| &**it),
            Property::DownstreamPeerFingerprint => peer.map(|it| &*it.fingerprint),
            Property::DownstreamPeerIssuer => peer.map(|it| &*it.issuer),
            Property::DownstreamPeerSerial => peer.map(|it| &*it.serial),
            Property::DownstreamPeerSubject => peer.map(|it| &*it.subject),
            Property::DownstreamPeerUriSan => peer.and_then(|it| Some(&**it.uris.first()?)),
            _ => None,
        };
        let text = text.filter(|text| !text.is_empty());
        out.extend_from_slice(text.unwrap_or_default().as_bytes());
        text.is_some()
    }

    /// Whether HTTP/2 was agreed on.
    pub(crate) fn is_http2(&self) -> bool {
        *self.alpn == *b"h2"
    }

    /// The version as Envoy's logs have it.
    const fn version_name(&self) -> &'static str {
        match self.version {
            Some(TlsVersion::V1_0) => "TLSv1",
            Some(TlsVersion::V1_1) => "TLSv1.1",
            Some(TlsVersion::V1_2) => "TLSv1.2",
            Some(TlsVersion::V1_3) => "TLSv1.3",
            None => "-",
        }
    }
}

impl PeerCertificate {
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let (uris, dns_names) = names(&certificate);
        Some(Self {
            subject: distinguished(certificate.subject()),
            issuer: distinguished(certificate.issuer()),
            serial: hex(certificate.raw_serial()).into(),
            fingerprint: hex(&sha256(der)).into(),
            uris,
            dns_names,
            pem: url_encoded_pem(der).into(),
        })
    }
}

/// Subject alternative names: URIs and DNS names.
pub(super) fn names(certificate: &X509Certificate<'_>) -> (Vec<Box<str>>, Vec<Box<str>>) {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    for name in alternative.iter().flat_map(|it| &it.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push(Box::from(*uri)),
            GeneralName::DNSName(name) => dns_names.push(Box::from(*name)),
            _ => {}
        }
    }
    (uris, dns_names)
}

/// A name as RFC 2253 writes it: the most specific part first.
fn distinguished(name: &x509_parser::x509::X509Name<'_>) -> Box<str> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_attributes().collect();
    for part in parts.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        let registry = x509_parser::objects::oid_registry();
        match x509_parser::objects::oid2abbrev(part.attr_type(), registry) {
            Ok(short) => text.push_str(short),
            Err(_) => text.push_str(&part.attr_type().to_id_string()),
        }
        text.push('=');
        for (place, letter) in part.as_str().unwrap_or_default().char_indices() {
            if matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
                || place == 0 && letter == '#'
            {
                text.push('\\');
            }
            text.push(letter);
        }
    }
    text.into()
}

/// A certificate as PEM, with what URLs cannot hold as numbers.
fn url_encoded_pem(der: &[u8]) -> String {
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
    let mut text = "-----BEGIN%20CERTIFICATE-----%0A".to_owned();
    for (place, letter) in base64.char_indices() {
        if place > 0 && place % 64 == 0 {
            text.push_str("%0A");
        }
        match letter {
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            letter => text.push(letter),
        }
    }
    text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    text
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}
