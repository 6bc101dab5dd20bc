//! The proxy a model is made for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serin_routing::model::Locality;

/// A proxy: its place in the mesh decides what it sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// What it does.
    pub kind: ProxyKind,
    /// Namespace of its workload.
    pub namespace: String,
    /// Labels of its workload: they select Sidecars, Gateways, `sourceLabels`…
    pub labels: BTreeMap<String, String>,
    /// Its addresses; inbound listeners and its own services are found by them. May be empty, then the services are found by
    /// labels.
    pub addresses: Vec<IpAddr>,
    /// Service account of its workload.
    pub service_account: String,
    /// Where it runs, for locality rules.
    pub locality: Locality,
    /// The node it runs on, for services that stay on the node; empty if unknown.
    pub node: String,
    /// Ports below 1024 cannot be bound (a gateway that does not run as root).
    pub unprivileged: bool,
    /// It answers its workload's DNS queries, so that hosts without addresses get automatic ones.
    pub answers_dns: bool,
    /// A gateway that serves every Gateway, whichever workloads they select, on the very ports they name: where no workload is
    /// described, such as on one machine.
    pub serves_every_gateway: bool,
}

/// What a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// Beside a workload, for its traffic in and out.
    Sidecar,
    /// On its own, at the edge.
    Gateway,
}

impl Proxy {
    /// A proxy of which only its namespace and its workload's labels are known.
    pub fn new(kind: ProxyKind, namespace: &str, labels: BTreeMap<String, String>) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            labels,
            addresses: Vec::new(),
            service_account: String::new(),
            locality: Locality::default(),
            node: String::new(),
            unprivileged: false,
            answers_dns: false,
            serves_every_gateway: false,
        }
    }

    /// Whether its workload carries all these labels.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}
