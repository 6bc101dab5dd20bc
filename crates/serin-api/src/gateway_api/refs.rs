//! References to other objects.

message! {
    /// What a route wants to be attached to.
    pub struct ParentReference {
        /// API group; `gateway.networking.k8s.io` when absent, empty for the core group.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"), extend("default" = "gateway.networking.k8s.io"))]
        pub group: Option<String>,
        /// Kind; `Gateway` when absent.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"), extend("default" = "Gateway"))]
        pub kind: Option<String>,
        /// Namespace; that of the route when absent.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
        pub namespace: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Name of a listener of a Gateway, or of a port of a Service. Absent is all of them.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub section_name: Option<String>,
        /// Port of a listener of a Gateway, or of a Service. Absent is all of them.
        #[schemars(range(min = 1, max = 65535))]
        pub port: Option<i32>,
    }

    /// Where traffic goes, and its share.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true", "message": "Must have port for Service reference"},
    ]))]
    pub struct BackendRef {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Service` when absent.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"), extend("default" = "Service"))]
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
    }

    /// Where copies of requests or questions of authorization go.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true", "message": "Must have port for Service reference"},
    ]))]
    pub struct BackendObjectReference {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Service` when absent.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"), extend("default" = "Service"))]
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
    }

    /// A Secret, or another object with a certificate.
    pub struct SecretObjectReference {
        /// API group; the core group when absent.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"), extend("default" = ""))]
        pub group: Option<String>,
        /// Kind; `Secret` when absent.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"), extend("default" = "Secret"))]
        pub kind: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Namespace; that of the referring object when absent. Another namespace must grant it.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
        pub namespace: Option<String>,
    }

    /// An object that may be in another namespace.
    pub struct ObjectReference {
        /// API group; empty for the core group.
        #[schemars(extend("x-required" = true), length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub group: String,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Namespace; that of the referring object when absent. Another namespace must grant it.
        #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
        pub namespace: Option<String>,
    }

    /// An object of the same namespace.
    pub struct LocalObjectReference {
        /// API group; empty for the core group.
        #[schemars(extend("x-required" = true), length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub group: String,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
    }

    /// The object of the same namespace that a policy is for, or a part of it.
    pub struct LocalPolicyTargetReferenceWithSectionName {
        /// API group; empty for the core group.
        #[schemars(extend("x-required" = true), length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub group: String,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Name of a port or of another part.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub section_name: Option<String>,
    }
}
