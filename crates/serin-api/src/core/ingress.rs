//! Ingress and IngressClass.

use crate::values::IntOrString;

resource! {
    Ingress: "networking.k8s.io", ["v1"], "ingresses"
    short ["ing"]
}

resource! { IngressClass: "networking.k8s.io", ["v1"], "ingressclasses" scope Cluster }

message! {
    /// Which hosts and paths are reached from outside.
    pub struct Ingress {
        /// Class, which names the controller.
        pub ingress_class_name: Option<String>,
        /// Where requests go that no rule takes.
        pub default_backend: Option<IngressBackend>,
        /// Certificates.
        pub tls: Vec<IngressTls>,
        /// Rules by host.
        pub rules: Vec<IngressRule>,
    }

    /// A class of Ingresses.
    pub struct IngressClass {
        /// The controller that serves them.
        pub controller: String,
    }

    /// Where requests go.
    pub struct IngressBackend {
        /// A Service.
        pub service: Option<IngressServiceBackend>,
        /// Name of the Service, as versions before v1 have it.
        pub service_name: String,
        /// Port of the Service, as versions before v1 have it.
        pub service_port: Option<IntOrString>,
    }

    /// A Service.
    pub struct IngressServiceBackend {
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
        /// Port.
        pub port: Option<ServiceBackendPort>,
    }

    /// Port of a Service, by name or by number.
    pub struct ServiceBackendPort {
        /// Name.
        pub name: String,
        /// Number.
        pub number: i32,
    }

    /// A certificate for hosts.
    pub struct IngressTls {
        /// The hosts.
        pub hosts: Vec<String>,
        /// Secret with the certificate.
        pub secret_name: String,
    }

    /// Rules of one host.
    pub struct IngressRule {
        /// The host, or all when empty.
        pub host: String,
        /// The paths.
        pub http: Option<HttpIngressRuleValue>,
    }

    /// Paths of a host.
    pub struct HttpIngressRuleValue {
        /// The paths.
        pub paths: Vec<HttpIngressPath>,
    }

    /// A path and where its requests go.
    pub struct HttpIngressPath {
        /// The path.
        pub path: String,
        /// `Exact`, `Prefix` or `ImplementationSpecific`.
        pub path_type: Option<String>,
        /// Where requests go.
        pub backend: IngressBackend,
    }
}
