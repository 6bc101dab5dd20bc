//! The names of the cluster: Services, and the addresses behind those that have none of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::message::Data;

/// The label that names the Service of an EndpointSlice.
const OWNER: &str = "kubernetes.io/service-name";

/// A namespace and a name.
type Key = (String, String);

/// All names.
#[derive(Debug, Default)]
pub(super) struct Table {
    domain: String,
    services: BTreeMap<Key, Entry>,
    namespaces: BTreeMap<String, usize>,
    /// The slices of each Service, by their own names.
    slices: BTreeMap<Key, BTreeMap<String, Slice>>,
    /// Which Service an address is of.
    addresses: BTreeMap<Ipv4Addr, Key>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    /// It has an address, and ports by name and protocol.
    Address(Ipv4Addr, Vec<(String, String, u16)>),
    /// Its endpoints are asked for; those that are not ready, too, if it says so.
    Headless { all: bool },
    /// Another name.
    External(String),
    /// Nothing can be asked of it.
    Nothing,
}

#[derive(Debug, Default)]
struct Slice {
    endpoints: Vec<Endpoint>,
    ports: Vec<(String, String, u16)>,
}

#[derive(Debug)]
struct Endpoint {
    addresses: Vec<Ipv4Addr>,
    hostname: Option<String>,
    ready: bool,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not of the cluster.
    Elsewhere,
    /// It is of the cluster, and there is none.
    Nothing,
    /// Addresses, other names and ports; it may be empty, and then the name is there without any.
    Records(Vec<Data>),
}

impl Table {
    pub(super) fn new(domain: &str) -> Self {
        Self { domain: domain.to_lowercase(), ..Self::default() }
    }

    /// The domain of the cluster.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// A Service is like this.
    pub(super) fn service(&mut self, service: &Service) {
        let key = key(service.metadata.namespace.as_ref(), service.metadata.name.as_ref());
        self.forget_service(&key);
        let entry = entry(service);
        if let Entry::Address(address, _) = &entry {
            self.addresses.insert(*address, key.clone());
        }
        *self.namespaces.entry(key.0.clone()).or_default() += 1;
        self.services.insert(key, entry);
    }

    /// A Service is gone.
    pub(super) fn no_service(&mut self, service: &Service) {
        let key = key(service.metadata.namespace.as_ref(), service.metadata.name.as_ref());
        self.forget_service(&key);
    }

