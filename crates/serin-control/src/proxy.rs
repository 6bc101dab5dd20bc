//! The proxies that get models, and what a publisher has to know of each.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;
use serin_routing::model::WorkloadIdentity;

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ProxyId {
    /// Of a gateway.
    Gateway {
        /// Namespace.
        namespace: Arc<str>,
        /// Name of its workload.
        name: Arc<str>,
    },
    /// Of a machine, for users outside of pods: NodePorts and load balancers.
    Node {
        /// The machine.
        name: Arc<str>,
    },
    /// Of a pod.
    Pod {
        /// Namespace.
        namespace: Arc<str>,
        /// Name.
        name: Arc<str>,
        /// The pod's identity: one of the same name that comes later is another.
        uid: Arc<str>,
    },
}

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway { namespace, name } => write!(f, "gateway {namespace}/{name}"),
            Self::Node { name } => write!(f, "node {name}"),
            Self::Pod { namespace, name, .. } => write!(f, "{namespace}/{name}"),
        }
    }
}

/// What a proxy is to its workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Part of the mesh: the workload's requests follow its rules.
    Sidecar,
    /// Outside of the mesh: connections to Services are balanced, nothing else.
    Plain,
    /// At the edge of the mesh.
    Gateway,
    /// Brings connections from outside to Services.
    Node,
}

impl Role {
    /// Whether the mesh's rules reach the proxy.
    pub const fn is_in_mesh(self) -> bool {
        matches!(self, Self::Sidecar | Self::Gateway)
    }

    /// Whether the proxy lets in what comes from outside of the cluster.
    pub const fn lets_in(self) -> bool {
        matches!(self, Self::Gateway | Self::Node)
    }
}

/// The workload that a proxy is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// What the proxy is to it.
    pub role: Role,
    /// Names, service account and labels.
    pub identity: Arc<WorkloadIdentity>,
    /// Its addresses; the first tells a pod's network. Empty for those that are no pods.
    pub addresses: Vec<IpAddr>,
    /// Where listeners with sockets of their own are to be reached, for gateways and nodes. One that is not in the list is where
    /// the model says.
    pub sockets: Vec<Socket>,
}

/// Where a listener is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Socket {
    /// The listener's address and port in the model.
    pub listener: SocketAddr,
    /// The address and port to listen on; there may be several for one listener.
    pub address: SocketAddr,
}
