//! MeshNetworks: which endpoints are in which network, and how networks reach each other.

use std::collections::BTreeMap;

message! {
    /// The networks of a mesh by name.
    pub struct MeshNetworks {
        /// The networks.
        pub networks: BTreeMap<String, Network>,
    }

    /// A network.
    pub struct Network {
        /// What belongs to it.
        pub endpoints: Vec<NetworkEndpoints>,
        /// How it is entered from others.
        pub gateways: Vec<NetworkGateway>,
    }

    /// What belongs to a network.
    pub struct NetworkEndpoints {
        /// Addresses of a block.
        pub from_cidr: Option<String>,
        /// Endpoints of a registry: the name of a cluster.
        pub from_registry: Option<String>,
    }

    /// A gateway into a network.
    pub struct NetworkGateway {
        /// Service in the network's registry.
        pub registry_service_name: Option<String>,
        /// Address or name.
        pub address: Option<String>,
        /// Port.
        pub port: u32,
        /// Where it is.
        pub locality: String,
    }
}
