//! Rules for TLS that gateways and sidecars terminate.

use std::collections::BTreeSet;

use super::place::Place;
use crate::networking::{ServerTlsMode, ServerTlsSettings, TlsProtocol};

/// The cipher suites of TLS 1.2 and below that Envoy's TLS library has.
const CIPHER_SUITES: [&str; 15] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
];

pub(super) fn check(tls: &ServerTlsSettings, at: &Place<'_>) {
    cipher_suites(tls, at);
    match tls.mode {
        ServerTlsMode::IstioMutual => {
            for (field, _) in certificates(tls).iter().filter(|(_, present)| *present) {
                at.key(field).error(format!(
                    "ISTIO_MUTUAL uses the mesh's certificates and cannot have a {field}"
                ));
            }
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            let ignored = certificates(tls).iter().any(|(_, present)| *present);
            if ignored || !tls.ca_crl.is_empty() {
                at.warning(format!("{} terminates no TLS: certificates are not used", tls.mode));
            }
            one_source(tls, at);
            if !tls.ca_crl.is_empty() && !tls.credential_name.is_empty() {
                at.key("caCrl").error(
                    "a CRL cannot be set beside a credentialName: it is part of the credential",
                );
            }
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            one_source(tls, at);
            // A credential brings whatever is needed.
            if tls.credential_name.is_empty() && tls.credential_names.is_empty() {
                files(tls, at);
            }
        }
    }
}

/// The fields that name certificates, and whether they are set.
const fn certificates(tls: &ServerTlsSettings) -> [(&'static str, bool); 6] {
    [
        ("serverCertificate", !tls.server_certificate.is_empty()),
        ("privateKey", !tls.private_key.is_empty()),
        ("caCertificates", !tls.ca_certificates.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
        ("credentialName", !tls.credential_name.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
    ]
}

fn one_source(tls: &ServerTlsSettings, at: &Place<'_>) {
    let sources = [
        !tls.server_certificate.is_empty() && !tls.private_key.is_empty(),
        !tls.credential_name.is_empty(),
        !tls.credential_names.is_empty(),
        !tls.tls_certificates.is_empty(),
    ];
    if sources.iter().filter(|source| **source).count() > 1 {
        at.error("only one of credentialName, credentialNames, tlsCertificates and serverCertificate with privateKey can be set");
    }
}

fn files(tls: &ServerTlsSettings, at: &Place<'_>) {
    let mode = if tls.mode == ServerTlsMode::Simple { "SIMPLE" } else { "MUTUAL" };
    if tls.mode != ServerTlsMode::Simple && tls.ca_certificates.is_empty() {
        at.key("caCertificates").error(format!("{mode} TLS requires a client CA bundle"));
    }
    let pair = |certificate: &str, key: &str, at: &Place<'_>| {
        if certificate.is_empty() {
            at.key("serverCertificate").error(format!("{mode} TLS requires a server certificate"));
        }
        if key.is_empty() {
            at.key("privateKey").error(format!("{mode} TLS requires a private key"));
        }
    };
    if tls.tls_certificates.is_empty() {
        pair(&tls.server_certificate, &tls.private_key, at);
    }
    if tls.tls_certificates.len() > 2 {
        at.key("tlsCertificates").warning("more than two server certificates are not used");
    }
    at.key("tlsCertificates").each(&tls.tls_certificates, |certificate, at| {
        pair(&certificate.server_certificate, &certificate.private_key, at);
    });
    if !tls.ca_crl.is_empty() && tls.mode == ServerTlsMode::Simple {
        at.key("caCrl").error("SIMPLE TLS checks no client certificates and cannot have a CRL");
    }
}

fn cipher_suites(tls: &ServerTlsSettings, at: &Place<'_>) {
    let old = matches!(tls.min_protocol_version, TlsProtocol::V1_0 | TlsProtocol::V1_1);
    if old && tls.cipher_suites.is_empty() {
        at.key("minProtocolVersion").warning(
            "the default cipher suites are for TLS 1.2 and above: older versions need cipherSuites",
        );
    }
    let mut seen = BTreeSet::new();
    at.key("cipherSuites").each(&tls.cipher_suites, |suite, at| {
        // Operators of cipher lists (`-ALL`, `+X`) are left to the TLS library.
        let known = suite.is_empty()
            || suite == "ALL"
            || !suite.starts_with(char::is_alphanumeric)
            || CIPHER_SUITES.contains(&suite.as_str());
        if !known {
            at.warning(format!("the cipher suite {suite} is not known and not used"));
        } else if !seen.insert(suite) {
            at.warning(format!("the cipher suite {suite} is a duplicate"));
        }
    });
}
