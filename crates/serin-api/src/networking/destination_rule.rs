//! DestinationRule: how connections to a service are made, balanced and secured, and what its subsets are.

use std::collections::BTreeMap;

use crate::values::{Duration, PolicySelector, PortSelector};

resource! {
    DestinationRule: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "destinationrules"
    short ["dr"]
    columns [
        ("Host", "string", ".spec.host", "Host that the policy is for"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// The policy for traffic to a service, after routing has chosen it.
    pub struct DestinationRule {
        /// Name of a service in the registry, `*.`-wildcards allowed. A short name is completed with this namespace.
        #[schemars(extend("x-required" = true))]
        pub host: String,
        /// The policy for all endpoints and ports.
        pub traffic_policy: Option<TrafficPolicy>,
        /// Named groups of endpoints, by their labels.
        pub subsets: Vec<Subset>,
        /// Namespaces that see this rule: `.` this one, `*` all, or names. Absent means the mesh default.
        pub export_to: Vec<String>,
        /// Clients that apply the rule. Absent is all that see it.
        pub workload_selector: Option<PolicySelector>,
    }

    /// How traffic to the endpoints is handled.
    pub struct TrafficPolicy {
        /// How requests are spread over endpoints.
        pub load_balancer: Option<LoadBalancerSettings>,
        /// Limits of connections and requests.
        pub connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is taken out of balancing.
        pub outlier_detection: Option<OutlierDetection>,
        /// TLS towards the endpoints.
        pub tls: Option<ClientTlsSettings>,
        /// Policies of single ports. A port listed here takes nothing from the settings above.
        #[schemars(length(max = 4096))]
        pub port_level_settings: Vec<PortTrafficPolicy>,
        /// Tunnel connections through the destination.
        pub tunnel: Option<TunnelSettings>,
        /// Announce the client's address by the PROXY protocol.
        pub proxy_protocol: Option<ProxyProtocolSettings>,
        /// Limit retries to a share of the requests under way.
        pub retry_budget: Option<RetryBudget>,
    }

    /// The policy of one port.
    pub struct PortTrafficPolicy {
        /// The port of the service.
        pub port: Option<PortSelector>,
        /// How requests are spread over endpoints.
        pub load_balancer: Option<LoadBalancerSettings>,
        /// Limits of connections and requests.
        pub connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is taken out of balancing.
        pub outlier_detection: Option<OutlierDetection>,
        /// TLS towards the endpoints.
        pub tls: Option<ClientTlsSettings>,
    }

    /// A named group of endpoints.
    pub struct Subset {
        /// Name that routes use.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Labels that an endpoint of the subset carries, all of them. None at all is every endpoint.
        pub labels: BTreeMap<String, String>,
        /// The policy of the subset; what it leaves out comes from the rule.
        pub traffic_policy: Option<TrafficPolicy>,
    }

    /// How requests are spread over endpoints.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["simple"]}, {"required": ["consistentHash"]}]}},
        {"required": ["simple"]},
        {"required": ["consistentHash"]},
    ]))]
    pub struct LoadBalancerSettings {
        /// A policy without parameters.
        pub simple: Option<SimpleLb>,
        /// Requests with the same key go to the same endpoint.
        pub consistent_hash: Option<ConsistentHashLb>,
        /// Preference of localities; replaces the mesh default.
        pub locality_lb_setting: Option<LocalityLbSetting>,
        /// Keeping traffic in the client's zone as far as load allows. Not together with `localityLbSetting`.
        pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
        /// Deprecated: how long a new endpoint is spared. Use `warmup`.
        #[schemars(extend("x-positive-duration" = true))]
        pub warmup_duration_secs: Option<Duration>,
        /// How load on a new endpoint rises.
        pub warmup: Option<WarmupConfiguration>,
    }

    /// Balancing by the hash of a key of the request.
    #[schemars(extend("allOf" = [
        {"oneOf": [
            {"not": {"anyOf": [
                {"required": ["httpHeaderName"]}, {"required": ["httpCookie"]}, {"required": ["useSourceIp"]},
                {"required": ["httpQueryParameterName"]},
            ]}},
            {"required": ["httpHeaderName"]},
            {"required": ["httpCookie"]},
            {"required": ["useSourceIp"]},
            {"required": ["httpQueryParameterName"]},
        ]},
        {"oneOf": [
            {"not": {"anyOf": [{"required": ["ringHash"]}, {"required": ["maglev"]}]}},
            {"required": ["ringHash"]},
            {"required": ["maglev"]},
        ]},
    ]))]
    pub struct ConsistentHashLb {
        /// The key is a header.
        pub http_header_name: Option<String>,
        /// The key is a cookie, which is made when it is missing and has a lifetime.
        pub http_cookie: Option<HttpCookie>,
        /// The key is the client's address.
        pub use_source_ip: Option<bool>,
        /// The key is a query parameter.
        pub http_query_parameter_name: Option<String>,
        /// A hash ring.
        pub ring_hash: Option<RingHash>,
        /// A Maglev table.
        pub maglev: Option<Maglev>,
        /// Deprecated: use `ringHash.minimumRingSize`.
        pub minimum_ring_size: u64,
    }

    /// The cookie that is the key.
    pub struct HttpCookie {
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Path for which the cookie is set.
        pub path: String,
        /// Lifetime. Absent makes no cookie; zero makes one that lasts as long as the session.
        pub ttl: Option<Duration>,
        /// Further attributes of a cookie that is made.
        pub attributes: Vec<CookieAttribute>,
    }

    /// An attribute of a cookie.
    pub struct CookieAttribute {
        /// Name, such as `SameSite`.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Value; empty for attributes without one, such as `Secure`.
        pub value: String,
    }

    /// A hash ring.
    pub struct RingHash {
        /// Smallest number of places on the ring. 0 is 1024.
        pub minimum_ring_size: u64,
    }

    /// A Maglev table.
    pub struct Maglev {
        /// Size of the table, a prime. 0 is 65537.
        pub table_size: u64,
    }

    /// How load on a new endpoint rises.
    pub struct WarmupConfiguration {
        /// How long until it takes its full share.
        #[schemars(extend("x-required" = true))]
        #[schemars(extend("x-positive-duration" = true))]
        pub duration: Option<Duration>,
        /// Percent of the share to begin with. Absent is 10.
        #[schemars(range(min = 0.0, max = 100.0))]
        #[schemars(extend("x-nullable" = true))]
        pub minimum_percent: Option<f64>,
        /// The exponent of the rise: 1 (also when absent) is linear, more is faster at first.
        #[schemars(range(min = 0.0))]
        #[schemars(extend("x-nullable" = true))]
        pub aggression: Option<f64>,
    }

    /// Preference of localities.
    pub struct LocalityLbSetting {
        /// How traffic of each locality is spread over localities. At most one of the three may be set.
        pub distribute: Vec<LocalityDistribute>,
        /// To which region traffic of a region goes when its own is unhealthy.
        pub failover: Vec<LocalityFailover>,
        /// Labels in order of importance: endpoints that agree with the client on more of the first labels come first.
        pub failover_priority: Vec<String>,
        /// Whether localities count at all. Absent is yes.
        #[schemars(extend("x-nullable" = true))]
        pub enabled: Option<bool>,
    }

    /// Keeping traffic in the client's zone as far as load allows.
    pub struct ZoneAwareLbSetting {
        /// Whether it is done. Absent is yes.
        #[schemars(extend("x-nullable" = true))]
        pub enabled: Option<bool>,
        /// To which region traffic of a region goes when its own is unhealthy.
        pub failover: Vec<LocalityFailover>,
        /// Labels in order of importance: endpoints that agree with the client on more of the first labels come first.
        pub failover_priority: Vec<String>,
    }

    /// How traffic of one locality is spread.
    pub struct LocalityDistribute {
        /// The client's locality, `region/zone/subzone`, with `*` at the end for all below.
        pub from: String,
        /// Weights of localities; they sum to 100.
        pub to: BTreeMap<String, u32>,
    }

    /// Where traffic of an unhealthy region goes.
    pub struct LocalityFailover {
        /// Region that is unhealthy.
        pub from: String,
        /// Region to use instead.
        pub to: String,
    }

    /// Limits of connections and requests.
    pub struct ConnectionPoolSettings {
        /// Limits for all connections.
        pub tcp: Option<TcpSettings>,
        /// Limits for HTTP.
        pub http: Option<HttpSettings>,
    }

    /// Limits for all connections.
    pub struct TcpSettings {
        /// How many connections there may be. 0 is unlimited.
        pub max_connections: i32,
        /// How long a connection may take to be made. Absent is 10 s.
        #[schemars(extend("x-positive-duration" = true))]
        pub connect_timeout: Option<Duration>,
        /// Probes on idle connections.
        pub tcp_keepalive: Option<TcpKeepalive>,
        /// How long a connection may live. Absent is unlimited.
        #[schemars(extend("x-positive-duration" = true))]
        pub max_connection_duration: Option<Duration>,
        /// How long an opaque TCP connection may be idle. Absent is one hour; `0s` is unlimited.
        pub idle_timeout: Option<Duration>,
    }

    /// TCP keepalive probes.
    pub struct TcpKeepalive {
        /// Unanswered probes after which a connection is dead. 0 is the system's default.
        pub probes: u32,
        /// How long a connection is idle before the first probe. Absent is the system's default.
        #[schemars(extend("x-positive-duration" = true))]
        pub time: Option<Duration>,
        /// Time between probes. Absent is the system's default.
        #[schemars(extend("x-positive-duration" = true))]
        pub interval: Option<Duration>,
    }

    /// Limits for HTTP.
    pub struct HttpSettings {
        /// Requests that may wait for a connection. 0 is unlimited.
        pub http1_max_pending_requests: i32,
        /// Requests that may be under way. 0 is unlimited.
        pub http2_max_requests: i32,
        /// Requests after which a connection is closed. 0 is unlimited; 1 turns keep-alive off.
        pub max_requests_per_connection: i32,
        /// Retries that may be under way. 0 is unlimited.
        pub max_retries: i32,
        /// How long a connection without requests is kept. Absent is one hour.
        #[schemars(extend("x-positive-duration" = true))]
        pub idle_timeout: Option<Duration>,
        /// Whether HTTP/1.1 requests are sent as HTTP/2.
        pub h2_upgrade_policy: H2UpgradePolicy,
        /// Use the protocol of the client's connection. Ignores `h2UpgradePolicy`.
        pub use_client_protocol: bool,
        /// Streams that may be open on one HTTP/2 connection. 0 is unlimited.
        pub max_concurrent_streams: i32,
        /// Pings on HTTP/2 connections.
        pub http2_keep_alive: Option<Http2KeepAlive>,
    }

    /// Pings on HTTP/2 connections.
    pub struct Http2KeepAlive {
        /// Time between pings.
        #[schemars(extend("x-required" = true))]
        pub interval: Option<Duration>,
        /// How long an answer may take before the connection is closed.
        #[schemars(extend("x-required" = true))]
        pub timeout: Option<Duration>,
    }

    /// When an endpoint is taken out of balancing.
    pub struct OutlierDetection {
        /// Of no effect; kept so that old objects can be read.
        pub consecutive_errors: i32,
        /// Count failures to connect apart from errors of the service.
        pub split_external_local_origin_errors: bool,
        /// Failures to connect in a row. Absent is 5; only with `splitExternalLocalOriginErrors`.
        #[schemars(extend("x-nullable" = true))]
        pub consecutive_local_origin_failures: Option<u32>,
        /// Answers 502, 503, 504 in a row. Absent or 0 is off.
        #[schemars(extend("x-nullable" = true))]
        pub consecutive_gateway_errors: Option<u32>,
        /// Answers of 500 and above in a row. Absent is 5; 0 is off.
        #[serde(rename = "consecutive5xxErrors")]
        #[schemars(extend("x-nullable" = true))]
        pub consecutive_5xx_errors: Option<u32>,
        /// Time between looks. Absent is 10 s.
        #[schemars(extend("x-positive-duration" = true))]
        pub interval: Option<Duration>,
        /// How long an endpoint is out, times the number of its ejections. Absent is 30 s.
        #[schemars(extend("x-positive-duration" = true))]
        pub base_ejection_time: Option<Duration>,
        /// Percent of the endpoints that may be out at a time. 0 is 10.
        pub max_ejection_percent: i32,
        /// Percent of healthy endpoints below which all are used. 0 never does that.
        pub min_health_percent: i32,
    }

    /// TLS towards the endpoints.
    pub struct ClientTlsSettings {
        /// Whether and how TLS is used.
        pub mode: ClientTlsMode,
        /// File of the client certificate, for `MUTUAL`.
        pub client_certificate: String,
        /// File of the client's private key, for `MUTUAL`.
        pub private_key: String,
        /// File of the authorities that may have issued the server's certificate. Empty is the system's.
        pub ca_certificates: String,
        /// Secret with key, certificate and authorities, in place of files.
        pub credential_name: String,
        /// Names one of which the server's certificate must have.
        pub subject_alt_names: Vec<String>,
        /// Server name to send.
        pub sni: String,
        /// Accept any certificate.
        #[schemars(extend("x-nullable" = true))]
        pub insecure_skip_verify: Option<bool>,
        /// File of revoked certificates.
        pub ca_crl: String,
    }

    /// A tunnel through the destination.
    pub struct TunnelSettings {
        /// `CONNECT` (also when empty) or `POST`.
        pub protocol: String,
        /// Host to which the tunnel leads.
        #[schemars(extend("x-required" = true))]
        pub target_host: String,
        /// Port to which the tunnel leads.
        #[schemars(extend("x-required" = true))]
        pub target_port: u32,
    }

    /// The PROXY protocol header in front of a connection.
    pub struct ProxyProtocolSettings {
        /// Version of the header.
        pub version: ProxyProtocolVersion,
    }

    /// A limit of retries.
    pub struct RetryBudget {
        /// Retries under way in percent of the requests under way. Absent is 20.
        #[schemars(range(min = 0.0, max = 100.0))]
        #[schemars(extend("x-nullable" = true))]
        pub percent: Option<f64>,
        /// Retries under way that are always allowed.
        pub min_retry_concurrency: u32,
        /// How long a request counts after it began. Absent counts requests that are under way only.
        pub budget_interval: Option<Duration>,
    }
}

