//! What a control plane is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What a control plane is started with. The defaults are those of a mesh on one machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node whose pods get models; `None` for the pods of every node.
    pub node: Option<String>,
    /// Domain of Kubernetes services.
    pub cluster_domain: String,
    /// The namespace of objects that hold for the whole mesh, and of the ingress gateway.
    pub root_namespace: String,
    /// The built-in ingress gateway; without one, no Gateway is served.
    pub gateway: Option<Gateway>,
    /// Where NodePorts listen; `None` leaves them out.
    pub node_port_address: Option<IpAddr>,
    /// The first address that Services of type `LoadBalancer` may get; `None` gives them none. Where it is a loopback address, a
    /// Service whose ports are taken there gets the next address above it.
    pub load_balancer_address: Option<IpAddr>,
    /// Where the API server listens, for pods that speak to the Service `kubernetes`.
    pub api_server: Option<SocketAddr>,
    /// How long changes gather at most while proxies are still taking the push before.
    pub gather: Duration,
    /// The shortest time between the beginnings of two pushes.
    pub quiet: Duration,
    /// How long an object may be on its way to proxies before its status says for whom it waits.
    pub patience: Duration,
    /// Whether statuses are written.
    pub writes_status: bool,
    /// Whether the gateway and the node's ports wait for [`Control::open`](crate::Control::open) before they listen.
    pub holds: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: None,
            cluster_domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            gateway: Some(Gateway::default()),
            node_port_address: Some(Ipv4Addr::LOCALHOST.into()),
            load_balancer_address: Some(Ipv4Addr::LOCALHOST.into()),
            api_server: None,
            gather: Duration::from_millis(50),
            quiet: Duration::from_millis(5),
            patience: Duration::from_millis(500),
            writes_status: true,
            holds: false,
        }
    }
}

/// The built-in ingress gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The name of its workload and its Service.
    pub name: String,
    /// Where users reach it.
    pub address: IpAddr,
    /// Where pods reach it, as the endpoint of its Services. No pod may have this address, and nothing else may be an endpoint there.
    pub inside: IpAddr,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            name: "istio-ingressgateway".to_owned(),
            address: Ipv4Addr::LOCALHOST.into(),
            inside: Ipv4Addr::new(127, 0, 15, 1).into(),
        }
    }
}
