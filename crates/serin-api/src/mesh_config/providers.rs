//! Services that metrics, traces, access logs and authorization come from, by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::values::Duration;

message! {
    /// A named provider. One of the fields beside the name is set.
    pub struct ExtensionProvider {
        /// Name that policies and Telemetry use.
        pub name: String,
        /// Authorization asked by HTTP.
        pub envoy_ext_authz_http: Option<ExtAuthzHttp>,
        /// Authorization asked by gRPC.
        pub envoy_ext_authz_grpc: Option<ExtAuthzGrpc>,
        /// Traces to Zipkin.
        pub zipkin: Option<TracingProvider>,
        /// Traces to Lightstep.
        pub lightstep: Option<TracingProvider>,
        /// Traces to Datadog.
        pub datadog: Option<TracingProvider>,
        /// Traces to SkyWalking.
        pub skywalking: Option<TracingProvider>,
        /// Traces to OpenTelemetry.
        pub opentelemetry: Option<OpenTelemetryProvider>,
        /// Traces to OpenCensus, which is gone.
        pub opencensus: Option<TracingProvider>,
        /// Metrics for Prometheus.
        pub prometheus: Option<PrometheusProvider>,
        /// Metrics, traces and logs to Google Cloud.
        pub stackdriver: Option<StackdriverProvider>,
        /// Access logs to a file.
        pub envoy_file_access_log: Option<FileAccessLogProvider>,
        /// Access logs of HTTP by gRPC.
        pub envoy_http_als: Option<GrpcAccessLogProvider>,
        /// Access logs of TCP by gRPC.
        pub envoy_tcp_als: Option<GrpcAccessLogProvider>,
        /// Access logs to OpenTelemetry.
        pub envoy_otel_als: Option<OtelAccessLogProvider>,
        /// Certificates from another service.
        pub sds: Option<SdsProvider>,
    }

    /// Authorization asked by HTTP.
    pub struct ExtAuthzHttp {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// How long an answer may take. Absent is 600 s.
        pub timeout: Option<Duration>,
        /// Prefix of the path.
        pub path_prefix: String,
        /// Whether requests pass when it cannot be asked.
        pub fail_open: bool,
        /// Whether the route is chosen again after headers were changed.
        pub clear_route_cache: bool,
        /// Status when it cannot be asked; 403 when empty.
        pub status_on_error: String,
        /// Deprecated: use `includeRequestHeadersInCheck`.
        pub include_headers_in_check: Vec<String>,
        /// Request headers that are sent.
        pub include_request_headers_in_check: Vec<String>,
        /// Further headers that are sent.
        pub include_additional_headers_in_check: BTreeMap<String, String>,
        /// Whether the body is sent.
        pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
        /// Headers of the answer that the service gets.
        pub headers_to_upstream_on_allow: Vec<String>,
        /// Headers of the answer that the client gets on refusal.
        pub headers_to_downstream_on_deny: Vec<String>,
        /// Headers of the answer that the client gets otherwise.
        pub headers_to_downstream_on_allow: Vec<String>,
    }

    /// Authorization asked by gRPC.
    pub struct ExtAuthzGrpc {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// How long an answer may take. Absent is 600 s.
        pub timeout: Option<Duration>,
        /// Whether requests pass when it cannot be asked.
        pub fail_open: bool,
        /// Whether the route is chosen again after headers were changed.
        pub clear_route_cache: bool,
        /// Status when it cannot be asked; 403 when empty.
        pub status_on_error: String,
        /// Whether the body is sent.
        pub include_request_body_in_check: Option<ExtAuthzRequestBody>,
    }

    /// The body in a question of authorization.
    pub struct ExtAuthzRequestBody {
        /// How many bytes at most.
        pub max_request_bytes: u32,
        /// Whether a part is sent when there are more.
        pub allow_partial_message: bool,
        /// Whether it is sent as bytes.
        pub pack_as_bytes: bool,
    }

    /// A service that gets traces.
    pub struct TracingProvider {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Longest path in a tag; 256 when 0.
        pub max_tag_length: u32,
        /// Whether trace ids have 64 bits.
        #[serde(rename = "enable64bitTraceId")]
        pub enable_64bit_trace_id: bool,
        /// Path.
        pub path: String,
        /// Token.
        pub access_token: String,
        /// Which headers carry the context.
        pub trace_context_option: String,
        /// How long sending may take.
        pub timeout: Option<Duration>,
    }

    /// Traces to OpenTelemetry.
    pub struct OpenTelemetryProvider {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Longest path in a tag; 256 when 0.
        pub max_tag_length: u32,
        /// By HTTP instead of gRPC.
        pub http: Option<OpenTelemetryHttp>,
        /// Settings for gRPC.
        pub grpc: Option<OpenTelemetryGrpc>,
        /// Where attributes of the resource come from.
        pub resource_detectors: Option<Map<String, Value>>,
    }

    /// Traces by HTTP.
    pub struct OpenTelemetryHttp {
        /// Path.
        pub path: String,
        /// How long sending may take.
        pub timeout: Option<Duration>,
        /// Headers to send.
        pub headers: Vec<ProviderHeader>,
    }

    /// Traces by gRPC.
    pub struct OpenTelemetryGrpc {
        /// How long sending may take.
        pub timeout: Option<Duration>,
        /// Metadata to send.
        pub initial_metadata: Vec<ProviderHeader>,
    }

    /// A header to send.
    pub struct ProviderHeader {
        /// Name.
        pub name: String,
        /// Value.
        pub value: Option<String>,
        /// Environment variable with the value.
        pub env_name: Option<String>,
    }

    /// Metrics for Prometheus.
    pub struct PrometheusProvider {}

    /// Metrics, traces and logs to Google Cloud.
    pub struct StackdriverProvider {
        /// Longest path in a tag.
        pub max_tag_length: u32,
        /// Logs.
        pub logging: Option<Map<String, Value>>,
    }

    /// Access logs to a file.
    pub struct FileAccessLogProvider {
        /// File; `/dev/stdout` when empty.
        pub path: String,
        /// Format.
        pub log_format: Option<AccessLogFormat>,
        /// Whether empty values are left out.
        pub omit_empty_values: bool,
    }

    /// Format of access logs.
    pub struct AccessLogFormat {
        /// As text.
        pub text: Option<String>,
        /// As JSON.
        pub labels: Option<Map<String, Value>>,
    }

    /// Access logs by gRPC.
    pub struct GrpcAccessLogProvider {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Name of the log.
        pub log_name: String,
        /// Filter state to log.
        pub filter_state_objects_to_log: Vec<String>,
        /// Further request headers to log.
        pub additional_request_headers_to_log: Vec<String>,
        /// Further response headers to log.
        pub additional_response_headers_to_log: Vec<String>,
        /// Further response trailers to log.
        pub additional_response_trailers_to_log: Vec<String>,
    }

    /// Access logs to OpenTelemetry.
    pub struct OtelAccessLogProvider {
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
        /// Name of the log.
        pub log_name: String,
        /// Format.
        pub log_format: Option<AccessLogFormat>,
    }

    /// Certificates from another service.
    pub struct SdsProvider {
        /// Name of the provider.
        pub name: String,
        /// Service, `namespace/host` or a host.
        pub service: String,
        /// Port.
        pub port: u32,
    }
}

impl ExtensionProvider {
    /// The providers that every mesh has.
    pub fn built_in() -> Vec<Self> {
        let named = |name: &str| Self { name: name.to_owned(), ..Self::default() };
        vec![
            Self { prometheus: Some(PrometheusProvider::default()), ..named("prometheus") },
            Self { stackdriver: Some(StackdriverProvider::default()), ..named("stackdriver") },
            Self {
                envoy_file_access_log: Some(FileAccessLogProvider {
                    path: "/dev/stdout".to_owned(),
                    ..FileAccessLogProvider::default()
                }),
                ..named("envoy")
            },
        ]
    }
}
