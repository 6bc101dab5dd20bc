//! Settings of proxies in the mesh configuration (`defaultConfig`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::networking::ProxyImage;
use crate::values::Duration;

message! {
    /// Settings of a proxy, as far as Serin's own proxy has a use for them. The others are accepted.
    pub struct ProxyConfig {
        /// Worker threads. Absent is by the CPU limit; 0 is one for each core.
        pub concurrency: Option<i32>,
        /// Address of the control plane.
        pub discovery_address: String,
        /// How long connections drain on shutdown. Absent is 45 s.
        pub drain_duration: Option<Duration>,
        /// How long a proxy lives on while connections drain. Absent is 5 s.
        pub termination_drain_duration: Option<Duration>,
        /// Name under which the service reports.
        pub service_cluster: String,
        /// Where the service's name in traces comes from.
        pub tracing_service_name: String,
        /// Traces.
        pub tracing: Option<ProxyTracing>,
        /// Environment of the proxy.
        pub proxy_metadata: BTreeMap<String, String>,
        /// Whether the application starts after the proxy is ready.
        pub hold_application_until_proxy_starts: Option<bool>,
        /// Which statistics are kept.
        pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
        /// Further tags of metrics.
        pub extra_stat_tags: Vec<String>,
        /// Proxies in front of gateways.
        pub gateway_topology: Option<GatewayTopology>,
        /// How traffic reaches the proxy: `REDIRECT`, `TPROXY` or `NONE`.
        pub interception_mode: String,
        /// Network-independent name of the mesh.
        pub mesh_id: String,
        /// Port of the proxy's own health.
        pub status_port: i32,
        /// Port of the proxy's administration.
        pub proxy_admin_port: i32,
        /// Certificates of authorities in PEM.
        pub ca_certificates_pem: Vec<String>,
        /// Image of the proxy.
        pub image: Option<ProxyImage>,
        /// Which headers proxies add.
        pub proxy_headers: Option<Map<String, Value>>,
    }

    /// Traces.
    pub struct ProxyTracing {
        /// Traces to Zipkin.
        pub zipkin: Option<ZipkinTracing>,
        /// Percent of requests that are traced. 0 is Istio's default of 1.
        pub sampling: f64,
        /// Tags of spans by name.
        pub custom_tags: BTreeMap<String, crate::telemetry::CustomTag>,
        /// Longest path in a tag; 256 when 0.
        pub max_path_tag_length: u32,
    }

    /// Traces to Zipkin.
    pub struct ZipkinTracing {
        /// Host and port.
        pub address: String,
    }

    /// Which statistics are kept.
    pub struct ProxyStatsMatcher {
        /// By beginning of the name.
        pub inclusion_prefixes: Vec<String>,
        /// By end of the name.
        pub inclusion_suffixes: Vec<String>,
        /// By regular expression.
        pub inclusion_regexps: Vec<String>,
    }

    /// Proxies in front of gateways.
    pub struct GatewayTopology {
        /// How many of them are trusted to say who the client is.
        pub num_trusted_proxies: u32,
        /// What happens to the header with the client's certificate.
        pub forward_client_cert_details: ForwardClientCertDetails,
        /// Connections begin with the PROXY protocol.
        pub proxy_protocol: Option<EmptyMessage>,
    }

    /// Nothing but being there.
    pub struct EmptyMessage {}
}

choice! {
    /// What happens to the header with the client's certificate.
    pub enum ForwardClientCertDetails {
        /// The default, which is `SANITIZE_SET` on gateways and `APPEND_FORWARD` elsewhere.
        Undefined = "UNDEFINED",
        /// It is removed.
        Sanitize = "SANITIZE",
        /// It is passed on when the connection is mutual TLS.
        ForwardOnly = "FORWARD_ONLY",
        /// It is appended to when the connection is mutual TLS.
        AppendForward = "APPEND_FORWARD",
        /// It is set anew.
        SanitizeSet = "SANITIZE_SET",
        /// It is always passed on.
        AlwaysForwardOnly = "ALWAYS_FORWARD_ONLY",
    }
}
