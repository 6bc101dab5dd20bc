//! Slices for Services without a selector: they repeat the Endpoints that somebody wrote.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use kube::ResourceExt as _;

use super::desired::Group;
use super::legacy;

/// Says that Endpoints are not to be repeated.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints that only elect a leader.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// How many addresses of a subset are repeated.
const MOST: usize = 1000;

pub(super) fn is_wanted(endpoints: &Endpoints) -> bool {
    let skipped = endpoints.labels().get(SKIP).is_some_and(|skip| skip == "true");
    !skipped && !endpoints.annotations().contains_key(LEADER) && !legacy::is_ours(endpoints)
}

/// The groups of endpoints that an object says.
pub(super) fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let port = |port: &k8s_openapi::api::core::v1::EndpointPort| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        };
        let ports: Vec<_> = subset.ports.iter().flatten().map(port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten();
        let all = ready.chain(not_ready.map(|address| (address, false)));
        for (address, ready) in all.take(MOST) {
            let family = match address.ip.parse() {
                Ok(IpAddr::V4(_)) => "IPv4",
                Ok(IpAddr::V6(_)) => "IPv6",
                Err(_) => continue,
            };
            Group::add(&mut groups, family, ports.clone(), endpoint(address, ready));
        }
    }
    groups
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}
