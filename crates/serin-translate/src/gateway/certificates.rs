//! How servers terminate TLS (Istio's `BuildListenerTLSContext`).

use std::sync::Arc;

use serin_api::Finding;
use serin_api::core::Secret;
use serin_api::networking::{ServerTlsMode, ServerTlsSettings, TlsProtocol};
use serin_api::{Object, Resource};
use serin_routing::model::{CertificateSource, DownstreamTls, MutualMode, TlsVersion};

use super::server::{Reading, Server};
use crate::cluster::{AUTHORITIES_SUFFIX, credential};
use crate::codes::CREDENTIAL_NOT_PERMITTED;
use crate::gateway_api::{Grants, ListenerOrigin};
use crate::mesh::{mesh_tls, texts};
use crate::proxy::Proxy;
use crate::snapshot::Snapshot;

/// What begins the name of a Secret that a Gateway of the Gateway API refers to.
const BY_GATEWAY: &str = "kubernetes-gateway://";
/// What stands for the workload's own identity.
const BUILT_IN: &str = "builtin://";

/// Finds the certificates of servers.
pub(super) struct Certificates<'a> {
    snapshot: &'a Snapshot,
    proxy: &'a Proxy,
    grants: Grants<'a>,
}

impl<'a> Certificates<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, proxy: &'a Proxy) -> Self {
        let grants = Grants::new(&snapshot.objects().reference_grants);
        Self { snapshot, proxy, grants }
    }

    /// How a server terminates TLS; none if it does not.
    pub(super) fn of(
        &self,
        server: &Server<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<DownstreamTls> {
        if !matches!(server.reading, Reading::Https | Reading::TerminatedBytes) {
            return None;
        }
        let written = server.written.tls.as_ref()?;
        if written.mode == ServerTlsMode::IstioMutual {
            let own = mesh_tls(server.reading == Reading::Https);
            let subject_alt_names = texts(written.subject_alt_names.iter().map(String::as_str));
            return Some(DownstreamTls { subject_alt_names, ..own });
        }
        let credentials = credential_names(written);
        let certificates = if credentials.is_empty() {
            files(written)
        } else {
            let permitted =
                credentials.iter().filter_map(|name| self.permitted(name, server, findings));
            permitted.collect()
        };
        let client = match written.mode {
            ServerTlsMode::Mutual => MutualMode::Required,
            ServerTlsMode::OptionalMutual => MutualMode::Optional,
            _ => MutualMode::None,
        };
        let checks = client != MutualMode::None;
        let client_ca = if checks && written.insecure_skip_verify != Some(true) {
            self.authorities(written, certificates.first(), server, findings)
        } else {
            None
        };
        let lists = |list: &[String]| {
            if checks { texts(list.iter().map(String::as_str)) } else { Vec::new() }
        };
        Some(DownstreamTls {
            client,
            certificates,
            client_ca,
            subject_alt_names: lists(&written.subject_alt_names),
            verify_spki: lists(&written.verify_certificate_spki),
            verify_hash: lists(&written.verify_certificate_hash),
            min_version: self.lowest_version(written),
            max_version: version(written.max_protocol_version),
            cipher_suites: self.cipher_suites(written),
            alpn: texts(["h2", "http/1.1"]),
            mesh: false,
        })
    }

    /// The authorities of clients: those written, else those beside the server's own certificate, else a file.
    fn authorities(
        &self,
        written: &ServerTlsSettings,
        own: Option<&CertificateSource>,
        server: &Server<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<CertificateSource> {
        let named = written.ca_cert_credential_name.as_str();
        let source = if named.is_empty() {
            own.cloned()
        } else {
            let name = named.strip_suffix(AUTHORITIES_SUFFIX).unwrap_or(named);
            Some(self.permitted(name, server, findings)?)
        };
        match source {
            Some(CertificateSource::Secret { namespace, name }) => {
                let apart = format!("{name}{AUTHORITIES_SUFFIX}");
                let name =
                    if self.has_secret(&namespace, &apart) { Arc::from(apart) } else { name };
                Some(CertificateSource::Secret { namespace, name })
            }
            Some(CertificateSource::Files { .. }) | None => {
                let certificate = written.ca_certificates.as_str();
                (!certificate.is_empty()).then(|| CertificateSource::Files {
                    certificate: Arc::from(certificate),
                    private_key: Arc::default(),
                })
            }
            other => other,
        }
    }

    fn has_secret(&self, namespace: &str, name: &str) -> bool {
        let is_it =
            |it: &Arc<Object<Secret>>| it.meta.name == name && it.meta.namespace == namespace;
        self.snapshot.objects().secrets.iter().any(is_it)
    }

    /// The Secret or ConfigMap of a name, if the server may use it. A Secret of the proxy's own namespace it may; one that a
    /// Gateway of the Gateway API refers to if the Gateway may.
    fn permitted(
        &self,
        name: &str,
        server: &Server<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<CertificateSource> {
        if name.starts_with(BUILT_IN) {
            return Some(CertificateSource::Workload);
        }
        let source = credential(name, &self.proxy.namespace);
        let CertificateSource::Secret { namespace, name: secret } = &source else {
            return Some(source);
        };
        if **namespace == *self.proxy.namespace
            || name.starts_with(BY_GATEWAY) && self.is_granted(server, namespace, secret)
        {
            return Some(source);
        }
        let message = format!(
            "the Secret {namespace}/{secret} is in another namespace than the gateway, which may not use it"
        );
        let finding = server.finding(CREDENTIAL_NOT_PERMITTED, "tls", message);
        let help = "put the Secret into the gateway's namespace, or allow the reference by a ReferenceGrant";
        findings.push(finding.with_help(help));
        None
    }

    fn is_granted(&self, server: &Server<'_>, namespace: &str, secret: &str) -> bool {
        let meta = &server.gateway.meta;
        let origin = ListenerOrigin::of(meta);
        let from = origin.map_or(("", ""), |it| (it.group(), it.kind));
        self.grants.allow(
            (from, &meta.namespace),
            ((Secret::GROUP, Secret::KIND), namespace),
            secret,
        )
    }

    fn lowest_version(&self, written: &ServerTlsSettings) -> Option<TlsVersion> {
        let of_mesh = self.snapshot.settings().mesh.tls_defaults.as_ref();
        version(written.min_protocol_version)
            .or_else(|| version(of_mesh?.min_protocol_version))
            .or(Some(TlsVersion::V1_2))
    }

    fn cipher_suites(&self, written: &ServerTlsSettings) -> Vec<Arc<str>> {
        let of_mesh = self.snapshot.settings().mesh.tls_defaults.as_ref();
        let list = match of_mesh {
            Some(of_mesh) if written.cipher_suites.is_empty() => &of_mesh.cipher_suites,
            _ => &written.cipher_suites,
        };
        texts(list.iter().map(String::as_str))
    }
}

fn credential_names(written: &ServerTlsSettings) -> Vec<&str> {
    if written.credential_names.is_empty() {
        Some(written.credential_name.as_str()).filter(|it| !it.is_empty()).into_iter().collect()
    } else {
        written.credential_names.iter().map(String::as_str).collect()
    }
}

fn files(written: &ServerTlsSettings) -> Vec<CertificateSource> {
    let source = |certificate: &str, private_key: &str| CertificateSource::Files {
        certificate: Arc::from(certificate),
        private_key: Arc::from(private_key),
    };
    if !written.tls_certificates.is_empty() {
        let pairs = written.tls_certificates.iter();
        return pairs.map(|it| source(&it.server_certificate, &it.private_key)).collect();
    }
    let single = (!written.server_certificate.is_empty())
        .then(|| source(&written.server_certificate, &written.private_key));
    single.into_iter().collect()
}

const fn version(written: TlsProtocol) -> Option<TlsVersion> {
    match written {
        TlsProtocol::Auto => None,
        TlsProtocol::V1_0 => Some(TlsVersion::V1_0),
        TlsProtocol::V1_1 => Some(TlsVersion::V1_1),
        TlsProtocol::V1_2 => Some(TlsVersion::V1_2),
        TlsProtocol::V1_3 => Some(TlsVersion::V1_3),
    }
}
