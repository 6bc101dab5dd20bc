//! Namespace, Node, Secret, ConfigMap and ServiceAccount.

use std::collections::BTreeMap;

resource! { Namespace: "", ["v1"], "namespaces" short ["ns"] scope Cluster }
resource! { Node: "", ["v1"], "nodes" short ["no"] scope Cluster }
resource! { Secret: "", ["v1"], "secrets" has_spec false }
resource! { ConfigMap: "", ["v1"], "configmaps" short ["cm"] has_spec false }
resource! { ServiceAccount: "", ["v1"], "serviceaccounts" short ["sa"] has_spec false }

message! {
    /// A namespace. What matters about it are its labels.
    pub struct Namespace {
        /// What must be done before it is gone.
        pub finalizers: Vec<String>,
    }

    /// A machine. What matters about it are its labels, which name its locality.
    pub struct Node {
        /// Addresses of its pods.
        #[serde(rename = "podCIDR")]
        pub pod_cidr: String,
        /// The machine as its provider names it.
        #[serde(rename = "providerID")]
        pub provider_id: String,
        /// Whether no new pods are placed on it.
        pub unschedulable: bool,
    }

    /// State of a machine.
    pub struct NodeStatus {
        /// Addresses of the machine.
        pub addresses: Vec<NodeAddress>,
    }

    /// An address of a machine.
    pub struct NodeAddress {
        /// `InternalIP`, `ExternalIP`, `Hostname`…
        #[serde(rename = "type")]
        pub address_type: String,
        /// The address.
        pub address: String,
    }

    /// Confidential data.
    pub struct Secret {
        /// What it is for: `kubernetes.io/tls`, `Opaque`…
        #[serde(rename = "type")]
        pub secret_type: String,
        /// Values in base64.
        pub data: BTreeMap<String, String>,
        /// Values as text, as their author may write them.
        pub string_data: BTreeMap<String, String>,
        /// Whether it can never change.
        pub immutable: Option<bool>,
    }

    /// Configuration data.
    pub struct ConfigMap {
        /// Values as text.
        pub data: BTreeMap<String, String>,
        /// Values in base64.
        pub binary_data: BTreeMap<String, String>,
        /// Whether it can never change.
        pub immutable: Option<bool>,
    }

    /// An identity of workloads. Its name is what matters.
    pub struct ServiceAccount {
        /// Whether its token is mounted into pods.
        pub automount_service_account_token: Option<bool>,
    }
}
