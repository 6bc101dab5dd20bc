//! TLS towards endpoints (`buildUpstreamTLSSettings`, `cluster_tls.go`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serin_api::mesh_config::MeshConfig;
use serin_api::networking::{ClientTlsMode, ClientTlsSettings};
use serin_routing::model::{
    CertificateSource, Cluster, ClusterTls, Discovery, EndpointTls, Tls, UpstreamProtocol,
    UpstreamTlsMode,
};

use super::peers::Peers;
use crate::mesh::Mode;
use crate::proxy::{Proxy, ProxyKind};
use crate::registry::{Registry, Service, ServicePort, ServiceRegistry};

/// What peers of the mesh speak within mutual TLS.
const ALPN_MESH: [&str; 2] = ["istio-peer-exchange", "istio"];
const ALPN_HTTP2: &str = "h2";

/// What TLS towards a service depends on, beside the cluster's own settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) registry: &'a Registry,
    pub(super) peers: &'a Peers<'a>,
    pub(super) mesh: &'a MeshConfig,
    pub(super) proxy: &'a Proxy,
    pub(super) service: &'a Service,
    pub(super) port: &'a ServicePort,
    /// The rule selects workloads, so that Secrets are given to those only.
    pub(super) for_some_workloads: bool,
}

impl Context<'_> {
    /// TLS as a rule asks for it, else mutual TLS with endpoints that take it, if the mesh does that by itself.
    pub(super) fn tls(&self, cluster: &Cluster, written: Option<&ClientTlsSettings>) -> ClusterTls {
        let Some(written) = written else { return self.automatic(cluster) };
        match written.mode {
            ClientTlsMode::Disable => ClusterTls::Plain,
            ClientTlsMode::IstioMutual => ClusterTls::Always(self.mutual(cluster, Some(written))),
            ClientTlsMode::Simple if self.may_use(written) => {
                ClusterTls::Always(self.originated(cluster, written, UpstreamTlsMode::Simple))
            }
            ClientTlsMode::Mutual if self.may_use(written) => {
                ClusterTls::Always(self.originated(cluster, written, UpstreamTlsMode::Mutual))
            }
            ClientTlsMode::Simple | ClientTlsMode::Mutual => ClusterTls::Plain,
        }
    }

    fn automatic(&self, cluster: &Cluster) -> ClusterTls {
        if self.service.mesh_external || !self.mesh.enable_auto_mtls {
            return ClusterTls::Plain;
        }
        let goes_where_meant = cluster.discovery == Discovery::OriginalDestination;
        // What is not known endpoint by endpoint must hold for all of them.
        let refused = goes_where_meant && !self.all_take_mutual();
        if refused || self.peers.mode_of_namespace(&self.service.namespace) == Mode::Disable {
            ClusterTls::Plain
        } else if goes_where_meant {
            ClusterTls::Always(self.mutual(cluster, None))
        } else {
            ClusterTls::Automatic(self.mutual(cluster, None))
        }
    }

    fn all_take_mutual(&self) -> bool {
        let mut endpoints = self.registry.endpoints_of_port(self.service, self.port).peekable();
        endpoints.peek().is_some() && endpoints.all(|it| self.peers.tls_of(it) == EndpointTls::Mesh)
    }

    /// Mutual TLS with the identities of the mesh. What a rule does not say follows from the service.
    fn mutual(&self, cluster: &Cluster, written: Option<&ClientTlsSettings>) -> Tls {
        let names = written.map(|it| texts(&it.subject_alt_names)).filter(|it| !it.is_empty());
        let server_name = written.map(|it| it.sni.as_str()).filter(|it| !it.is_empty());
        let mut alpn: Vec<Arc<str>> = ALPN_MESH.map(Arc::from).to_vec();
        alpn.extend(is_http2(cluster).then(|| Arc::from(ALPN_HTTP2)));
        Tls {
            mode: UpstreamTlsMode::IstioMutual,
            certificate: Some(CertificateSource::Workload),
            ca: Some(CertificateSource::Workload),
            subject_alt_names: names.unwrap_or_else(|| self.identities()),
            server_name: server_name.map_or_else(
                || sni_name(&self.service.host, &cluster.subset, self.port.number),
                Arc::from,
            ),
            auto_server_name: false,
            alpn,
            insecure: false,
        }
    }

    /// TLS for servers outside the mesh's own identities.
    fn originated(
        &self,
        cluster: &Cluster,
        written: &ClientTlsSettings,
        mode: UpstreamTlsMode,
    ) -> Tls {
        let insecure = written.insecure_skip_verify == Some(true);
        let mut subject_alt_names = texts(&written.subject_alt_names);
        if subject_alt_names.is_empty() && self.service.registry == ServiceRegistry::ServiceEntry {
            subject_alt_names = self.identities();
        }
        let secret = (!written.credential_name.is_empty())
            .then(|| credential(&written.credential_name, &self.proxy.namespace));
        let ca = secret.clone().unwrap_or_else(|| authorities(&written.ca_certificates));
        let files = || CertificateSource::Files {
            certificate: Arc::from(written.client_certificate.as_str()),
            private_key: Arc::from(written.private_key.as_str()),
        };
        let certificate = match mode {
            UpstreamTlsMode::Mutual => Some(secret.unwrap_or_else(files)),
            UpstreamTlsMode::Simple | UpstreamTlsMode::IstioMutual => None,
        };
        Tls {
            mode,
            certificate,
            ca: (!insecure).then_some(ca),
            subject_alt_names,
            server_name: Arc::from(written.sni.as_str()),
            auto_server_name: written.sni.is_empty(),
            alpn: is_http2(cluster).then(|| Arc::from(ALPN_HTTP2)).into_iter().collect(),
            insecure,
        }
    }

    /// Whether a Secret may be used: sidecars use one only by a rule that selects them, lest the rule hands it to everyone.
    fn may_use(&self, written: &ClientTlsSettings) -> bool {
        let name = written.credential_name.as_str();
        let is_secret = !name.is_empty() && !name.starts_with(CONFIG_MAP) && name != UNRESOLVED;
        !is_secret || self.for_some_workloads || self.proxy.kind == ProxyKind::Gateway
    }

    /// The names that certificates of the service's endpoints carry.
    fn identities(&self) -> Vec<Arc<str>> {
        let domains =
            std::iter::once(&self.mesh.trust_domain).chain(&self.mesh.trust_domain_aliases);
        let accounts: BTreeSet<_> = self
            .registry
            .endpoints(self.service)
            .iter()
            .map(|it| (&it.workload.identity.namespace, &it.workload.identity.service_account))
            .filter(|(_, account)| !account.is_empty())
            .collect();
        let mut names: BTreeSet<Arc<str>> =
            self.service.subject_alt_names.iter().cloned().collect();
        for domain in domains {
            for (namespace, account) in &accounts {
                names.insert(Arc::from(format!("spiffe://{domain}/ns/{namespace}/sa/{account}")));
            }
        }
        names.into_iter().collect()
    }
}

