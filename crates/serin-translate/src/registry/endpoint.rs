//! What answers for a service: addresses, and the workloads behind them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serin_routing::model::{EndpointAddress, EndpointTls, Health, Locality, WorkloadIdentity};

/// One address that answers for one port of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEndpoint {
    /// The address; for expected endpoints the name of the workload.
    pub address: EndpointAddress,
    /// Name of the service's port it answers for; empty for a port without a name.
    pub port_name: Arc<str>,
    /// Share among the endpoints, at least 1.
    pub weight: u32,
    /// Whether it is ready.
    pub health: Health,
    /// Where it is known from.
    pub source: EndpointSource,
    /// Who it is.
    pub workload: Arc<Workload>,
}

/// Where an endpoint is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// An EndpointSlice or Endpoints object.
    Slice,
    /// A Pod that a Service selects.
    Pod,
    /// The template of a Deployment or its like, whose pods can be expected. Has no address.
    Template,
    /// A WorkloadEntry object.
    WorkloadEntry,
    /// An endpoint listed in a ServiceEntry, or the name of the host itself.
    Inline,
    /// Nothing: manifests declare the Service but no workload of it, which must then be elsewhere. Counts for every subset.
    /// Has no address.
    Assumed,
}

/// A workload: what runs and who it is, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Names, namespace, service account and labels.
    pub identity: Arc<WorkloadIdentity>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it runs.
    pub locality: Locality,
    /// The network its address belongs to; empty for the mesh's own.
    pub network: Arc<str>,
    /// The node it runs on; empty if unknown.
    pub node: Arc<str>,
    /// Whether it has a mesh proxy that takes mutual TLS.
    pub tls: EndpointTls,
    /// Host name within its Service (pods of a StatefulSet); empty if it has none.
    pub hostname: Arc<str>,
    /// Named ports of its containers.
    pub ports: BTreeMap<Arc<str>, u16>,
}

impl Workload {
    /// Whether it carries all these labels.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.label(key) == Some(value))
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.identity.labels.get(key).map(|value| &**value)
    }
}