    fn forget_service(&mut self, key: &Key) {
        let Some(old) = self.services.remove(key) else { return };
        if let Entry::Address(address, _) = old {
            self.addresses.remove(&address);
        }
        if let Some(count) = self.namespaces.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(&key.0);
            }
        }
    }

    /// An EndpointSlice is like this.
    pub(super) fn slice(&mut self, slice: &EndpointSlice) {
        self.no_slice(slice);
        let Some(key) = owner(slice) else { return };
        let name = slice.metadata.name.clone().unwrap_or_default();
        self.slices.entry(key).or_default().insert(name, read(slice));
    }

    /// An EndpointSlice is gone.
    pub(super) fn no_slice(&mut self, slice: &EndpointSlice) {
        let Some(key) = owner(slice) else { return };
        if let Some(all) = self.slices.get_mut(&key) {
            all.remove(slice.metadata.name.as_deref().unwrap_or_default());
            if all.is_empty() {
                self.slices.remove(&key);
            }
        }
    }

    /// Forgets everything: it is all told anew.
    pub(super) fn clear_services(&mut self) {
        self.services.clear();
        self.namespaces.clear();
        self.addresses.clear();
    }

    /// Forgets everything: it is all told anew.
    pub(super) fn clear_slices(&mut self) {
        self.slices.clear();
    }

    /// What a name has, whatever is asked of it.
    pub(super) fn find(&self, name: &str) -> Found {
        if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
            return self.reverse(reversed);
        }
        if name == self.domain {
            return Found::Records(Vec::new());
        }
        let Some(inner) = name.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.'))
        else {
            return Found::Elsewhere;
        };
        let labels: Vec<&str> = inner.split('.').rev().collect();
        match labels.as_slice() {
            ["svc" | "pod"] => Found::Records(Vec::new()),
            ["svc", namespace] if self.namespaces.contains_key(*namespace) => {
                Found::Records(Vec::new())
            }
            ["svc", namespace, service, rest @ ..] => self.of_service(namespace, service, rest),
            ["pod", _, dashed] => match dashed.replace('-', ".").parse() {
                Ok(address) => Found::Records(vec![Data::A(address)]),
                Err(_) => Found::Nothing,
            },
            _ => Found::Nothing,
        }
    }

    fn of_service(&self, namespace: &str, service: &str, rest: &[&str]) -> Found {
        let key = (namespace.to_owned(), service.to_owned());
        let Some(entry) = self.services.get(&key) else { return Found::Nothing };
        let own = format!("{service}.{namespace}.svc.{}", self.domain);
        match (rest, entry) {
            ([], Entry::Address(address, _)) => Found::Records(vec![Data::A(*address)]),
            ([], Entry::Headless { all }) => {
                let addresses: BTreeSet<_> =
                    self.endpoints(&key, *all).flat_map(|(_, one)| one.addresses.clone()).collect();
                Found::Records(addresses.into_iter().map(Data::A).collect())
            }
            ([], Entry::External(target)) => Found::Records(vec![Data::Cname(target.clone())]),
            ([], Entry::Nothing) => Found::Records(Vec::new()),
            ([protocol], Entry::Address(..) | Entry::Headless { .. })
                if matches!(*protocol, "_tcp" | "_udp") =>
            {
                Found::Records(Vec::new())
            }
            ([protocol, port], _) if protocol.starts_with('_') && port.starts_with('_') => {
                self.ports(&key, entry, (protocol, port), &own)
            }
            ([host], Entry::Headless { all }) => {
                let of_host = self.endpoints(&key, *all).flat_map(|(_, one)| {
                    let named = |address: &&Ipv4Addr| host_of(one, address) == *host;
                    one.addresses.iter().filter(named).copied().collect::<Vec<_>>()
                });
                let found: BTreeSet<_> = of_host.collect();
                if found.is_empty() {
                    return Found::Nothing;
                }
                Found::Records(found.into_iter().map(Data::A).collect())
            }
            _ => Found::Nothing,
        }
    }

    fn endpoints(&self, key: &Key, all: bool) -> impl Iterator<Item = (&Slice, &Endpoint)> {
        let slices = self.slices.get(key).into_iter().flat_map(BTreeMap::values);
        slices
            .flat_map(|slice| slice.endpoints.iter().map(move |one| (slice, one)))
            .filter(move |(_, one)| one.ready || all)
    }

    fn ports(&self, key: &Key, entry: &Entry, (protocol, port): (&str, &str), own: &str) -> Found {
        let is_it = |named: &(String, String, u16)| {
            port.strip_prefix('_') == Some(named.0.as_str())
                && protocol.strip_prefix('_') == Some(named.1.as_str())
        };
        let mut found = Vec::new();
        match entry {
            Entry::Address(_, ports) => {
                let ports = ports.iter().filter(|named| is_it(named));
                found.extend(ports.map(|(.., port)| Data::Srv(*port, own.to_owned())));
            }
            Entry::Headless { all } => {
                for (slice, one) in self.endpoints(key, *all) {
                    for (.., port) in slice.ports.iter().filter(|named| is_it(named)) {
                        for address in &one.addresses {
                            let target = format!("{}.{own}", host_of(one, address));
                            found.push(Data::Srv(*port, target));
                        }
                    }
                }
            }
            Entry::External(_) | Entry::Nothing => {}
        }
        if found.is_empty() { Found::Nothing } else { Found::Records(found) }
    }

    fn reverse(&self, reversed: &str) -> Found {
        let mut labels: Vec<&str> = reversed.split('.').collect();
        labels.reverse();
        let Ok(address) = labels.join(".").parse::<Ipv4Addr>() else { return Found::Elsewhere };
        if let Some((namespace, service)) = self.addresses.get(&address) {
            let name = format!("{service}.{namespace}.svc.{}", self.domain);
            return Found::Records(vec![Data::Ptr(name)]);
        }
        for (key, slices) in &self.slices {
            let headless = matches!(self.services.get(key), Some(Entry::Headless { .. }));
            let mut all = slices.values().flat_map(|slice| &slice.endpoints);
            if let Some(one) = all.find(|one| headless && one.addresses.contains(&address)) {
                let host = host_of(one, &address);
                let name = format!("{host}.{}.{}.svc.{}", key.1, key.0, self.domain);
                return Found::Records(vec![Data::Ptr(name)]);
            }
        }
        Found::Elsewhere
    }
}

/// The name of an endpoint below its Service.
fn host_of(endpoint: &Endpoint, address: &Ipv4Addr) -> String {
    endpoint.hostname.clone().unwrap_or_else(|| address.to_string().replace('.', "-"))
}

fn key(namespace: Option<&String>, name: Option<&String>) -> Key {
    (namespace.cloned().unwrap_or_default(), name.cloned().unwrap_or_default())
}

fn owner(slice: &EndpointSlice) -> Option<Key> {
    let service = slice.metadata.labels.as_ref()?.get(OWNER)?;
    Some((slice.metadata.namespace.clone().unwrap_or_default(), service.clone()))
}

fn entry(service: &Service) -> Entry {
    let Some(spec) = &service.spec else { return Entry::Nothing };
    if spec.type_.as_deref() == Some("ExternalName") {
        let target = spec.external_name.clone().unwrap_or_default();
        return Entry::External(target.trim_end_matches('.').to_lowercase());
    }
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    if address == "None" {
        return Entry::Headless { all: spec.publish_not_ready_addresses == Some(true) };
    }
    match address.parse() {
        Ok(address) => {
            let ports = spec.ports.iter().flatten().filter_map(|port| {
                let number = u16::try_from(port.port).ok()?;
                let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
                Some((port.name.clone()?, protocol, number))
            });
            Entry::Address(address, ports.collect())
        }
        Err(_) => Entry::Nothing,
    }
}

fn read(slice: &EndpointSlice) -> Slice {
    let endpoints = slice.endpoints.iter().map(|one| Endpoint {
        addresses: one.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
        hostname: one.hostname.clone().filter(|name| !name.is_empty()),
        ready: one.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true),
    });
    let ports = slice.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.port?).ok()?;
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
        Some((port.name.clone().unwrap_or_default(), protocol, number))
    });
    Slice { endpoints: endpoints.collect(), ports: ports.collect() }
}
