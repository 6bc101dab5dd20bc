//! TLSRoute and TCPRoute.

use crate::gateway_api::{BackendRef, ParentReference};

resource! {
    TlsRoute as "TLSRoute": "gateway.networking.k8s.io", ["v1", "v1alpha3", "v1alpha2"], "tlsroutes"
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    TcpRoute as "TCPRoute": "gateway.networking.k8s.io", ["v1", "v1alpha2"], "tcproutes"
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

message! {
    /// Where TLS connections go, by server name.
    pub struct TlsRoute {
        /// What the route is attached to.
        #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
        pub parent_refs: Vec<ParentReference>,
        /// Whether the route is attached to default gateways: `All` or `None`.
        pub use_default_gateways: Option<String>,
        /// Server names, `*.`-wildcards allowed.
        #[schemars(
            length(max = 16),
            inner(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")),
            extend("x-kubernetes-list-type" = "atomic")
        )]
        pub hostnames: Vec<String>,
        /// Rules.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub rules: Vec<L4RouteRule>,
    }

    /// Where TCP connections go.
    pub struct TcpRoute {
        /// What the route is attached to.
        #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
        pub parent_refs: Vec<ParentReference>,
        /// Whether the route is attached to default gateways: `All` or `None`.
        pub use_default_gateways: Option<String>,
        /// Rules.
        #[schemars(extend("x-required" = true), length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub rules: Vec<L4RouteRule>,
    }

    /// Destinations of connections.
    pub struct L4RouteRule {
        /// Name, unique in the route.
        #[schemars(length(min = 1, max = 253))]
        pub name: Option<String>,
        /// Destinations that share the connections by weight.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub backend_refs: Vec<BackendRef>,
    }
}
