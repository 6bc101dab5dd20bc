//! Services for users outside of the cluster: NodePorts and load balancers, on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serin_api::Object;
use serin_api::core::Service;
use serin_routing::Model;
use serin_routing::model::{Bind, WorkloadIdentity};
use serin_translate::Snapshot;

use crate::gateway;
use crate::plain::{self, Made};
use crate::proxy::{ProxyId, Role, Workload};
use crate::settings::Settings;

/// How many addresses are tried for a Service whose ports are taken.
const ADDRESSES: u32 = 1_000;

/// The address of each Service of type `LoadBalancer`, by namespace and name; none where there is no address left.
pub(crate) type Assigned = BTreeMap<(String, String), Option<IpAddr>>;

/// The model of the machine's own proxy. What is equal to `last` is taken from there.
pub(crate) fn model(
    snapshot: &Snapshot,
    settings: &Settings,
    assigned: &Assigned,
    last: &Model,
) -> Model {
    let mut made = Made::default();
    let services = snapshot.objects().services.iter();
    for service in services.filter(|it| !gateway::is_behind(it, settings)) {
        let key = (service.meta.namespace.clone(), service.meta.name.clone());
        let balanced = assigned.get(&key).copied().flatten();
        let has_node_ports =
            matches!(service.spec.service_type.as_str(), "NodePort" | "LoadBalancer");
        for port in plain::ports(snapshot, service) {
            let at_node = settings.node_port_address.filter(|_| has_node_ports);
            let at_node = at_node.map(|it| (it, port.node_port));
            let balanced = balanced.map(|it| (it, port.port.number));
            let places: Vec<_> =
                at_node.into_iter().chain(balanced).filter(|(_, number)| *number > 0).collect();
            for (address, number) in &places {
                made.add_listener(plain::listener(*address, *number, Bind::Socket, &port));
            }
            if !places.is_empty() {
                made.add_cluster(&port);
            }
        }
    }
    made.model(snapshot, last)
}

/// What the machine's own proxy is called.
pub(crate) fn id(settings: &Settings) -> ProxyId {
    ProxyId::Node { name: Arc::from(settings.node.as_deref().unwrap_or("node")) }
}

/// The machine's own proxy as publishers see it.
pub(crate) fn workload(settings: &Settings) -> Workload {
    let name: Arc<str> = Arc::from(settings.node.as_deref().unwrap_or("node"));
    let identity = WorkloadIdentity { workload: name, ..WorkloadIdentity::default() };
    Workload {
        role: Role::Node,
        identity: Arc::new(identity),
        addresses: Vec::new(),
        sockets: Vec::new(),
    }
}

/// The addresses of load balancers. Older Services choose first; one keeps the address that it has.
pub(crate) fn assign(snapshot: &Snapshot, settings: &Settings) -> Assigned {
    let is_balanced = |it: &&Arc<Object<Service>>| it.spec.service_type == "LoadBalancer";
    let services = || snapshot.objects().services.iter().filter(is_balanced);
    let mut assigned = Assigned::new();
    let mut taken = BTreeSet::new();
    let (behind, others): (Vec<_>, Vec<_>) =
        services().partition(|it| gateway::is_behind(it, settings));
    for service in behind {
        let address = settings.gateway.as_ref().map(|it| it.address);
        taken.extend(address.into_iter().flat_map(|it| places(service, it)));
        assigned.insert(key(service), address);
    }
    let Some(first) = settings.load_balancer_address else {
        assigned.extend(others.into_iter().map(|it| (key(it), None)));
        return assigned;
    };
    // Those that have an address keep it, whatever comes before them.
    let (settled, new): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| has(it, first));
    for service in settled.into_iter().chain(new) {
        let present = plain::balanced_at(service).into_iter().filter(|it| is_candidate(*it, first));
        let wanted = service.spec.load_balancer_ip.parse().ok();
        let wanted = wanted.into_iter().filter(|it| is_candidate(*it, first));
        let mut candidates = present.chain(wanted).chain(candidates(first));
        let is_free = |it: &IpAddr| places(service, *it).all(|place| !taken.contains(&place));
        let chosen = candidates.find(is_free);
        taken.extend(chosen.into_iter().flat_map(|it| places(service, it)));
        assigned.insert(key(service), chosen);
    }
    assigned
}

fn key(service: &Object<Service>) -> (String, String) {
    (service.meta.namespace.clone(), service.meta.name.clone())
}

fn places(service: &Object<Service>, address: IpAddr) -> impl Iterator<Item = (IpAddr, i32)> {
    service.spec.ports.iter().map(move |port| (address, port.port))
}

fn has(service: &Object<Service>, first: IpAddr) -> bool {
    plain::balanced_at(service).into_iter().any(|it| is_candidate(it, first))
}

/// Whether a load balancer may have an address: the first one, or where that is one of the machine's own, another such.
fn is_candidate(address: IpAddr, first: IpAddr) -> bool {
    address == first
        || (first.is_loopback() && first.is_ipv4() && address.is_ipv4() && address.is_loopback())
}

fn candidates(first: IpAddr) -> impl Iterator<Item = IpAddr> {
    let next = move |number: u32| match first {
        IpAddr::V4(first) if first.is_loopback() => {
            let next = Ipv4Addr::from_bits(first.to_bits().checked_add(number)?);
            next.is_loopback().then_some(IpAddr::V4(next))
        }
        first => (number == 0).then_some(first),
    };
    (0..ADDRESSES).map_while(next)
}

#[cfg(test)]
mod tests;
