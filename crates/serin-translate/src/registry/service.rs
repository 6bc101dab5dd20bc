//! A service as clients see it, whatever kind of object declared it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;
use serin_api::ObjectRef;

use super::Protocol;
use crate::host::Host;
use crate::visibility::Visibility;

/// A host that serves, with its ports.
///
/// One Service makes one; a ServiceEntry makes one for each of its hosts. Endpoints are kept apart (see
/// [`Registry::endpoints`](super::Registry::endpoints)), since they change more often.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Full name; a wildcard only for ServiceEntries.
    pub host: Host,
    /// Name of the declaring object.
    pub name: Arc<str>,
    /// Namespace of the declaring object.
    pub namespace: Arc<str>,
    /// The declaring object.
    pub object: ObjectRef,
    /// When the declaring object was created.
    pub created: Option<Arc<str>>,
    /// What declared it.
    pub registry: ServiceRegistry,
    /// Ports in the order of the object.
    pub ports: Vec<ServicePort>,
    /// Virtual addresses: cluster IPs, or a ServiceEntry's addresses and blocks of addresses. Empty if it has none.
    pub addresses: Vec<IpNet>,
    /// The address that is given to a host without addresses of its own, for proxies that answer DNS.
    pub auto_address: Option<Ipv4Addr>,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// It lives outside the mesh: no mutual TLS towards it.
    pub mesh_external: bool,
    /// Which namespaces see it.
    pub visibility: Visibility,
    /// Labels of the declaring object.
    pub labels: BTreeMap<String, String>,
    /// Labels that choose its workloads; empty if workloads do not make its endpoints.
    pub selector: BTreeMap<String, String>,
    /// Names that servers' certificates may have, beside the identities of endpoints.
    pub subject_alt_names: Vec<Arc<str>>,
    /// Other hosts that mean this service (ExternalName Services), with their namespaces.
    pub aliases: Vec<Alias>,
    /// What an ExternalName Service stands for.
    pub external_name: Option<Host>,
    /// Preference of near endpoints.
    pub traffic_distribution: TrafficDistribution,
    /// Only endpoints on the client's node are used (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// Endpoints count before they are ready (`publishNotReadyAddresses`).
    pub publish_not_ready: bool,
}

/// Another host that means a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// The host.
    pub host: Host,
    /// Namespace of the object that declares it.
    pub namespace: Arc<str>,
}

/// What declared a service. A Kubernetes Service wins over a ServiceEntry for the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceRegistry {
    /// A Service.
    Kubernetes,
    /// A ServiceEntry.
    ServiceEntry,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if it has none.
    pub name: Arc<str>,
    /// Number that clients address.
    pub number: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// The workloads' port, if the object says which: an endpoint may have another one.
    pub target: Option<TargetPort>,
}

/// A port of workloads as a service names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// By its number.
    Number(u16),
    /// By the name that workloads give it.
    Name(Arc<str>),
}

/// How the endpoints of a service are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// They are listed; the proxy balances.
    Listed,
    /// They are names; every address they resolve to is an endpoint.
    Dns,
    /// One name; new connections go to the first address.
    DnsRoundRobin,
    /// The host of each request is resolved.
    DynamicDns,
    /// The address that the client connected to is the endpoint.
    Passthrough,
    /// It is another name for another service.
    Alias,
}

/// Preference of near endpoints (`spec.trafficDistribution` of a Service, or its annotation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficDistribution {
    /// None.
    #[default]
    Any,
    /// Same zone first, then same region.
    PreferSameZone,
    /// Same node first, then as for the zone.
    PreferSameNode,
}

impl Service {
    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The port with this name.
    pub fn port_named(&self, name: &str) -> Option<&ServicePort> {
        self.ports.iter().find(|port| *port.name == *name)
    }

    /// The addresses that `dns` (whether the proxy answers its workload's DNS) makes clients connect to; empty where any
    /// address may lead to the service.
    pub fn addresses_for(&self, dns: bool) -> Vec<IpNet> {
        match self.auto_address {
            Some(address) if dns && self.addresses.is_empty() => {
                vec![IpNet::from(IpAddr::V4(address))]
            }
            _ => self.addresses.clone(),
        }
    }

    /// A Service without a cluster IP whose clients connect to its pods directly.
    pub fn is_headless(&self) -> bool {
        self.registry == ServiceRegistry::Kubernetes && self.resolution == Resolution::Passthrough
    }

    /// The same service with these ports only.
    #[must_use]
    pub fn with_ports(&self, ports: Vec<ServicePort>) -> Self {
        Self { ports, ..self.clone() }
    }
}