choice! {
    /// A balancing policy without parameters.
    pub enum SimpleLb {
        /// The default, which is `LEAST_REQUEST`.
        Unspecified = "UNSPECIFIED",
        /// Deprecated spelling of `LEAST_REQUEST`.
        LeastConn = "LEAST_CONN",
        /// A random endpoint.
        Random = "RANDOM",
        /// The address that the client asked for.
        Passthrough = "PASSTHROUGH",
        /// Each endpoint in turn.
        RoundRobin = "ROUND_ROBIN",
        /// Of two random endpoints the one with fewer requests.
        LeastRequest = "LEAST_REQUEST",
    }

    /// Whether HTTP/1.1 requests are sent as HTTP/2.
    pub enum H2UpgradePolicy {
        /// As the mesh says.
        Default = "DEFAULT",
        /// Never.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Always.
        Upgrade = "UPGRADE",
    }

    /// Whether and how TLS is used towards endpoints.
    pub enum ClientTlsMode {
        /// No TLS.
        Disable = "DISABLE",
        /// TLS without a client certificate.
        Simple = "SIMPLE",
        /// TLS with a client certificate of the user's.
        Mutual = "MUTUAL",
        /// TLS with the workload's certificate from the mesh.
        IstioMutual = "ISTIO_MUTUAL",
    }

    /// A version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// The text form.
        V1 = "V1",
        /// The binary form.
        V2 = "V2",
    }
}
