//! The settings of the whole mesh as users write them (`MeshConfig`), and of its networks (`MeshNetworks`).
//!
//! A value that is not written is Istio's default: the types' `Default` is the configuration of an empty file.

mod networks;
mod providers;
mod proxy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use networks::*;
pub use providers::*;
pub use proxy::*;

use crate::networking::{
    Destination, H2UpgradePolicy, HttpRetry, LocalityLbSetting, OutboundTrafficPolicyMode,
    TcpKeepalive, TlsProtocol, ZoneAwareLbSetting,
};
use crate::values::{Duration, LabelSelector};
use crate::{DecodeError, decode};

/// Settings of the whole mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Port that outbound traffic is redirected to.
    pub proxy_listen_port: i32,
    /// Port that inbound traffic is redirected to.
    pub proxy_inbound_listen_port: i32,
    /// Port of the proxies' HTTP proxy (CONNECT); 0 is none.
    pub proxy_http_port: i32,
    /// How long connecting to an endpoint may take.
    pub connect_timeout: Duration,
    /// Probes on idle upstream connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Class of the Ingresses that are served.
    pub ingress_class: String,
    /// Service of the proxies that serve Ingresses.
    pub ingress_service: String,
    /// Which Ingresses are served.
    pub ingress_controller_mode: IngressControllerMode,
    /// Label `istio` of the proxies that serve Ingresses.
    pub ingress_selector: String,
    /// Whether requests are traced.
    pub enable_tracing: bool,
    /// File of access logs; none when empty.
    pub access_log_file: String,
    /// Format of access logs; the default one when empty.
    pub access_log_format: String,
    /// Whether access logs are text or JSON.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether access logs are sent by gRPC.
    pub enable_envoy_access_log_service: bool,
    /// Whether listeners that match nothing are left out of access logs.
    pub disable_envoy_listener_log: bool,
    /// Settings of proxies.
    pub default_config: ProxyConfig,
    /// What happens to traffic to unknown services.
    pub outbound_traffic_policy: OutboundTrafficPolicy,
    /// What happens to inbound traffic on unknown ports.
    pub inbound_traffic_policy: InboundTrafficPolicy,
    /// Where configuration comes from.
    pub config_sources: Vec<ConfigSource>,
    /// Whether mutual TLS is used wherever both sides can.
    pub enable_auto_mtls: bool,
    /// Domain of identities.
    pub trust_domain: String,
    /// Other domains that are trusted alike.
    pub trust_domain_aliases: Vec<String>,
    /// Authorities that are trusted.
    pub ca_certificates: Vec<CertificateData>,
    /// Where Services are visible that do not say.
    pub default_service_export_to: Vec<String>,
    /// Where VirtualServices are visible that do not say.
    pub default_virtual_service_export_to: Vec<String>,
    /// Where DestinationRules are visible that do not say.
    pub default_destination_rule_export_to: Vec<String>,
    /// Namespace whose policies hold for the whole mesh.
    pub root_namespace: String,
    /// Preference of localities.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Keeping traffic in the client's zone as far as load allows.
    pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
    /// How often names of endpoints are resolved.
    pub dns_refresh_rate: Duration,
    /// Whether HTTP/1.1 requests to mesh services are sent as HTTP/2.
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Form of the statistics' names for inbound clusters.
    pub inbound_cluster_stat_name: String,
    /// Form of the statistics' names for outbound clusters.
    pub outbound_cluster_stat_name: String,
    /// Whether metrics of application and proxy are merged.
    pub enable_prometheus_merge: bool,
    /// Whether certificates of servers are checked when the DestinationRule does not say how.
    pub verify_certificate_at_client: Option<bool>,
    /// Changes of how paths are compared.
    pub path_normalization: PathNormalization,
    /// When requests are tried again whose route does not say.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// Lowest version of TLS and cipher suites between workloads.
    pub mesh_mtls: Option<TlsConfig>,
    /// Lowest version of TLS and cipher suites towards the outside.
    pub tls_defaults: Option<TlsConfig>,
    /// How long a connection may take to show its protocol; 0 is unlimited.
    pub protocol_detection_timeout: Duration,
    /// Settings of services.
    pub service_settings: Vec<ServiceSettings>,
    /// Services that metrics, traces, access logs and authorization come from.
    pub extension_providers: Vec<ExtensionProvider>,
    /// Which of them are used by default.
    pub default_providers: DefaultProviders,
    /// Namespaces that are looked at. None at all is all of them.
    pub discovery_selectors: Vec<LabelSelector>,
    /// Whether the scope of a service is the mesh or the cluster, by its labels.
    pub service_scope_configs: Vec<Value>,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let everywhere = || vec!["*".to_owned()];
        Self {
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            proxy_http_port: 0,
            connect_timeout: Duration::from_secs(10),
            tcp_keepalive: None,
            ingress_class: "istio".to_owned(),
            ingress_service: "istio-ingressgateway".to_owned(),
            ingress_controller_mode: IngressControllerMode::Strict,
            ingress_selector: "ingressgateway".to_owned(),
            enable_tracing: true,
            access_log_file: String::new(),
            access_log_format: String::new(),
            access_log_encoding: AccessLogEncoding::Text,
            enable_envoy_access_log_service: false,
            disable_envoy_listener_log: false,
            default_config: ProxyConfig::default(),
            outbound_traffic_policy: OutboundTrafficPolicy::default(),
            inbound_traffic_policy: InboundTrafficPolicy::default(),
            config_sources: Vec::new(),
            enable_auto_mtls: true,
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            ca_certificates: Vec::new(),
            default_service_export_to: everywhere(),
            default_virtual_service_export_to: everywhere(),
            default_destination_rule_export_to: everywhere(),
            root_namespace: "istio-system".to_owned(),
            locality_lb_setting: Some(LocalityLbSetting {
                enabled: Some(true),
                ..LocalityLbSetting::default()
            }),
            zone_aware_lb_setting: None,
            dns_refresh_rate: Duration::from_secs(60),
            h2_upgrade_policy: H2UpgradePolicy::DoNotUpgrade,
            inbound_cluster_stat_name: String::new(),
            outbound_cluster_stat_name: String::new(),
            enable_prometheus_merge: true,
            verify_certificate_at_client: Some(true),
            path_normalization: PathNormalization::default(),
            default_http_retry_policy: None,
            mesh_mtls: None,
            tls_defaults: None,
            protocol_detection_timeout: Duration::ZERO,
            service_settings: Vec::new(),
            extension_providers: ExtensionProvider::built_in(),
            default_providers: DefaultProviders::default(),
            discovery_selectors: Vec::new(),
            service_scope_configs: Vec::new(),
        }
    }
}

