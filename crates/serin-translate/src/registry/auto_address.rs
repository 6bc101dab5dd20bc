//! Addresses for hosts of ServiceEntries that have none of their own.
//!
//! A proxy that answers its workload's DNS queries gives these out, so that TCP connections to different hosts can be told
//! apart. They follow from the names alone, as long as no two names collide.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Deserialize;
use serin_api::networking::ServiceEntry;
use serin_api::{Object, decode};

use super::{Resolution, Service};

/// Addresses in 240.240.0.0/16 but for the first and the last.
const SPACE: u32 = 0xFFFE;
/// Label that turns automatic addresses off for a ServiceEntry.
const ENABLE: &str = "networking.istio.io/enable-autoallocate-ip";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    addresses: Vec<Assigned>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Assigned {
    value: String,
    host: String,
}

/// Gives addresses to `services`, each with the ServiceEntry that declares it. An address that a status says was given
/// already is kept.
pub(super) fn assign<'a>(
    services: impl Iterator<Item = (&'a mut Service, &'a Arc<Object<ServiceEntry>>)>,
) {
    let mut open = Vec::new();
    let mut taken = HashSet::new();
    for (service, object) in services.filter(|(service, object)| wants_one(service, object)) {
        match assigned(service, object) {
            Some(address) => {
                taken.insert(address);
                service.auto_address = Some(address);
            }
            None => open.push(service),
        }
    }
    for service in open.into_iter().take(SPACE as usize) {
        let start = hash(&service.namespace, &service.host) % SPACE;
        let addresses = (0..SPACE).map(|step| address((start + step) % SPACE));
        service.auto_address = addresses.into_iter().find(|address| taken.insert(*address));
    }
}

fn wants_one(service: &Service, object: &Object<ServiceEntry>) -> bool {
    let can_be_looked_up =
        !service.host.is_wildcard() || service.resolution == Resolution::DynamicDns;
    service.addresses.is_empty()
        && service.resolution != Resolution::Passthrough
        && can_be_looked_up
        && object.meta.labels.get(ENABLE).is_none_or(|it| it != "false")
}

fn assigned(service: &Service, object: &Object<ServiceEntry>) -> Option<Ipv4Addr> {
    let status: Status = decode(&object.status).unwrap_or_default();
    let mut own =
        status.addresses.iter().filter(|it| it.host.is_empty() || *it.host == *service.host);
    own.find_map(|it| match it.value.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    })
}

fn address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(240, 240, 0, 1).to_bits() + index)
}

/// FNV-1a of the namespace and the host.
fn hash(namespace: &str, host: &str) -> u32 {
    let bytes = namespace.bytes().chain(*b"/").chain(host.bytes());
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
