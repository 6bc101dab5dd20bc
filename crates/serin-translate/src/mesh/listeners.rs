//! Outbound listeners of a sidecar (Istio's `buildSidecarOutboundListeners`).
//!
//! HTTP of all services on a port shares one listener and one route table; other services have a listener for each of their
//! addresses. Where services want the same address and port, the first bytes of a connection tell them apart if that can be.

mod entry;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use serin_api::networking::{CaptureMode, IstioEgressListener};
use serin_api::{FieldPath, Finding};
use serin_routing::model::{Bind, EndpointAddress, FilterChainMatch, Listener};

use super::chains::{chain, outbound_http, plain_http};
use super::connections::Target;
use super::outbound::Outbound;
use super::port_table::EVERY_PORT;
use super::rule_index::RuleIndex;
use crate::codes::{LISTENER_IMPOSSIBLE, LISTENER_TAKEN};
use crate::host::Host;
use crate::registry::{
    EndpointSource, Protocol, Resolution, Service, ServicePort, ServiceRegistry,
};
use crate::scope::EgressListener;
use crate::virtual_service::ResolvedVirtualService;

use entry::{Conflict, Entry};

/// Ports that the proxy itself listens on for health and metrics.
pub(super) const OWN_PORTS: [u16; 2] = [15021, 15090];

/// The name of the route table of the mesh-wide HTTP proxy.
pub(super) const HTTP_PROXY_TABLE: &str = "http_proxy";

/// A route table that a listener needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableSource {
    /// The port whose virtual hosts it has; [`EVERY_PORT`] for an HTTP proxy.
    pub(super) port: u16,
    /// The port that listeners are looked up by.
    pub(super) listener_port: u16,
    /// The only service it is for.
    pub(super) service: Option<Host>,
}

/// Outbound listeners and what they need.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    /// By name.
    pub(super) made: BTreeMap<Arc<str>, Arc<Listener>>,
    /// Route tables by name.
    pub(super) tables: BTreeMap<Arc<str>, TableSource>,
    /// What was found on the way.
    pub(super) findings: Vec<Finding>,
}

/// The outbound listeners of a sidecar.
pub(super) fn outbound_listeners(outbound: &Outbound<'_>) -> Listeners {
    let mut builder = Builder::new(outbound);
    for listener in &outbound.scope.egress {
        builder.add(listener);
    }
    builder.add_http_proxy();
    builder.finish()
}

struct Builder<'a> {
    outbound: &'a Outbound<'a>,
    wildcard: IpAddr,
    localhost: IpAddr,
    entries: BTreeMap<(IpAddr, u16), Entry>,
    tables: BTreeMap<Arc<str>, TableSource>,
    findings: Vec<Finding>,
}

/// Where a listener is to be.
#[derive(Clone, Copy)]
struct Place {
    /// The address as declared; `None` leaves it to the service.
    address: Option<IpAddr>,
    bind: Bind,
}

/// The VirtualServices of an egress listener that have rules for connections.
struct Imports<'a> {
    list: &'a [Arc<ResolvedVirtualService>],
    rules: RuleIndex<'a>,
}

impl<'a> Imports<'a> {
    fn new(listener: &'a EgressListener) -> Self {
        let list = listener.virtual_services();
        Self { list, rules: RuleIndex::new(list, |it| !it.tls.is_empty() || !it.tcp.is_empty()) }
    }
}

/// A service's port on a listener.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    service: &'a Arc<Service>,
    port: u16,
    protocol: Protocol,
}

