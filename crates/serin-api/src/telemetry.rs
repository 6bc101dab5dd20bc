//! Telemetry: what is measured, traced and logged.

use std::collections::BTreeMap;

use crate::values::{Duration, PolicySelector, TargetRef};

resource! {
    Telemetry: "telemetry.istio.io", ["v1", "v1alpha1"], "telemetries"
    short ["telemetry"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

message! {
    /// Metrics, traces and access logs of some workloads.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1", "message": "only one of targetRefs or selector can be set"},
    ]))]
    pub struct Telemetry {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// Deprecated: use `targetRefs`.
        pub target_ref: Option<TargetRef>,
        /// Gateways and services that the settings are attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// Traces.
        pub tracing: Vec<Tracing>,
        /// Metrics.
        pub metrics: Vec<Metrics>,
        /// Access logs.
        pub access_logging: Vec<AccessLogging>,
    }

    /// Settings of traces.
    pub struct Tracing {
        /// Which side of a connection.
        #[serde(rename = "match")]
        pub condition: Option<TracingSelector>,
        /// Providers that the mesh configuration defines; at most one is used.
        pub providers: Vec<ProviderRef>,
        /// Percent of requests that are traced when the client has not decided.
        #[schemars(range(min = 0.0, max = 100.0))]
        #[schemars(extend("x-nullable" = true))]
        pub random_sampling_percentage: Option<f64>,
        /// Pass trace context on, but report no spans.
        #[schemars(extend("x-nullable" = true))]
        pub disable_span_reporting: Option<bool>,
        /// Tags of spans by name.
        pub custom_tags: BTreeMap<String, CustomTag>,
        /// Of no effect; kept so that old objects can be read.
        #[schemars(extend("x-nullable" = true))]
        pub use_request_id_for_trace_sampling: Option<bool>,
        /// Whether spans carry the mesh's own tags. Absent is yes.
        #[schemars(extend("x-nullable" = true))]
        pub enable_istio_tags: Option<bool>,
    }

    /// Which side of a connection is traced.
    pub struct TracingSelector {
        /// The side.
        pub mode: WorkloadMode,
    }

    /// A provider by its name.
    pub struct ProviderRef {
        /// Name in the mesh configuration.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub name: String,
    }

    /// Where the value of a tag comes from.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [
            {"required": ["literal"]}, {"required": ["environment"]}, {"required": ["header"]}, {"required": ["formatter"]},
        ]}},
        {"required": ["literal"]},
        {"required": ["environment"]},
        {"required": ["header"]},
        {"required": ["formatter"]},
    ]))]
    pub struct CustomTag {
        /// A fixed value.
        pub literal: Option<LiteralTag>,
        /// An environment variable of the proxy.
        pub environment: Option<EnvironmentTag>,
        /// A header of the request.
        pub header: Option<HeaderTag>,
        /// An access log format string.
        pub formatter: Option<FormatterTag>,
    }

    /// A fixed value.
    pub struct LiteralTag {
        /// The value.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub value: String,
    }

    /// The value of an environment variable.
    pub struct EnvironmentTag {
        /// Name of the variable.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub name: String,
        /// Value when it is not set.
        pub default_value: String,
    }

    /// The value of a request header.
    pub struct HeaderTag {
        /// Name of the header.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub name: String,
        /// Value when it is absent.
        pub default_value: String,
    }

    /// An access log format string.
    pub struct FormatterTag {
        /// The format.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub value: String,
    }

    /// Settings of metrics.
    pub struct Metrics {
        /// Providers that the mesh configuration defines.
        pub providers: Vec<ProviderRef>,
        /// Changes of single metrics, applied in order.
        pub overrides: Vec<MetricsOverrides>,
        /// Time between reports, for providers that push. Absent is 5 s.
        #[schemars(extend("x-positive-duration" = true))]
        pub reporting_interval: Option<Duration>,
    }

    /// A change of metrics.
    pub struct MetricsOverrides {
        /// Which metrics. Absent is all.
        #[serde(rename = "match")]
        pub condition: Option<MetricSelector>,
        /// Whether the metric is not kept.
        #[schemars(extend("x-nullable" = true))]
        pub disabled: Option<bool>,
        /// Changes of tags by name.
        pub tag_overrides: BTreeMap<String, TagOverride>,
    }

    /// Which metrics.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [{"required": ["metric"]}, {"required": ["customMetric"]}]}},
        {"required": ["metric"]},
        {"required": ["customMetric"]},
    ]))]
    pub struct MetricSelector {
        /// A metric of the mesh.
        pub metric: Option<IstioMetric>,
        /// A metric by its name.
        #[schemars(length(min = 1))]
        pub custom_metric: Option<String>,
        /// The side of a connection.
        pub mode: WorkloadMode,
    }

    /// A change of a tag.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "((has(self.operation) ? self.operation : '') == 'UPSERT') ? ((has(self.value) ? self.value : '') != '') : true", "message": "value must be set when operation is UPSERT"},
        {"rule": "((has(self.operation) ? self.operation : '') == 'REMOVE') ? !has(self.value) : true", "message": "value must not be set when operation is REMOVE"},
    ]))]
    pub struct TagOverride {
        /// Set or remove.
        pub operation: TagOperation,
        /// Value to set, a CEL expression.
        pub value: String,
    }

    /// Settings of access logs.
    pub struct AccessLogging {
        /// Which side of a connection.
        #[serde(rename = "match")]
        pub condition: Option<LogSelector>,
        /// Providers that the mesh configuration defines.
        pub providers: Vec<ProviderRef>,
        /// Whether nothing is logged.
        #[schemars(extend("x-nullable" = true))]
        pub disabled: Option<bool>,
        /// Which requests are logged.
        pub filter: Option<LogFilter>,
    }

    /// Which side of a connection is logged.
    pub struct LogSelector {
        /// The side.
        pub mode: WorkloadMode,
    }

    /// Which requests are logged.
    pub struct LogFilter {
        /// A CEL expression over request, response and connection attributes.
        pub expression: String,
    }
}

choice! {
    /// A side of a connection, as seen from the workload.
    pub enum WorkloadMode {
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
        /// Where the workload is the client.
        Client = "CLIENT",
        /// Where the workload is the server.
        Server = "SERVER",
    }

    /// A metric of the mesh.
    pub enum IstioMetric {
        /// All of them.
        All = "ALL_METRICS",
        /// Requests.
        RequestCount = "REQUEST_COUNT",
        /// Time to answer.
        RequestDuration = "REQUEST_DURATION",
        /// Size of requests.
        RequestSize = "REQUEST_SIZE",
        /// Size of responses.
        ResponseSize = "RESPONSE_SIZE",
        /// Connections opened.
        TcpOpenedConnections = "TCP_OPENED_CONNECTIONS",
        /// Connections closed.
        TcpClosedConnections = "TCP_CLOSED_CONNECTIONS",
        /// Bytes sent.
        TcpSentBytes = "TCP_SENT_BYTES",
        /// Bytes received.
        TcpReceivedBytes = "TCP_RECEIVED_BYTES",
        /// gRPC messages of requests.
        GrpcRequestMessages = "GRPC_REQUEST_MESSAGES",
        /// gRPC messages of responses.
        GrpcResponseMessages = "GRPC_RESPONSE_MESSAGES",
    }

    /// A change of a tag.
    pub enum TagOperation {
        /// Set it.
        Upsert = "UPSERT",
        /// Remove it.
        Remove = "REMOVE",
    }
}
