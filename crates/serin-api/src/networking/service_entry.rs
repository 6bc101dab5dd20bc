//! ServiceEntry: a service that the registry does not know by itself.

use crate::networking::WorkloadEntry;
use crate::values::WorkloadSelector;

resource! {
    ServiceEntry: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "serviceentries"
    short ["se"]
    columns [
        ("Hosts", "string", ".spec.hosts", "Hosts of the service"),
        ("Location", "string", ".spec.location", "Whether the service belongs to the mesh"),
        ("Resolution", "string", ".spec.resolution", "How endpoints are found"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// A service with its names, ports and endpoints.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1", "message": "only one of WorkloadSelector or Endpoints can be set"},
        {"rule": "!(has(self.addresses) && self.addresses.exists(k, k.contains('/')) && has(self.resolution) && self.resolution != 'STATIC' && self.resolution != 'NONE')", "message": "CIDR addresses are allowed only for NONE/STATIC resolution types"},
        {"rule": "!(has(self.endpoints) && self.endpoints.size() > 0 && (!has(self.resolution) || self.resolution == 'NONE'))", "message": "NONE mode cannot set endpoints"},
        {"rule": "!(has(self.resolution) && self.resolution == 'DNS_ROUND_ROBIN' && has(self.endpoints) && self.endpoints.size() > 1)", "message": "DNS_ROUND_ROBIN mode cannot have multiple endpoints"},
    ]))]
    pub struct ServiceEntry {
        /// Names of the service, `*.`-wildcards allowed where no name needs to be resolved.
        #[schemars(extend("x-required" = true), length(min = 1, max = 256))]
        #[schemars(extend("x-kubernetes-validations" = [{"rule": "self.all(host, host != '*')", "message": "hostname cannot be wildcard"}]))]
        pub hosts: Vec<String>,
        /// Virtual addresses, or CIDR blocks, that are the service's.
        #[schemars(length(max = 256))]
        pub addresses: Vec<String>,
        /// Ports of the service.
        #[schemars(length(max = 256))]
        #[schemars(extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = [{"rule": "self.all(l1, self.exists_one(l2, l1.number == l2.number))", "message": "port number cannot be duplicated"}]
        ))]
        pub ports: Vec<ServicePort>,
        /// Whether the service belongs to the mesh.
        pub location: Location,
        /// How endpoints are found.
        pub resolution: Resolution,
        /// Endpoints. Not together with `workloadSelector`.
        #[schemars(length(max = 4096))]
        pub endpoints: Vec<WorkloadEntry>,
        /// Pods and WorkloadEntries of the namespace that are endpoints. Only for services of the mesh.
        pub workload_selector: Option<WorkloadSelector>,
        /// Namespaces that see this service: `.` this one, `*` all, or names. Absent means the mesh default.
        pub export_to: Vec<String>,
        /// Names one of which a server's certificate must have.
        pub subject_alt_names: Vec<String>,
    }

    /// A port of a service.
    pub struct ServicePort {
        /// Port that clients address.
        #[schemars(extend("x-required" = true), extend("x-kubernetes-validations" = [{"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"}]))]
        pub number: u32,
        /// Protocol: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.
        #[schemars(length(max = 256))]
        pub protocol: String,
        /// A name, unique among the ports.
        #[schemars(extend("x-required" = true), length(max = 256))]
        pub name: String,
        /// Port of the endpoints; `number` when absent.
        #[schemars(extend("x-kubernetes-validations" = [{"rule": "0 < self && self <= 65535", "message": "port must be between 1-65535"}]))]
        pub target_port: u32,
    }
}

choice! {
    /// Whether a service belongs to the mesh.
    pub enum Location {
        /// It does not: no mutual TLS towards it.
        MeshExternal = "MESH_EXTERNAL",
        /// It does.
        MeshInternal = "MESH_INTERNAL",
    }

    /// How the endpoints of a service are found.
    pub enum Resolution {
        /// The address that the client connected to is the endpoint.
        None = "NONE",
        /// The addresses of `endpoints`.
        Static = "STATIC",
        /// By resolving names, all addresses being endpoints.
        Dns = "DNS",
        /// By resolving a name, the first address being the endpoint of new connections.
        DnsRoundRobin = "DNS_ROUND_ROBIN",
        /// By resolving the host of each request.
        DynamicDns = "DYNAMIC_DNS",
    }
}
