//! GRPCRoute.

use crate::gateway_api::{
    HttpHeaderFilter, HttpRequestMirrorFilter, HttpValueMatch, LocalObjectReference,
    ParentReference, SessionPersistence, ValueMatchType,
};

resource! {
    GrpcRoute as "GRPCRoute": "gateway.networking.k8s.io", ["v1", "v1alpha2"], "grpcroutes"
    columns [
        ("Hostnames", "string", ".spec.hostnames", "Hosts of the route"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// Where gRPC requests go.
    pub struct GrpcRoute {
        /// What the route is attached to.
        #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
        pub parent_refs: Vec<ParentReference>,
        /// Whether the route is attached to default gateways: `All` or `None`.
        pub use_default_gateways: Option<String>,
        /// Hosts, `*.`-wildcards allowed. None at all is those of the listener.
        #[schemars(
            length(max = 16),
            inner(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")),
            extend("x-kubernetes-list-type" = "atomic")
        )]
        pub hostnames: Vec<String>,
        /// Rules.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub rules: Vec<GrpcRouteRule>,
    }

    /// Conditions, changes and destinations.
    pub struct GrpcRouteRule {
        /// Name, unique in the route.
        #[schemars(length(min = 1, max = 253))]
        pub name: Option<String>,
        /// Conditions, one of which must hold. None at all always holds.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
        pub matches: Vec<GrpcRouteMatch>,
        /// Changes of every request of the rule.
        #[schemars(length(max = 16), extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = [
                {"rule": "self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1", "message": "RequestHeaderModifier filter cannot be repeated"},
                {"rule": "self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1", "message": "ResponseHeaderModifier filter cannot be repeated"},
            ]
        ))]
        pub filters: Vec<GrpcRouteFilter>,
        /// Destinations that share the requests by weight.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub backend_refs: Vec<GrpcBackendRef>,
        /// Requests of a session go to the same endpoint.
        pub session_persistence: Option<SessionPersistence>,
    }

    /// Conditions on a request; all of them must hold.
    pub struct GrpcRouteMatch {
        /// Service and method.
        pub method: Option<GrpcMethodMatch>,
        /// Headers (metadata).
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub headers: Vec<HttpValueMatch>,
    }

    /// A condition on service and method.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "has(self.type) ? has(self.service) || has(self.method) : true", "message": "One or both of 'service' or 'method' must be specified"},
    ]))]
    pub struct GrpcMethodMatch {
        /// How they are compared.
        #[serde(rename = "type")]
        #[schemars(extend("default" = "Exact"))]
        pub match_type: ValueMatchType,
        /// Service. Absent is any.
        #[schemars(length(max = 1024))]
        pub service: Option<String>,
        /// Method. Absent is any.
        #[schemars(length(max = 1024))]
        pub method: Option<String>,
    }

    /// A change of a request or its response.
    pub struct GrpcRouteFilter {
        /// Which of the following it is.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub filter_type: Option<GrpcRouteFilterType>,
        /// Changes of request headers.
        pub request_header_modifier: Option<HttpHeaderFilter>,
        /// Changes of response headers.
        pub response_header_modifier: Option<HttpHeaderFilter>,
        /// A copy of the request.
        pub request_mirror: Option<HttpRequestMirrorFilter>,
        /// A filter of the implementation's.
        pub extension_ref: Option<LocalObjectReference>,
    }

    /// A destination, its share, and changes for it alone.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true", "message": "Must have port for Service reference"},
    ]))]
    pub struct GrpcBackendRef {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Service` when absent.
        #[schemars(length(min = 1, max = 63), extend("default" = "Service"))]
        pub kind: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Namespace; that of the route when absent. Another namespace must grant it.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
        pub namespace: Option<String>,
        /// Port of the service.
        #[schemars(range(min = 1, max = 65535))]
        pub port: Option<i32>,
        /// Share relative to the sum of all weights; 1 when absent.
        #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1))]
        pub weight: Option<i32>,
        /// Changes of the requests that go there.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub filters: Vec<GrpcRouteFilter>,
    }
}

choice! {
    /// What a filter does.
    pub enum GrpcRouteFilterType {
        /// Change request headers.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Change response headers.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Send a copy.
        RequestMirror = "RequestMirror",
        /// What the implementation defines.
        ExtensionRef = "ExtensionRef",
    }
}
