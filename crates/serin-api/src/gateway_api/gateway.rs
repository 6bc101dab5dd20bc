//! GatewayClass and Gateway.

use std::collections::BTreeMap;

use crate::gateway_api::{LocalObjectReference, ObjectReference, SecretObjectReference};
use crate::values::LabelSelector;

resource! {
    GatewayClass: "gateway.networking.k8s.io", ["v1", "v1beta1"], "gatewayclasses"
    short ["gc"]
    columns [
        ("Controller", "string", ".spec.controllerName", "Controller of the class"),
        ("Accepted", "string", ".status.conditions[?(@.type==\"Accepted\")].status", "Whether the class is served"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
    scope Cluster
}

resource! {
    Gateway: "gateway.networking.k8s.io", ["v1", "v1beta1"], "gateways"
    short ["gtw"]
    columns [
        ("Class", "string", ".spec.gatewayClassName", "Class of the gateway"),
        ("Address", "string", ".status.addresses[*].value", "Addresses of the gateway"),
        ("Programmed", "string", ".status.conditions[?(@.type==\"Programmed\")].status", "Whether the gateway serves"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// A kind of gateways and who serves them.
    pub struct GatewayClass {
        /// The controller: a domain and a path.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"), extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "Value is immutable"}]))]
        pub controller_name: String,
        /// Settings of the class.
        pub parameters_ref: Option<ObjectReference>,
        /// What the class is for.
        #[schemars(length(max = 64))]
        pub description: Option<String>,
    }

    /// A gateway: its listeners.
    pub struct Gateway {
        /// Class.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub gateway_class_name: String,
        /// Ports to listen on and what is served there.
        #[schemars(extend("x-required" = true), length(min = 1, max = 64), extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = [
                {"rule": "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)", "message": "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"},
                {"rule": "self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)", "message": "tls mode must be Terminate for protocol HTTPS"},
                {"rule": "self.all(l, (l.protocol == 'TLS' && has(l.tls)) ? has(l.tls.mode) && l.tls.mode != '' : true)", "message": "tls mode must be set for protocol TLS"},
                {"rule": "self.all(l, l.protocol in ['TCP', 'UDP']  ? (!has(l.hostname) || l.hostname == '') : true)", "message": "hostname must not be specified for protocols ['TCP', 'UDP']"},
                {"rule": "self.all(l1, self.exists_one(l2, l1.name == l2.name))", "message": "Listener name must be unique within the Gateway"},
                {"rule": "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))", "message": "Combination of port, protocol and hostname must be unique for each listener"},
            ]
        ))]
        pub listeners: Vec<Listener>,
        /// Addresses that are asked for.
        #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
        pub addresses: Vec<GatewayAddress>,
        /// Labels, annotations and settings of what serves the gateway.
        pub infrastructure: Option<GatewayInfrastructure>,
        /// Which ListenerSets may add listeners.
        pub allowed_listeners: Option<AllowedListeners>,
        /// TLS of all listeners and towards all backends.
        pub tls: Option<GatewayTlsConfig>,
        /// Whether routes that ask for a default gateway are attached: `All` or `None`.
        pub default_scope: Option<String>,
    }

    /// A port and what is served there.
    pub struct Listener {
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub name: String,
        /// Host, a `*.`-wildcard allowed. Absent is all hosts.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub hostname: Option<String>,
        /// Port number.
        #[schemars(extend("x-required" = true), range(min = 1, max = 65535))]
        pub port: i32,
        /// `HTTP`, `HTTPS`, `TLS`, `TCP` or `UDP`.
        #[schemars(extend("x-required" = true), length(min = 1, max = 255), regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$"))]
        pub protocol: String,
        /// TLS.
        pub tls: Option<ListenerTlsConfig>,
        /// Which routes may be attached. Absent: routes of the same namespace.
        #[schemars(extend("default" = {"namespaces": {"from": "Same"}}))]
        pub allowed_routes: Option<AllowedRoutes>,
    }

    /// TLS of a listener.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self.mode == 'Terminate' ? size(self.certificateRefs) > 0 || size(self.options) > 0 : true", "message": "certificateRefs or options must be specified when mode is Terminate"},
    ]))]
    pub struct ListenerTlsConfig {
        /// Whether TLS is terminated. Absent is `Terminate`.
        #[schemars(extend("default" = "Terminate"))]
        pub mode: Option<TlsMode>,
        /// Secrets with certificates.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
        pub certificate_refs: Vec<SecretObjectReference>,
        /// Settings of the implementation.
        #[schemars(extend("maxProperties" = 16))]
        pub options: BTreeMap<String, String>,
    }

    /// Which routes may be attached.
    pub struct AllowedRoutes {
        /// Their namespaces. Absent is the same.
        #[schemars(extend("default" = {"from": "Same"}))]
        pub namespaces: Option<RouteNamespaces>,
        /// Their kinds. None at all is those that fit the protocol.
        #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
        pub kinds: Vec<RouteGroupKind>,
    }

    /// Namespaces of routes.
    pub struct RouteNamespaces {
        /// Which. Absent is `Same`.
        #[schemars(extend("default" = "Same"))]
        pub from: Option<FromNamespaces>,
        /// Labels of the namespaces, for `Selector`.
        pub selector: Option<LabelSelector>,
    }

    /// A kind of routes.
    pub struct RouteGroupKind {
        /// API group; `gateway.networking.k8s.io` when absent.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"), extend("default" = "gateway.networking.k8s.io"))]
        pub group: Option<String>,
        /// Kind.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
    }

    /// An address that is asked for.
    pub struct GatewayAddress {
        /// `IPAddress` (also when absent), `Hostname`, or a name of the implementation's.
        #[serde(rename = "type")]
        #[schemars(length(min = 1, max = 253), extend("default" = "IPAddress"))]
        pub address_type: Option<String>,
        /// The address.
        #[schemars(length(max = 253))]
        pub value: Option<String>,
    }

    /// What serves a gateway.
    pub struct GatewayInfrastructure {
        /// Labels.
        #[schemars(extend("maxProperties" = 8))]
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        #[schemars(extend("maxProperties" = 8))]
        pub annotations: BTreeMap<String, String>,
        /// Settings.
        pub parameters_ref: Option<LocalObjectReference>,
    }

    /// Which ListenerSets may add listeners.
    pub struct AllowedListeners {
        /// Their namespaces. Absent is none.
        #[schemars(extend("default" = {"from": "None"}))]
        pub namespaces: Option<ListenerNamespaces>,
    }

    /// Namespaces of ListenerSets.
    pub struct ListenerNamespaces {
        /// Which. Absent is `None`.
        #[schemars(extend("default" = "None"))]
        pub from: Option<FromNamespaces>,
        /// Labels of the namespaces, for `Selector`.
        pub selector: Option<LabelSelector>,
    }

    /// TLS of a gateway.
    pub struct GatewayTlsConfig {
        /// Towards backends.
        pub backend: Option<GatewayBackendTls>,
        /// Towards clients.
        pub frontend: Option<FrontendTlsConfig>,
    }

    /// TLS towards backends.
    pub struct GatewayBackendTls {
        /// Certificate that the gateway shows.
        pub client_certificate_ref: Option<SecretObjectReference>,
    }

    /// TLS towards clients.
    pub struct FrontendTlsConfig {
        /// For all ports.
        #[schemars(extend("x-required" = true))]
        pub default: Option<FrontendTls>,
        /// For single ports.
        #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["port"]))]
        pub per_port: Vec<TlsPortConfig>,
    }

    /// TLS of one port towards clients.
    pub struct TlsPortConfig {
        /// Port of listeners.
        #[schemars(extend("x-required" = true), range(min = 1, max = 65535))]
        pub port: i32,
        /// Its TLS.
        #[schemars(extend("x-required" = true))]
        pub tls: Option<FrontendTls>,
    }

    /// How clients are checked.
    pub struct FrontendTls {
        /// Their certificates. Absent asks for none.
        pub validation: Option<FrontendTlsValidation>,
    }

    /// How certificates of clients are checked.
    pub struct FrontendTlsValidation {
        /// Authorities that may have issued them.
        #[schemars(extend("x-required" = true), length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
        pub ca_certificate_refs: Vec<ObjectReference>,
        /// What happens without a valid one.
        pub mode: FrontendValidationMode,
    }
}

choice! {
    /// Whether TLS is terminated.
    pub enum TlsMode {
        /// It is.
        Terminate = "Terminate",
        /// The connection is passed on as it is.
        Passthrough = "Passthrough",
    }

    /// Which namespaces.
    pub enum FromNamespaces {
        /// The same.
        Same = "Same",
        /// All.
        All = "All",
        /// Those with certain labels.
        Selector = "Selector",
        /// None.
        None = "None",
    }

    /// What happens without a valid client certificate.
    pub enum FrontendValidationMode {
        /// The connection is refused.
        AllowValidOnly = "AllowValidOnly",
        /// The connection is accepted.
        AllowInsecureFallback = "AllowInsecureFallback",
    }
}
