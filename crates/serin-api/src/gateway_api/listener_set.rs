//! ListenerSet: listeners that are added to a Gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gateway_api::{AllowedRoutes, ListenerTlsConfig};

resource! {
    ListenerSet: "gateway.networking.k8s.io", ["v1"], "listenersets"
    short ["lset"]
    columns [
        ("Accepted", "string", ".status.conditions[?(@.type==\"Accepted\")].status", "Whether the Gateway takes it"),
        ("Programmed", "string", ".status.conditions[?(@.type==\"Programmed\")].status", "Whether it serves"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

resource! {
    XListenerSet: "gateway.networking.x-k8s.io", ["v1alpha1"], "xlistenersets"
    short ["lset"]
    columns [
        ("Accepted", "string", ".status.conditions[?(@.type==\"Accepted\")].status", "Whether the Gateway takes it"),
        ("Programmed", "string", ".status.conditions[?(@.type==\"Programmed\")].status", "Whether it serves"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

/// The experimental kind that ListenerSet was before; its fields are the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct XListenerSet(pub ListenerSet);

message! {
    /// Listeners for a Gateway.
    pub struct ListenerSet {
        /// The Gateway.
        #[schemars(extend("x-required" = true))]
        pub parent_ref: Option<ParentGatewayReference>,
        /// The listeners.
        #[schemars(extend("x-required" = true), length(min = 1, max = 64), extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = [
                {"rule": "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)", "message": "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"},
                {"rule": "self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)", "message": "tls mode must be Terminate for protocol HTTPS"},
                {"rule": "self.all(l, l.protocol in ['TCP', 'UDP']  ? (!has(l.hostname) || l.hostname == '') : true)", "message": "hostname must not be specified for protocols ['TCP', 'UDP']"},
                {"rule": "self.all(l1, self.exists_one(l2, l1.name == l2.name))", "message": "Listener name must be unique within the ListenerSet"},
                {"rule": "self.all(l1, self.exists_one(l2, (!has(l1.port) || l1.port == 0) || (l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname)))))", "message": "Combination of port, protocol and hostname must be unique for each listener"},
            ]
        ))]
        pub listeners: Vec<ListenerEntry>,
    }

    /// A Gateway by its name.
    pub struct ParentGatewayReference {
        /// API group; `gateway.networking.k8s.io` when absent.
        #[schemars(length(max = 253), extend("default" = "gateway.networking.k8s.io"))]
        pub group: Option<String>,
        /// Kind; `Gateway` when absent.
        #[schemars(length(min = 1, max = 63), extend("default" = "Gateway"))]
        pub kind: Option<String>,
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Namespace; that of the ListenerSet when absent.
        #[schemars(length(min = 1, max = 63))]
        pub namespace: Option<String>,
    }

    /// A port and what is served there.
    pub struct ListenerEntry {
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub name: String,
        /// Host, a `*.`-wildcard allowed. Absent is all hosts.
        #[schemars(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub hostname: Option<String>,
        /// Port number.
        #[schemars(extend("x-required" = true), range(min = 0, max = 65535))]
        pub port: i32,
        /// `HTTP`, `HTTPS`, `TLS`, `TCP` or `UDP`.
        #[schemars(extend("x-required" = true), length(min = 1, max = 255))]
        pub protocol: String,
        /// TLS.
        pub tls: Option<ListenerTlsConfig>,
        /// Which routes may be attached. Absent: routes of the same namespace.
        #[schemars(extend("default" = {"namespaces": {"from": "Same"}}))]
        pub allowed_routes: Option<AllowedRoutes>,
    }
}
