//! PeerAuthentication: whether workloads accept mutual TLS only.

use std::collections::BTreeMap;

use crate::values::PolicySelector;

resource! {
    PeerAuthentication: "security.istio.io", ["v1", "v1beta1"], "peerauthentications"
    short ["pa"]
    columns [
        ("Mode", "string", ".spec.mtls.mode", "Mode of mutual TLS"),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ]
}

message! {
    /// Which connections workloads accept.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) || !has(self.portLevelMtls)", "message": "portLevelMtls requires selector"},
    ]))]
    pub struct PeerAuthentication {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// The mode of all ports.
        pub mtls: Option<MutualTls>,
        /// Modes of single ports of the workload. Needs a selector.
        #[schemars(with = "BTreeMap<String, MutualTls>")]
        #[schemars(extend(
            "minProperties" = 1,
            "x-kubernetes-validations" = [{"rule": "self.all(key, 0 < int(key) && int(key) <= 65535)", "message": "port must be between 1-65535"}]
        ))]
        pub port_level_mtls: BTreeMap<u32, MutualTls>,
    }

    /// A mode of mutual TLS.
    pub struct MutualTls {
        /// The mode.
        pub mode: MutualTlsMode,
    }
}

choice! {
    /// Which connections are accepted.
    pub enum MutualTlsMode {
        /// As the policy above says; `PERMISSIVE` when none does.
        Unset = "UNSET",
        /// Plain text.
        Disable = "DISABLE",
        /// Plain text and mutual TLS.
        Permissive = "PERMISSIVE",
        /// Mutual TLS only.
        Strict = "STRICT",
    }
}
