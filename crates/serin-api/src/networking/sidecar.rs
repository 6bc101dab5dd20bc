//! Sidecar: what a workload's proxy accepts, and which services it knows.

use crate::networking::{ConnectionPoolSettings, Destination, ServerTlsSettings};
use crate::values::WorkloadSelector;

resource! {
    Sidecar: "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "sidecars"
}

message! {
    /// Listeners and reach of the proxies of some workloads.
    pub struct Sidecar {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub workload_selector: Option<WorkloadSelector>,
        /// Listeners for traffic to the workload. None at all derives them from its Services.
        pub ingress: Vec<IstioIngressListener>,
        /// Listeners for traffic from the workload and the services they know. None at all is everything visible.
        pub egress: Vec<IstioEgressListener>,
        /// Limits of connections to the workload.
        pub inbound_connection_pool: Option<ConnectionPoolSettings>,
        /// What happens to traffic to unknown services. Absent is the mesh default.
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    }

    /// A listener for traffic to the workload.
    pub struct IstioIngressListener {
        /// The port.
        #[schemars(extend("x-required" = true))]
        pub port: Option<SidecarPort>,
        /// Address to listen on.
        pub bind: String,
        /// How traffic reaches the listener.
        pub capture_mode: CaptureMode,
        /// Where traffic goes: `127.0.0.1:port`, `[::1]:port`, `0.0.0.0:port`, `[::]:port` or `unix://` and a path.
        pub default_endpoint: String,
        /// TLS that the proxy terminates.
        pub tls: Option<ServerTlsSettings>,
        /// Limits of connections of this listener.
        pub connection_pool: Option<ConnectionPoolSettings>,
    }

    /// A listener for traffic from the workload.
    pub struct IstioEgressListener {
        /// The port. Absent is every port of the services in `hosts` that no other listener has.
        pub port: Option<SidecarPort>,
        /// Address to listen on, or `unix://` and a path.
        pub bind: String,
        /// How traffic reaches the listener.
        pub capture_mode: CaptureMode,
        /// Services: `namespace/host`, with `*`, `.` and `~` for all, this and no namespace. `~` before a namespace, or
        /// before `/host`, takes services out again.
        #[schemars(extend("x-required" = true))]
        pub hosts: Vec<String>,
    }

    /// A port of a listener.
    pub struct SidecarPort {
        /// Port number.
        pub number: u32,
        /// Protocol: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.
        pub protocol: String,
        /// A name.
        pub name: String,
        /// Of no effect; kept so that old objects can be read.
        pub target_port: u32,
    }

    /// What happens to traffic to unknown services.
    pub struct OutboundTrafficPolicy {
        /// Whether it is let through.
        pub mode: OutboundTrafficPolicyMode,
        /// A service to which it is sent.
        pub egress_proxy: Option<Destination>,
    }
}

choice! {
    /// How traffic reaches a listener.
    pub enum CaptureMode {
        /// As the environment does it.
        Default = "DEFAULT",
        /// By redirection.
        Iptables = "IPTABLES",
        /// Because clients address it.
        None = "NONE",
    }

    /// Whether traffic to unknown services is let through.
    pub enum OutboundTrafficPolicyMode {
        /// It is not.
        RegistryOnly = "REGISTRY_ONLY",
        /// It is.
        AllowAny = "ALLOW_ANY",
    }
}
