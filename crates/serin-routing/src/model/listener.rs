//! Listeners: which connections there are and what reads them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Destinations;

/// A port that accepts connections, or a capture listener's branch for one address and port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Istio's name: `0.0.0.0_8080`, `10.0.0.1_3306`, `virtualInbound`, `virtualOutbound`.
    pub name: Arc<str>,
    /// The address it listens on or stands for.
    pub address: IpAddr,
    /// The port it listens on or stands for.
    pub port: u16,
    /// Whether it has a socket of its own.
    pub bind: Bind,
    /// Which traffic it takes.
    pub direction: Direction,
    /// What is looked at before a filter chain is chosen.
    pub inspect: Inspect,
    /// Candidates; the most specific match is taken as Envoy does (destination port, address, server name, transport
    /// protocol, application protocol, in this order).
    pub filter_chains: Vec<FilterChain>,
    /// Taken when none of the others matches.
    pub default_filter_chain: Option<FilterChain>,
}

/// Where a listener's connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Bind {
    /// It binds its address and port.
    Socket,
    /// It binds its address and port, and passes a connection on to the listener of the connection's original
    /// destination if there is one (exact address before wildcard).
    Capture,
    /// It gets its connections from the capture listener.
    Captured,
}

/// The traffic a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the workload to others.
    Outbound,
    /// From others to the workload.
    Inbound,
    /// Through a gateway.
    Gateway,
}

/// What a listener looks at before it chooses a filter chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inspect {
    /// TLS ClientHello: server name and ALPN.
    pub tls: bool,
    /// First bytes: is it HTTP? (Istio's protocol sniffing.)
    pub http: bool,
    /// A PROXY protocol header comes first.
    pub proxy_protocol: bool,
    /// How long to wait for those bytes before choosing without them; `None` for no limit.
    pub timeout: Option<Duration>,
}

/// One way to read a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterChain {
    /// Name for logs and dumps. Chains for the same port may share one, as they do in Istio.
    pub name: Arc<str>,
    /// Which connections it takes.
    pub criteria: FilterChainMatch,
    /// How TLS is terminated; `None` leaves the bytes as they are.
    pub tls: Option<DownstreamTls>,
    /// What reads the bytes.
    pub filter: NetworkFilter,
}

/// Conditions on a connection; an empty list or `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilterChainMatch {
    /// The original destination's port.
    pub destination_port: Option<u16>,
    /// The original destination's address.
    pub destination_prefixes: Vec<IpNet>,
    /// TLS server names; `*.example.com` for suffixes.
    pub server_names: Vec<Arc<str>>,
    /// Whether the connection speaks TLS.
    pub transport_protocol: Option<TransportProtocol>,
    /// ALPN of the ClientHello, or what sniffing found (`http/1.0`, `http/1.1`, `h2c`).
    pub application_protocols: Vec<Arc<str>>,
}

/// Whether a connection speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum TransportProtocol {
    /// TLS.
    #[serde(rename = "tls")]
    Tls,
    /// Anything else.
    #[serde(rename = "raw_buffer")]
    Plain,
}

/// What reads a connection's bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum NetworkFilter {
    /// HTTP requests.
    Http(HttpConnection),
    /// Bytes.
    Tcp(TcpProxy),
}

/// How HTTP is read, and the routes for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpConnection {
    /// Name of the route table in the model.
    pub routes: Arc<str>,
    /// HTTP versions that are accepted.
    pub codec: Codec,
    /// Value of the `server` response header (`istio-envoy`, `envoy`).
    pub server_name: Arc<str>,
    /// Trust the client's address in `x-forwarded-for` (off at the mesh's edge).
    pub use_remote_address: bool,
    /// Proxies in front of this one whose `x-forwarded-for` entries are trusted.
    pub trusted_hops: u32,
    /// What becomes of `x-forwarded-client-cert`.
    pub client_certificates: ClientCertificates,
    /// HTTP/1.0 is answered rather than refused with 426.
    pub accept_http_10: bool,
    /// Time a request may be idle; `None` for no limit.
    pub stream_idle_timeout: Option<Duration>,
    /// Time a connection may be idle between requests.
    pub idle_timeout: Option<Duration>,
    /// Only requests with a server name equal to the connection's are taken (`421` otherwise).
    pub strict_server_name: bool,
}

/// HTTP versions that a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Codec {
    /// By ALPN or the first bytes.
    Auto,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// What becomes of `x-forwarded-client-cert` on the way in (Envoy's `forward_client_cert_details`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ClientCertificates {
    /// Removed.
    Sanitize,
    /// Passed on.
    ForwardOnly,
    /// This connection's certificate is appended.
    AppendForward,
    /// Replaced by this connection's certificate.
    SanitizeSet,
    /// Passed on whatever the connection.
    AlwaysForwardOnly,
}

/// Bytes to a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TcpProxy {
    /// Where connections go; one draw per connection.
    pub destinations: Destinations,
    /// Time a connection may be idle; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// Time a connection may last at all; `None` for no limit.
    pub max_duration: Option<Duration>,
    /// Hash keys for consistent balancing: only the source address is known here.
    pub hash_source_address: bool,
    /// The endpoint is asked in HTTP to lead the bytes on; `None` if they go to it as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
}

/// What an endpoint is asked for that leads bytes on (DestinationRule's `tunnel`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    /// Where the bytes are to go, as host and port.
    pub authority: Arc<str>,
    /// The request is a `POST` whose body and answer are the bytes, rather than a `CONNECT`.
    pub by_post: bool,
}

/// How a listener terminates TLS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DownstreamTls {
    /// Whether clients must show a certificate.
    pub client: MutualMode,
    /// The listener's certificates, tried in order by server name and key type.
    pub certificates: Vec<CertificateSource>,
    /// What client certificates are checked against.
    pub client_ca: Option<CertificateSource>,
    /// Accepted subject alternative names of clients; any when empty.
    pub subject_alt_names: Vec<Arc<str>>,
    /// Accepted SHA-256 hashes of client certificates' public keys, base64; any when empty.
    pub verify_spki: Vec<Arc<str>>,
    /// Accepted SHA-256 hashes of client certificates, hex; any when empty.
    pub verify_hash: Vec<Arc<str>>,
    /// Lowest version (Istio's default 1.2).
    pub min_version: Option<TlsVersion>,
    /// Highest version.
    pub max_version: Option<TlsVersion>,
    /// Cipher suites by OpenSSL's names; the defaults when empty.
    pub cipher_suites: Vec<Arc<str>>,
    /// Protocols offered by ALPN, preferred first.
    pub alpn: Vec<Arc<str>>,
    /// This is the mesh's own mutual TLS: certificates are the workload's identity.
    pub mesh: bool,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MutualMode {
    /// Not asked.
    None,
    /// Asked for, checked if shown.
    Optional,
    /// Required.
    Required,
}

/// Where a certificate (with its key) or a set of authorities comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum CertificateSource {
    /// A Kubernetes Secret.
    Secret {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A ConfigMap with `ca.crt`.
    ConfigMap {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// PEM files.
    Files {
        /// Certificate chain or authorities.
        certificate: Arc<str>,
        /// Private key; empty for authorities.
        private_key: Arc<str>,
    },
    /// The workload's own identity, or the mesh's authorities.
    Workload,
    /// The operating system's authorities.
    System,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TlsVersion {
    /// TLS 1.0.
    V1_0,
    /// TLS 1.1.
    V1_1,
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}