impl MeshConfig {
    /// Reads what a user wrote over the defaults. Providers of the user's are added to the built-in ones; one of the
    /// same name takes its place.
    ///
    /// # Errors
    /// The first value that does not fit its field.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let mut config: Self = decode(value)?;
        for provider in ExtensionProvider::built_in() {
            if config.extension_providers.iter().all(|it| it.name != provider.name) {
                config.extension_providers.push(provider);
            }
        }
        Ok(config)
    }
}

message! {
    /// What happens to inbound traffic on unknown ports.
    pub struct InboundTrafficPolicy {
        /// Whether the workload or the loopback interface gets it.
        pub mode: InboundTrafficPolicyMode,
    }

    /// A place configuration comes from.
    pub struct ConfigSource {
        /// Address: `k8s://`, `xds://` or `fs://`.
        pub address: String,
    }

    /// Certificates of authorities.
    pub struct CertificateData {
        /// In PEM.
        pub pem: Option<String>,
        /// Address of a SPIFFE bundle.
        pub spiffe_bundle_url: Option<String>,
        /// Signers they belong to.
        pub cert_signers: Vec<String>,
        /// Trust domains they are for.
        pub trust_domains: Vec<String>,
    }

    /// Changes of how paths are compared.
    pub struct PathNormalization {
        /// What is changed.
        pub normalization: NormalizationType,
    }

    /// Lowest version of TLS and cipher suites.
    pub struct TlsConfig {
        /// Lowest version.
        pub min_protocol_version: TlsProtocol,
        /// Curves for ECDH.
        pub ecdh_curves: Vec<String>,
        /// Cipher suites up to TLS 1.2.
        pub cipher_suites: Vec<String>,
    }

    /// Settings of services.
    pub struct ServiceSettings {
        /// The settings.
        pub settings: ServiceSetting,
        /// Hosts they are for, `*.`-wildcards allowed.
        pub hosts: Vec<String>,
    }

    /// Settings of a service.
    pub struct ServiceSetting {
        /// Whether only endpoints of the same cluster are used.
        pub cluster_local: bool,
    }

    /// Providers that are used by default, by name.
    pub struct DefaultProviders {
        /// For traces.
        pub tracing: Vec<String>,
        /// For metrics.
        pub metrics: Vec<String>,
        /// For access logs.
        pub access_logging: Vec<String>,
    }
}

/// What happens to traffic to unknown services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Whether it is let through; it is when nothing is said.
    pub mode: OutboundTrafficPolicyMode,
    /// Not used here.
    pub egress_proxy: Option<Destination>,
}

impl Default for OutboundTrafficPolicy {
    fn default() -> Self {
        Self { mode: OutboundTrafficPolicyMode::AllowAny, egress_proxy: None }
    }
}

choice! {
    /// Which Ingresses are served.
    pub enum IngressControllerMode {
        /// The default, which is `STRICT`.
        Unspecified = "UNSPECIFIED",
        /// None.
        Off = "OFF",
        /// Those without a class or with the right one.
        Default = "DEFAULT",
        /// Those with the right class.
        Strict = "STRICT",
    }

    /// Whether access logs are text or JSON.
    pub enum AccessLogEncoding {
        /// Text.
        Text = "TEXT",
        /// JSON.
        Json = "JSON",
    }

    /// Who gets inbound traffic on unknown ports.
    pub enum InboundTrafficPolicyMode {
        /// The workload, under the address that the client used.
        Passthrough = "PASSTHROUGH",
        /// The workload, under its loopback address.
        Localhost = "LOCALHOST",
    }

    /// Changes of how paths are compared.
    pub enum NormalizationType {
        /// `BASE`.
        Default = "DEFAULT",
        /// None.
        None = "NONE",
        /// RFC 3986 and backslashes.
        Base = "BASE",
        /// And adjacent slashes are one.
        MergeSlashes = "MERGE_SLASHES",
        /// And escaped slashes are slashes.
        DecodeAndMergeSlashes = "DECODE_AND_MERGE_SLASHES",
    }
}