/// The server name by which mutual TLS says which cluster it is for (`BuildDNSSrvSubsetKey`).
pub(crate) fn sni_name(host: &str, subset: &str, port: u16) -> Arc<str> {
    Arc::from(format!("outbound_.{port}_.{subset}_.{host}"))
}

/// What begins names of ConfigMaps and Secrets that stand in a certain namespace.
const CONFIG_MAP: &str = "configmap://";
const SECRET: [&str; 2] = ["kubernetes-gateway://", "kubernetes://"];
/// Authorities that a policy of the Gateway API names and that are not there: nothing is trusted.
const UNRESOLVED: &str = "invalid://";

/// What ends the name by which authorities are asked for, where their object may have it without.
pub(crate) const AUTHORITIES_SUFFIX: &str = "-cacert";

/// The Secret or ConfigMap that `name` means in an object whose credentials are those of `namespace`.
pub(crate) fn credential(name: &str, namespace: &str) -> CertificateSource {
    let parts = |rest: &str| match rest.split_once('/') {
        Some((namespace, name)) => (Arc::from(namespace), Arc::from(name)),
        None => (Arc::from(namespace), Arc::from(rest)),
    };
    if let Some(rest) = name.strip_prefix(CONFIG_MAP) {
        let (namespace, name) = parts(rest.strip_suffix(AUTHORITIES_SUFFIX).unwrap_or(rest));
        return CertificateSource::ConfigMap { namespace, name };
    }
    let rest = SECRET.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let (namespace, name) = parts(rest);
    CertificateSource::Secret { namespace, name }
}

fn authorities(file: &str) -> CertificateSource {
    if file.is_empty() || file == "system" {
        return CertificateSource::System;
    }
    CertificateSource::Files { certificate: Arc::from(file), private_key: Arc::default() }
}

fn is_http2(cluster: &Cluster) -> bool {
    cluster.protocol == UpstreamProtocol::Http2
}

fn texts(list: &[String]) -> Vec<Arc<str>> {
    list.iter().map(|it| Arc::from(it.as_str())).collect()
}
