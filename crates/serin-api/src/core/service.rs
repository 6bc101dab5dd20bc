//! Service and the lists of its endpoints.

use std::collections::BTreeMap;

use crate::values::IntOrString;

resource! { Service: "", ["v1"], "services" short ["svc"] }
resource! { EndpointSlice: "discovery.k8s.io", ["v1"], "endpointslices" has_spec false }
resource! { Endpoints: "", ["v1"], "endpoints" short ["ep"] has_spec false }

message! {
    /// A name and address for a set of pods.
    pub struct Service {
        /// `ClusterIP` (also when empty), `NodePort`, `LoadBalancer` or `ExternalName`.
        #[serde(rename = "type")]
        pub service_type: String,
        /// Labels of the pods. None at all: the endpoints are written by someone else.
        pub selector: BTreeMap<String, String>,
        /// Ports.
        pub ports: Vec<ServicePort>,
        /// Address; `None` for headless.
        #[serde(rename = "clusterIP")]
        pub cluster_ip: String,
        /// All addresses.
        #[serde(rename = "clusterIPs")]
        pub cluster_ips: Vec<String>,
        /// Name that an `ExternalName` Service stands for.
        pub external_name: String,
        /// Further addresses under which it is reached.
        #[serde(rename = "externalIPs")]
        pub external_ips: Vec<String>,
        /// Address that its load balancer shall have.
        #[serde(rename = "loadBalancerIP")]
        pub load_balancer_ip: String,
        /// Whether endpoints that are not ready count.
        pub publish_not_ready_addresses: bool,
        /// `ClientIP` or `None`.
        pub session_affinity: String,
        /// `Local` keeps traffic on the machine.
        pub internal_traffic_policy: Option<String>,
        /// `Local` keeps traffic from outside on the machine.
        pub external_traffic_policy: String,
        /// Preference of endpoints: `PreferClose`, `PreferSameZone`, `PreferSameNode`.
        pub traffic_distribution: Option<String>,
        /// Families of its addresses: `IPv4`, `IPv6`.
        pub ip_families: Vec<String>,
        /// How many families it has: `SingleStack`, `PreferDualStack`, `RequireDualStack`.
        pub ip_family_policy: Option<String>,
    }

    /// A port of a Service.
    pub struct ServicePort {
        /// Name, which may begin with the protocol: `http-web`.
        pub name: String,
        /// `TCP` (also when empty), `UDP` or `SCTP`.
        pub protocol: String,
        /// Application protocol; goes before the one in the name.
        pub app_protocol: Option<String>,
        /// Number.
        pub port: i32,
        /// Port of the pods, by number or by name. Absent is `port`.
        pub target_port: Option<IntOrString>,
        /// Port of the machines.
        pub node_port: i32,
    }

    /// State of a Service.
    pub struct ServiceStatus {
        /// State of its load balancer.
        pub load_balancer: LoadBalancerStatus,
    }

    /// State of a load balancer.
    pub struct LoadBalancerStatus {
        /// Where it is reached.
        pub ingress: Vec<LoadBalancerIngress>,
    }

    /// An address of a load balancer.
    pub struct LoadBalancerIngress {
        /// IP address.
        pub ip: String,
        /// Name.
        pub hostname: String,
    }

    /// Some endpoints of a Service, which the label `kubernetes.io/service-name` names.
    pub struct EndpointSlice {
        /// `IPv4`, `IPv6` or `FQDN`.
        pub address_type: String,
        /// The endpoints.
        pub endpoints: Vec<Endpoint>,
        /// Ports that all of them have.
        pub ports: Vec<EndpointPort>,
    }

    /// An endpoint.
    pub struct Endpoint {
        /// Addresses.
        pub addresses: Vec<String>,
        /// State.
        pub conditions: EndpointConditions,
        /// Host name.
        pub hostname: Option<String>,
        /// The pod.
        pub target_ref: Option<ObjectReference>,
        /// Machine it is on.
        pub node_name: Option<String>,
        /// Zone it is in.
        pub zone: Option<String>,
    }

    /// State of an endpoint.
    pub struct EndpointConditions {
        /// Whether it takes traffic. Absent is yes.
        pub ready: Option<bool>,
        /// Whether it could take traffic, terminating or not. Absent is as `ready`.
        pub serving: Option<bool>,
        /// Whether it is being stopped.
        pub terminating: Option<bool>,
    }

    /// A port of endpoints.
    pub struct EndpointPort {
        /// Name of the Service's port.
        pub name: Option<String>,
        /// Number.
        pub port: Option<i32>,
        /// `TCP` (also when absent), `UDP` or `SCTP`.
        pub protocol: Option<String>,
        /// Application protocol.
        pub app_protocol: Option<String>,
    }

    /// An object by its name.
    pub struct ObjectReference {
        /// API group and version.
        pub api_version: String,
        /// Kind.
        pub kind: String,
        /// Namespace.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Identity.
        pub uid: String,
    }

    /// All endpoints of the Service of the same name.
    pub struct Endpoints {
        /// Groups of endpoints with the same ports.
        pub subsets: Vec<EndpointSubset>,
    }

    /// Endpoints with the same ports.
    pub struct EndpointSubset {
        /// Those that are ready.
        pub addresses: Vec<EndpointAddress>,
        /// Those that are not.
        pub not_ready_addresses: Vec<EndpointAddress>,
        /// Their ports.
        pub ports: Vec<EndpointPort>,
    }

    /// An endpoint.
    pub struct EndpointAddress {
        /// IP address.
        pub ip: String,
        /// Host name.
        pub hostname: String,
        /// Machine it is on.
        pub node_name: Option<String>,
        /// The pod.
        pub target_ref: Option<ObjectReference>,
    }
}
