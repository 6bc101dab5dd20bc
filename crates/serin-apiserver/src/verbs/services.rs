//! Addresses and node ports of Services: each is given out once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;
use serin_objects::service::{self, Allocator};
use serin_objects::{FieldError, Resource};

use crate::store::Store;

/// The address of the API itself.
pub(crate) const KUBERNETES: &str = "10.96.0.1";
/// 10.96.0.0/12.
const FIRST: u32 = 0x0A60_0000;
const SIZE: u32 = 1 << 20;
const PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// Whether a resource is the one of Services.
pub(super) fn are(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.kind == "Service"
}

/// Gives a Service what it needs. The caller holds the server's lock until the Service is stored.
pub(super) fn allocate(
    store: &Store,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Vec<FieldError>> {
    let mut taken = Taken::default();
    for (_, other) in store.list("/services", "", None).0 {
        let held = service::held(&other.value());
        taken.addresses.extend(held.cluster_ips);
        taken.ports.extend(held.node_ports);
    }
    service::allocate(object, old, &mut taken)
}

#[derive(Default)]
struct Taken {
    addresses: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

impl Allocator for Taken {
    fn cluster_ip(&mut self, wanted: Option<&str>) -> Result<String, String> {
        if let Some(wanted) = wanted {
            let inside = wanted
                .parse::<Ipv4Addr>()
                .is_ok_and(|ip| (FIRST + 1..FIRST + SIZE - 1).contains(&u32::from(ip)));
            if !inside {
                return Err(format!(
                    "failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. The range of valid IPs is 10.96.0.0/12"
                ));
            }
            return if self.addresses.insert(wanted.to_owned()) {
                Ok(wanted.to_owned())
            } else {
                Err(format!("failed to allocate IP {wanted}: provided IP is already allocated"))
            };
        }
        // The first ones are left to Services that ask for a certain address; the next that are given out are 10.96.x.y, which
        // people know for what they are.
        let start = 256 + below(0x1_0000 - 512);
        let free = (0..SIZE - 512)
            .map(|step| 256 + (start - 256 + step) % (SIZE - 512))
            .map(|offset| Ipv4Addr::from(FIRST + offset).to_string())
            .find(|address| !self.addresses.contains(address));
        let address = free.ok_or("range is full")?;
        self.addresses.insert(address.clone());
        Ok(address)
    }

    fn node_port(&mut self, wanted: Option<u16>) -> Result<u16, String> {
        if let Some(wanted) = wanted {
            if !PORTS.contains(&wanted) {
                return Err("provided port is not in the valid range. The range of valid ports is 30000-32767".into());
            }
            return if self.ports.insert(wanted) {
                Ok(wanted)
            } else {
                Err("provided port is already allocated".into())
            };
        }
        let count = PORTS.end() - PORTS.start() + 1;
        let start = u16::try_from(below(u32::from(count))).unwrap_or(0);
        let free = (0..count)
            .map(|step| PORTS.start() + (start + step) % count)
            .find(|port| !self.ports.contains(port));
        let port = free.ok_or("range is full")?;
        self.ports.insert(port);
        Ok(port)
    }
}

/// A random number below `n`.
fn below(n: u32) -> u32 {
    let bytes = crate::random::uuid().as_u128();
    u32::try_from((bytes >> 64) % u128::from(n)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_port_are_given_out_once() {
        let mut taken = Taken::default();
        assert_eq!(taken.cluster_ip(Some(KUBERNETES)).unwrap(), KUBERNETES);
        assert!(taken.cluster_ip(Some(KUBERNETES)).unwrap_err().contains("already allocated"));
        assert!(taken.cluster_ip(Some("10.1.0.1")).unwrap_err().contains("valid range"));
        let all: BTreeSet<u16> = (0..2768).map(|_| taken.node_port(None).unwrap()).collect();
        assert_eq!(all.len(), 2768);
        assert_eq!(taken.node_port(None).unwrap_err(), "range is full");
    }
}