impl<'a> Builder<'a> {
    fn new(outbound: &'a Outbound<'a>) -> Self {
        let addresses = &outbound.proxy.addresses;
        let has_ipv4 = addresses.is_empty() || addresses.iter().any(IpAddr::is_ipv4);
        let (wildcard, localhost) = if has_ipv4 {
            (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into())
        } else {
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into())
        };
        let (entries, tables, findings) = Default::default();
        Self { outbound, wildcard, localhost, entries, tables, findings }
    }

    fn add(&mut self, listener: &EgressListener) {
        let place = match &listener.declared {
            None => Some(Place { address: None, bind: Bind::Captured }),
            Some(declared) => self.place(declared),
        };
        let Some(place) = place else { return };
        let imports = Imports::new(listener);
        match listener.declared.as_ref().and_then(|it| it.port.as_ref()) {
            Some(port) => {
                let protocol = Protocol::parse(&port.protocol);
                let Ok(number) = u16::try_from(port.number) else { return };
                if number == 0 || !self.can_listen(place, number, protocol) {
                    return;
                }
                for service in listener.services() {
                    self.add_service(Wanted { service, port: number, protocol }, place, &imports);
                }
            }
            None => {
                // A port that a listener is declared for is that listener's alone.
                self.entries.values_mut().for_each(|entry| entry.locked = true);
                for service in listener.services() {
                    for port in &service.ports {
                        if self.can_listen(place, port.number, port.protocol) {
                            self.add_port(service, port, place, &imports);
                        }
                    }
                }
            }
        }
    }

    /// Where a declared listener is to be; `None`, and a finding, if that is not an IP address.
    fn place(&mut self, declared: &IstioEgressListener) -> Option<Place> {
        let bind =
            if declared.capture_mode == CaptureMode::None { Bind::Socket } else { Bind::Captured };
        if declared.bind.is_empty() {
            return Some(Place { address: (bind == Bind::Socket).then_some(self.localhost), bind });
        }
        if let Ok(address) = declared.bind.parse() {
            return Some(Place { address: Some(address), bind });
        }
        if let Some(sidecar) = &self.outbound.scope.sidecar {
            let message =
                format!("the proxy cannot listen on {}; the listener is left out", declared.bind);
            let egress = FieldPath::spec().key("egress");
            let finding = LISTENER_IMPOSSIBLE.finding(&sidecar.reference(), egress, message);
            self.findings.push(finding.with_help("use an IP address, or leave bind out"));
        }
        None
    }

    /// Whether the proxy can listen there: a privileged port takes privileges, and its own ports are taken.
    fn can_listen(&self, place: Place, port: u16, protocol: Protocol) -> bool {
        if place.bind == Bind::Socket && port < 1024 && self.outbound.proxy.unprivileged {
            return false;
        }
        let mesh = &self.outbound.snapshot.settings().mesh;
        let is_own = OWN_PORTS.contains(&port)
            || [mesh.proxy_listen_port, mesh.proxy_inbound_listen_port].contains(&i32::from(port));
        let is_everywhere =
            place.address.map_or(protocol.is_http(), |address| address == self.wildcard);
        !(is_own && is_everywhere)
    }

    /// A port of a service. A headless service without HTTP has a listener for each of its endpoints, so that it does not take
    /// its port on every address.
    fn add_port(
        &mut self,
        service: &Arc<Service>,
        port: &ServicePort,
        place: Place,
        imports: &Imports<'_>,
    ) {
        let wanted = Wanted { service, port: port.number, protocol: port.protocol };
        let is_headless = service.resolution == Resolution::Passthrough
            && service.addresses_for(self.outbound.proxy.answers_dns).is_empty()
            && (port.protocol.is_tcp() || port.protocol.is_sniffed());
        if place.address.is_some() || !is_headless {
            return self.add_service(wanted, place, imports);
        }
        let addresses = self.endpoint_addresses(service, port);
        let is_open =
            service.registry == ServiceRegistry::ServiceEntry && service.selector.is_empty();
        if addresses.is_empty() && is_open {
            return self.add_service(wanted, place, imports);
        }
        let own = self.outbound.proxy.addresses.first();
        for address in addresses.into_iter().filter(|it| Some(it) != own) {
            let place = Place { address: Some(address), ..place };
            self.add_service(wanted, place, imports);
        }
    }

    fn endpoint_addresses(&self, service: &Service, port: &ServicePort) -> Vec<IpAddr> {
        let endpoints = self.outbound.snapshot.registry().endpoints(service);
        let of_port = endpoints
            .iter()
            .filter(|it| it.port_name == port.name && it.source != EndpointSource::Template);
        let address = |it: &EndpointAddress| match it {
            EndpointAddress::Socket(address, _) => Some(*address),
            EndpointAddress::Name(..) | EndpointAddress::Unix(_) => None,
        };
        of_port.filter_map(|it| address(&it.address)).collect()
    }

    /// Adds a service to the listener of each address that it is reached at.
    fn add_service(&mut self, wanted: Wanted<'_>, place: Place, imports: &Imports<'_>) {
        if wanted.service.resolution == Resolution::Alias {
            return;
        }
        if wanted.protocol.is_http() {
            let address = place.address.unwrap_or(self.wildcard);
            self.add_http(&wanted, address, place.bind);
        } else if wanted.protocol.is_tcp() || wanted.protocol.is_sniffed() {
            for (address, subnets) in self.reached_at(wanted.service, place) {
                self.add_connections(&wanted, address, subnets, place.bind, imports);
            }
        }
    }

    /// The addresses of listeners for a service: its own, and the wildcard for blocks of addresses and for services without any.
    fn reached_at(&self, service: &Service, place: Place) -> Vec<(IpAddr, Vec<IpNet>)> {
        if let Some(address) = place.address {
            return vec![(address, Vec::new())];
        }
        let addresses = service.addresses_for(self.outbound.proxy.answers_dns);
        let (single, blocks): (Vec<IpNet>, Vec<IpNet>) =
            addresses.into_iter().partition(|it| it.prefix_len() == it.max_prefix_len());
        let needs_wildcard = single.is_empty() || !blocks.is_empty();
        let single = single.into_iter().map(|it| (it.addr(), Vec::new()));
        single.chain(needs_wildcard.then_some((self.wildcard, blocks))).collect()
    }

    fn add_http(&mut self, wanted: &Wanted<'_>, address: IpAddr, bind: Bind) {
        let key = (address, wanted.port);
        let is_proxy = wanted.protocol == Protocol::HttpProxy;
        let current = self.entries.get(&key);
        if current.is_some_and(|it| it.locked || !it.protocol.is_tcp()) {
            return;
        }
        let name: Arc<str> = Arc::from(wanted.port.to_string());
        let port = if is_proxy { EVERY_PORT } else { wanted.port };
        let source = TableSource { port, listener_port: wanted.port, service: None };
        self.tables.insert(Arc::clone(&name), source);
        // On the wildcard address everything on the port arrives, which need not be HTTP.
        let is_shared = address == self.wildcard && !is_proxy;
        let criteria = if is_shared { plain_http() } else { FilterChainMatch::default() };
        let chains = vec![chain(Arc::clone(&name), criteria, outbound_http(name))];
        let protocol = if is_shared { Protocol::Auto } else { wanted.protocol };
        let entry = Entry::new(address, wanted.port, bind, wanted.protocol, protocol, chains);
        self.enter(key, entry, wanted);
    }

    fn add_connections(
        &mut self,
        wanted: &Wanted<'_>,
        address: IpAddr,
        subnets: Vec<IpNet>,
        bind: Bind,
        imports: &Imports<'_>,
    ) {
        let key = (address, wanted.port);
        let is_auto = wanted.protocol.is_sniffed();
        let is_done = |it: &Entry| it.locked || (is_auto && it.protocol.is_sniffed());
        if self.entries.get(&key).is_some_and(is_done) {
            return;
        }
        let Wanted { service, port, protocol } = *wanted;
        let is_shared = address == self.wildcard;
        let addresses = service.addresses_for(self.outbound.proxy.answers_dns);
        let has_own = addresses.iter().any(|it| it.prefix_len() == it.max_prefix_len());
        let needs_names = !subnets.is_empty() || (!has_own && (is_shared || !addresses.is_empty()));
        let target = Target { service, port, protocol, subnets, needs_names };
        let places = imports.rules.matching([&service.host]);
        let for_service = places.iter().map(|place| &imports.list[*place]);
        let mut chains = target.chains(for_service, self.outbound);
        if is_auto {
            let (name, source) = if is_shared {
                (port.to_string(), None)
            } else {
                (format!("{}:{port}", service.host), Some(service.host.clone()))
            };
            let name: Arc<str> = Arc::from(name);
            let source = TableSource { port, listener_port: port, service: source };
            self.tables.insert(Arc::clone(&name), source);
            chains.push(chain(Arc::clone(&name), plain_http(), outbound_http(name)));
        }
        let entry = Entry::new(address, port, bind, protocol, protocol, chains);
        self.enter(key, entry, wanted);
    }

    fn enter(&mut self, key: (IpAddr, u16), entry: Entry, wanted: &Wanted<'_>) {
        match self.entries.get_mut(&key) {
            None => {
                self.entries.insert(key, entry);
            }
            Some(current) => {
                if let Err(conflict) = current.merge(entry) {
                    self.findings.push(taken(wanted, key, conflict));
                }
            }
        }
    }

    /// The listener for workloads that use the proxy as an HTTP proxy, if the mesh has one.
    fn add_http_proxy(&mut self) {
        let Ok(port @ 1..) = u16::try_from(self.outbound.snapshot.settings().mesh.proxy_http_port)
        else {
            return;
        };
        let name: Arc<str> = Arc::from(HTTP_PROXY_TABLE);
        let source = TableSource { port: EVERY_PORT, listener_port: 0, service: None };
        self.tables.insert(Arc::clone(&name), source);
        let chains =
            vec![chain(Arc::clone(&name), FilterChainMatch::default(), outbound_http(name))];
        let protocol = Protocol::HttpProxy;
        let entry = Entry::new(self.localhost, port, Bind::Socket, protocol, protocol, chains);
        self.entries.insert((self.localhost, port), entry);
    }

    fn finish(self) -> Listeners {
        let timeout = self.outbound.snapshot.settings().mesh.protocol_detection_timeout.to_std();
        let unknown = self.outbound.unknown_cluster();
        let listeners =
            self.entries.into_values().map(|entry| entry.into_listener(&unknown, timeout));
        let mut made: BTreeMap<_, _> =
            listeners.map(|it| (Arc::clone(&it.name), Arc::new(it))).collect();
        let capture = entry::capture(self.wildcard, self.outbound);
        made.insert(Arc::clone(&capture.name), Arc::new(capture));
        Listeners { made, tables: self.tables, findings: self.findings }
    }
}

fn taken(wanted: &Wanted<'_>, (address, port): (IpAddr, u16), conflict: Conflict) -> Finding {
    let Conflict { current, wanted: protocol } = conflict;
    let message = format!(
        "port {port} of {} is not reached: on {address}:{port} proxies serve {current} of another service, which cannot be told \
         from {protocol}",
        wanted.service.host,
    );
    LISTENER_TAKEN
        .finding(&wanted.service.object, FieldPath::spec().key("ports"), message)
        .with_help("give the services different ports or addresses, or declare the same protocol")
}

#[cfg(test)]
mod tests;
