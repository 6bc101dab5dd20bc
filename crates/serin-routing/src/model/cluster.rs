//! Clusters: groups of upstream endpoints and how to talk to them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::CertificateSource;
use crate::{balancer, breaker, outlier};

/// A group of upstream endpoints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// Istio's name: `outbound|9080|v2|reviews.default.svc.cluster.local`, `inbound|8080||`, `PassthroughCluster`.
    pub name: Arc<str>,
    /// The service host it belongs to; empty for clusters of no service.
    pub service_host: Arc<str>,
    /// The service's namespace.
    pub service_namespace: Arc<str>,
    /// The service's port; 0 if it has none.
    pub port: u16,
    /// The subset; empty for the whole service.
    pub subset: Arc<str>,
    /// Where endpoints come from.
    pub discovery: Discovery,
    /// How one is chosen.
    pub balancer: balancer::Policy,
    /// Slow start of new endpoints.
    pub warm_up: Option<balancer::WarmUp>,
    /// How priorities and localities share.
    pub locality: balancer::LocalityPolicy,
    /// Ejection of failing endpoints; `None` when off.
    pub outlier: Option<outlier::Config>,
    /// Limits.
    pub limits: breaker::Limits,
    /// Time to connect (Istio's default 10 s).
    pub connect_timeout: Duration,
    /// Time an HTTP connection may be idle (Istio's default 1 h); `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// Keep-alive probes on connections.
    pub keep_alive: Option<KeepAlive>,
    /// Pings on HTTP/2 connections.
    pub http2_keep_alive: Option<Http2KeepAlive>,
    /// The port that connections go to instead of the one they were meant for, where they go to their original
    /// destination.
    pub port_override: Option<u16>,
    /// HTTP version towards endpoints.
    pub protocol: UpstreamProtocol,
    /// TLS towards endpoints.
    pub tls: ClusterTls,
    /// A PROXY protocol header is sent first, of this version (1 or 2).
    pub proxy_protocol: Option<u8>,
}

impl Cluster {
    /// A cluster of no service with Envoy's defaults: HTTP/1 without TLS, no limits.
    pub fn new(name: Arc<str>, discovery: Discovery) -> Self {
        Self {
            name,
            service_host: Arc::default(),
            service_namespace: Arc::default(),
            port: 0,
            subset: Arc::default(),
            discovery,
            balancer: balancer::Policy::default(),
            warm_up: None,
            locality: balancer::LocalityPolicy::default(),
            outlier: None,
            limits: breaker::Limits::default(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: None,
            keep_alive: None,
            http2_keep_alive: None,
            port_override: None,
            protocol: UpstreamProtocol::Http1,
            tls: ClusterTls::Plain,
            proxy_protocol: None,
        }
    }
}

/// Where a cluster's endpoints come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Discovery {
    /// The model's list (Envoy's EDS and STATIC).
    Listed,
    /// The model's list holds names; every address they resolve to is an endpoint (STRICT_DNS).
    StrictDns,
    /// The model's list holds one name; each new connection goes to an address it resolves to (LOGICAL_DNS).
    LogicalDns,
    /// The host name of each request is resolved (dynamic forward proxy).
    DynamicDns,
    /// The connection's original destination (ORIGINAL_DST).
    OriginalDestination,
    /// Nowhere.
    BlackHole,
}

/// TCP keep-alive probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeepAlive {
    /// Unanswered probes before the connection is dead; the system's default if `None`.
    pub probes: Option<u32>,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// Pings on HTTP/2 connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Http2KeepAlive {
    /// Time between pings.
    pub interval: Duration,
    /// Time for an answer, after which the connection is dead.
    pub timeout: Duration,
}

/// The HTTP version towards endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, by prior knowledge without TLS.
    Http2,
    /// What the downstream speaks.
    SameAsDownstream,
    /// Bytes, no HTTP.
    Tcp,
}

/// TLS towards a cluster's endpoints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ClusterTls {
    /// None.
    Plain,
    /// The same for all endpoints.
    Always(Tls),
    /// Mesh TLS for endpoints that offer it ([`EndpointTls::Mesh`]), none for others (Istio's automatic mutual TLS).
    Automatic(Tls),
}

/// How to originate TLS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tls {
    /// What it is.
    pub mode: UpstreamTlsMode,
    /// Certificate to show, for mutual TLS.
    pub certificate: Option<CertificateSource>,
    /// Authorities the endpoint's certificate must come from; `None` does not check.
    pub ca: Option<CertificateSource>,
    /// Accepted subject alternative names; any when empty.
    pub subject_alt_names: Vec<Arc<str>>,
    /// Server name to ask for; empty for the request's host if `auto_server_name`.
    pub server_name: Arc<str>,
    /// The server name, and the name that is checked, are the request's host.
    pub auto_server_name: bool,
    /// Protocols offered by ALPN.
    pub alpn: Vec<Arc<str>>,
    /// The endpoint's certificate is not checked.
    pub insecure: bool,
}

/// Kinds of TLS origination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum UpstreamTlsMode {
    /// The server shows a certificate.
    Simple,
    /// Both do.
    Mutual,
    /// Both do, with the mesh's identities.
    IstioMutual,
}

/// The endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Endpoints {
    /// Groups of the same locality and priority.
    pub localities: Vec<LocalityEndpoints>,
}

/// Endpoints in one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LocalityEndpoints {
    /// The place.
    pub locality: Locality,
    /// 0 is used first.
    pub priority: u32,
    /// Share among localities of the same priority; `None` where localities have no weights.
    pub weight: Option<u32>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Region, zone and sub-zone; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Locality {
    /// Region.
    pub region: Arc<str>,
    /// Zone.
    pub zone: Arc<str>,
    /// Sub-zone.
    pub sub_zone: Arc<str>,
}

/// One address that serves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// The address.
    pub address: EndpointAddress,
    /// Share among the endpoints (default 1).
    pub weight: u32,
    /// Whether it is ready.
    pub health: Health,
    /// Whether it takes mesh TLS.
    pub tls: EndpointTls,
    /// Who it is, for metrics.
    pub identity: Arc<WorkloadIdentity>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum EndpointAddress {
    /// IP address and port.
    Socket(IpAddr, u16),
    /// A name to resolve, and a port.
    Name(Arc<str>, u16),
    /// A Unix socket.
    Unix(Arc<str>),
}

/// Whether an endpoint is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Health {
    /// It takes requests.
    Healthy,
    /// It gets no requests unless there is no other way.
    Unhealthy,
    /// It is being shut down: what is under way goes on.
    Draining,
}

/// Whether an endpoint takes mesh TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EndpointTls {
    /// It has a mesh proxy.
    Mesh,
    /// It has none, or does not accept it.
    Plain,
}

/// Who an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkloadIdentity {
    /// Workload (Deployment) name.
    pub workload: Arc<str>,
    /// Pod name.
    pub pod: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Service account.
    pub service_account: Arc<str>,
    /// Labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}
