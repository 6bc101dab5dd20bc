//! WorkloadEntry and WorkloadGroup: workloads that are not pods.

use std::collections::BTreeMap;

resource! {
    WorkloadEntry: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "workloadentries"
    short ["we"]
    columns [
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
        ("Address", "string", ".spec.address", "Address of the workload"),
    ]
}

resource! {
    WorkloadGroup: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "workloadgroups"
    short ["wg"]
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

message! {
    /// A workload outside of pods, or an endpoint of a ServiceEntry.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "has(self.address) || has(self.network)", "message": "Address is required"},
        {"rule": "has(self.address) && self.address.startsWith('unix://') ? !has(self.ports) : true", "message": "UDS may not include ports"},
    ]))]
    pub struct WorkloadEntry {
        /// IP address, DNS name, or `unix://` and an absolute path.
        #[schemars(length(max = 256), extend("x-kubernetes-validations" = [
            {"rule": "self.startsWith('unix://') ? (self.substring(7, 8) == '/' || self.substring(7, 8) == '@') : true", "message": "UDS must be an absolute path or abstract socket"},
            {"rule": "self.startsWith('unix://') ? !self.endsWith('/') : true", "message": "UDS may not be a dir"},
        ]))]
        pub address: String,
        /// Port of the workload for each named port of the service.
        #[schemars(extend(
            "maxProperties" = 128,
            "additionalProperties" = {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32, "x-kubernetes-validations": [
                {"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"},
            ]},
            "x-kubernetes-validations" = [
                {"rule": "self.all(key, size(key) < 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))", "message": "port name must be valid"},
            ]
        ))]
        pub ports: BTreeMap<String, u32>,
        /// Labels.
        #[schemars(extend("maxProperties" = 256))]
        pub labels: BTreeMap<String, String>,
        /// Network the address belongs to.
        #[schemars(length(max = 2048))]
        pub network: String,
        /// Locality, `region/zone/subzone`.
        #[schemars(length(max = 2048))]
        pub locality: String,
        /// Share of the traffic relative to other endpoints. 0 is 1.
        pub weight: u32,
        /// Service account that the workload runs as.
        #[schemars(length(max = 253))]
        pub service_account: String,
    }

    /// A group of workloads that register themselves.
    pub struct WorkloadGroup {
        /// Metadata of the WorkloadEntries that are made.
        pub metadata: Option<WorkloadGroupMetadata>,
        /// What the WorkloadEntries have in common.
        #[schemars(extend("x-required" = true))]
        pub template: Option<WorkloadEntryTemplate>,
        /// How a workload is found ready.
        #[schemars(extend("oneOf" = [
            {"not": {"anyOf": [{"required": ["httpGet"]}, {"required": ["tcpSocket"]}, {"required": ["exec"]}, {"required": ["grpc"]}]}},
            {"required": ["httpGet"]},
            {"required": ["tcpSocket"]},
            {"required": ["exec"]},
            {"required": ["grpc"]},
        ]))]
        pub probe: Option<ReadinessProbe>,
    }

    /// Labels and annotations of WorkloadEntries.
    pub struct WorkloadGroupMetadata {
        /// Labels.
        #[schemars(extend("maxProperties" = 256))]
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        #[schemars(extend("maxProperties" = 256))]
        pub annotations: BTreeMap<String, String>,
    }

    /// What the workloads of a group have in common. The address comes from each workload.
    pub struct WorkloadEntryTemplate {
        /// Must be left out.
        #[schemars(length(max = 256), extend("x-kubernetes-validations" = [
            {"rule": "self.startsWith('unix://') ? (self.substring(7, 8) == '/' || self.substring(7, 8) == '@') : true", "message": "UDS must be an absolute path or abstract socket"},
            {"rule": "self.startsWith('unix://') ? !self.endsWith('/') : true", "message": "UDS may not be a dir"},
        ]))]
        pub address: String,
        /// Port of the workload for each named port of the service.
        #[schemars(extend(
            "maxProperties" = 128,
            "additionalProperties" = {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32, "x-kubernetes-validations": [
                {"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"},
            ]},
            "x-kubernetes-validations" = [
                {"rule": "self.all(key, size(key) < 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))", "message": "port name must be valid"},
            ]
        ))]
        pub ports: BTreeMap<String, u32>,
        /// Labels.
        #[schemars(extend("maxProperties" = 256))]
        pub labels: BTreeMap<String, String>,
        /// Network the addresses belong to.
        #[schemars(length(max = 2048))]
        pub network: String,
        /// Locality, `region/zone/subzone`.
        #[schemars(length(max = 2048))]
        pub locality: String,
        /// Share of the traffic relative to other endpoints. 0 is 1.
        pub weight: u32,
        /// Service account that the workloads run as.
        #[schemars(length(max = 253))]
        pub service_account: String,
    }

    /// How a workload is found ready. One kind of check may be set.
    pub struct ReadinessProbe {
        /// Seconds before the first check.
        #[schemars(range(min = 0))]
        pub initial_delay_seconds: i32,
        /// Seconds a check may take. 0 is 1.
        #[schemars(range(min = 0))]
        pub timeout_seconds: i32,
        /// Seconds between checks. 0 is 10.
        #[schemars(range(min = 0))]
        pub period_seconds: i32,
        /// Checks in a row that must succeed. 0 is 1.
        #[schemars(range(min = 0))]
        pub success_threshold: i32,
        /// Checks in a row that must fail. 0 is 3.
        #[schemars(range(min = 0))]
        pub failure_threshold: i32,
        /// Check by an HTTP request.
        pub http_get: Option<HttpHealthCheck>,
        /// Check by connecting.
        pub tcp_socket: Option<TcpHealthCheck>,
        /// Check by a command.
        pub exec: Option<ExecHealthCheck>,
        /// Check by gRPC's health protocol.
        pub grpc: Option<GrpcHealthCheck>,
    }

    /// A check by an HTTP request.
    pub struct HttpHealthCheck {
        /// Path.
        pub path: String,
        /// Port.
        #[schemars(extend("x-required" = true), extend("x-kubernetes-validations" = [{"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"}]))]
        pub port: u32,
        /// Host to connect to; the workload's address when empty.
        pub host: String,
        /// `HTTP` (also when empty) or `HTTPS`.
        #[schemars(extend("x-kubernetes-validations" = [{"rule": "self in ['', 'HTTP', 'HTTPS']", "message": "scheme must be one of [HTTP, HTTPS]"}]))]
        pub scheme: String,
        /// Headers to send.
        pub http_headers: Vec<HttpHeader>,
    }

    /// A header to send.
    pub struct HttpHeader {
        /// Name.
        #[schemars(regex(pattern = r"^[-_A-Za-z0-9]+$"))]
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// A check by connecting.
    pub struct TcpHealthCheck {
        /// Host to connect to; the workload's address when empty.
        pub host: String,
        /// Port.
        #[schemars(extend("x-required" = true), extend("x-kubernetes-validations" = [{"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"}]))]
        pub port: u32,
    }

    /// A check by a command.
    pub struct ExecHealthCheck {
        /// Program and arguments.
        #[schemars(extend("x-required" = true), inner(length(min = 1)))]
        pub command: Vec<String>,
    }

    /// A check by gRPC's health protocol.
    pub struct GrpcHealthCheck {
        /// Port.
        #[schemars(extend("x-kubernetes-validations" = [{"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"}]))]
        pub port: u32,
        /// Service to ask about.
        pub service: String,
    }
}

impl WorkloadEntryTemplate {
    /// The WorkloadEntry of one workload, without its address.
    pub fn to_entry(&self) -> WorkloadEntry {
        WorkloadEntry {
            address: self.address.clone(),
            ports: self.ports.clone(),
            labels: self.labels.clone(),
            network: self.network.clone(),
            locality: self.locality.clone(),
            weight: self.weight,
            service_account: self.service_account.clone(),
        }
    }
}
