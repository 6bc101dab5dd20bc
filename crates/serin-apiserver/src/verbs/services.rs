//! Addresses and node ports of Services: each is given out once.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};

use serde_json::Value;
use serin_objects::service::{self, Allocator};
use serin_objects::{FieldError, Resource};

use crate::server::ApiServer;
use crate::store::{Change, Store};

const STORAGE: &str = "/services";
/// How many events are read from the store at once.
const EVENTS: usize = 1024;
/// The address of the API itself.
pub(crate) const KUBERNETES: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
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
    server: &ApiServer,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Vec<FieldError>> {
    let mut given = server.inner.given_out.lock().unwrap_or_else(PoisonError::into_inner);
    given.catch_up(&server.inner.store);
    let mut asked = Asked { given: &given, addresses: BTreeSet::new(), ports: BTreeSet::new() };
    service::allocate(object, old, &mut asked)
}

/// What Services hold, as of a revision. What happened since is read from the history.
#[derive(Default)]
pub(crate) struct GivenOut {
    revision: u64,
    by_service: HashMap<Arc<str>, service::Held>,
    addresses: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

impl GivenOut {
    fn catch_up(&mut self, store: &Store) {
        loop {
            match store.events(STORAGE, self.revision, EVENTS) {
                Ok((events, upto)) => {
                    self.revision = upto.max(self.revision);
                    for event in &events {
                        self.drop_held(&event.name);
                        if event.change != Change::Deleted {
                            self.put(&event.name, service::held(&event.object.value()));
                        }
                    }
                    if events.len() < EVENTS {
                        return;
                    }
                }
                Err(_) => {
                    let (all, revision) = store.list(STORAGE, "", None);
                    *self = Self { revision, ..Self::default() };
                    for (name, object) in all {
                        self.put(&name, service::held(&object.value()));
                    }
                }
            }
        }
    }

    fn put(&mut self, name: &Arc<str>, held: service::Held) {
        self.addresses.extend(held.cluster_ips.iter().cloned());
        self.ports.extend(held.node_ports.iter().copied());
        self.by_service.insert(Arc::clone(name), held);
    }

    fn drop_held(&mut self, name: &str) {
        let Some(held) = self.by_service.remove(name) else { return };
        for address in &held.cluster_ips {
            self.addresses.remove(address);
        }
        for port in &held.node_ports {
            self.ports.remove(port);
        }
    }
}

/// What is given out, and what one write asks for besides.
struct Asked<'g> {
    given: &'g GivenOut,
    addresses: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

impl Asked<'_> {
    fn is_address_taken(&self, address: &str) -> bool {
        self.given.addresses.contains(address) || self.addresses.contains(address)
    }

    fn is_port_taken(&self, port: u16) -> bool {
        self.given.ports.contains(&port) || self.ports.contains(&port)
    }
}

impl Allocator for Asked<'_> {
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
            if self.is_address_taken(wanted) {
                return Err(format!(
                    "failed to allocate IP {wanted}: provided IP is already allocated"
                ));
            }
            self.addresses.insert(wanted.to_owned());
            return Ok(wanted.to_owned());
        }
        // The first ones are left to Services that ask for a certain address; the next that are given out are 10.96.x.y, which
        // people know for what they are.
        let start = 256 + below(0x1_0000 - 512);
        let free = (0..SIZE - 512)
            .map(|step| 256 + (start - 256 + step) % (SIZE - 512))
            .map(|offset| Ipv4Addr::from(FIRST + offset).to_string())
            .find(|address| !self.is_address_taken(address));
        let address = free.ok_or("range is full")?;
        self.addresses.insert(address.clone());
        Ok(address)
    }

    fn node_port(&mut self, wanted: Option<u16>) -> Result<u16, String> {
        if let Some(wanted) = wanted {
            if !PORTS.contains(&wanted) {
                return Err("provided port is not in the valid range. The range of valid ports is 30000-32767".into());
            }
            if self.is_port_taken(wanted) {
                return Err("provided port is already allocated".into());
            }
            self.ports.insert(wanted);
            return Ok(wanted);
        }
        let count = PORTS.end() - PORTS.start() + 1;
        let start = u16::try_from(below(u32::from(count))).unwrap_or(0);
        let free = (0..count)
            .map(|step| PORTS.start() + (start + step) % count)
            .find(|port| !self.is_port_taken(*port));
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
        let given = GivenOut::default();
        let mut taken = Asked { given: &given, addresses: BTreeSet::new(), ports: BTreeSet::new() };
        let first = KUBERNETES.to_string();
        assert_eq!(taken.cluster_ip(Some(&first)).unwrap(), first);
        assert!(taken.cluster_ip(Some(&first)).unwrap_err().contains("already allocated"));
        assert!(taken.cluster_ip(Some("10.1.0.1")).unwrap_err().contains("valid range"));
        let all: BTreeSet<u16> = (0..2768).map(|_| taken.node_port(None).unwrap()).collect();
        assert_eq!(all.len(), 2768);
        assert_eq!(taken.node_port(None).unwrap_err(), "range is full");
    }
}
