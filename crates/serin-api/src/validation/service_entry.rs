//! Rules for ServiceEntries.

use std::collections::BTreeSet;

use super::place::Place;
use super::visibility::{Exported, export_to};
use super::{Rules, names, numbers, selectors, workload};
use crate::Meta;
use crate::networking::{Location, Resolution, ServiceEntry};
use crate::values::Protocol;

/// `false` keeps a ServiceEntry from getting addresses of its own.
const AUTO_ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

impl Rules for ServiceEntry {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        let selector = spec.key("workloadSelector");
        selectors::workload_selector(self.workload_selector.as_ref(), &selector);
        if self.workload_selector.is_some() && !self.endpoints.is_empty() {
            selector.error("only one of workloadSelector and endpoints can be set");
        }
        hosts(self, &spec.key("hosts"));
        addresses(self, &spec.key("addresses"));
        ports(self, meta, &spec.key("ports"));
        match self.resolution {
            Resolution::None => no_resolution(self, spec),
            Resolution::Static => {
                let ports = port_names(self);
                spec.key("endpoints").each(&self.endpoints, |endpoint, at| {
                    workload::endpoint(endpoint, Some(&ports), false, at);
                });
            }
            Resolution::Dns | Resolution::DnsRoundRobin => by_dns(self, spec),
            Resolution::DynamicDns => by_request(self, spec),
        }
        told_apart(self, spec);
        export_to(&self.export_to, &meta.namespace, Exported::Service, &spec.key("exportTo"));
    }
}

fn port_names(entry: &ServiceEntry) -> Vec<&str> {
    entry.ports.iter().map(|port| port.name.as_str()).collect()
}

fn hosts(entry: &ServiceEntry, at: &Place<'_>) {
    if entry.hosts.is_empty() {
        at.error("a ServiceEntry needs at least one host");
    }
    at.each(&entry.hosts, |host, at| {
        if host == "*" {
            at.error("the host of a ServiceEntry cannot be *");
        } else if at.expect(names::wildcard_domain(host))
            && let Err(message) = names::whole_wildcard(host)
        {
            at.warning(message);
        }
    });
}

fn addresses(entry: &ServiceEntry, at: &Place<'_>) {
    at.each(&entry.addresses, |address, at| {
        at.expect(names::subnet(address));
    });
    let blocks_allowed = matches!(entry.resolution, Resolution::None | Resolution::Static);
    if !blocks_allowed && entry.addresses.iter().any(|address| address.contains('/')) {
        at.error("CIDR blocks are allowed with resolution NONE or STATIC only");
    }
}

fn ports(entry: &ServiceEntry, meta: &Meta, at: &Place<'_>) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let opted_out =
        meta.labels.get(AUTO_ALLOCATE).is_some_and(|it| it.eq_ignore_ascii_case("false"));
    let gets_addresses = entry.resolution != Resolution::None && !opted_out;
    at.each(&entry.ports, |port, at| {
        if !names.insert(&port.name) {
            at.key("name").error(format!("another port has the name {:?} already", port.name));
        }
        if !numbers.insert(port.number) {
            at.key("number").error(format!("another port has the number {} already", port.number));
        }
        if port.target_port != 0 {
            at.key("targetPort").expect(numbers::port(port.target_port));
        }
        let is_opaque = matches!(port.protocol.as_str(), "" | "TCP");
        if is_opaque && entry.addresses.is_empty() && !gets_addresses {
            at.warning("without addresses, a TCP port takes every connection to its number, whatever the host");
        }
        at.key("name").expect(port_name(&port.name));
        at.key("protocol").expect(protocol(&port.protocol));
        at.key("number").expect(numbers::port(port.number));
    });
}

/// The name of a port: a DNS label.
pub(super) fn port_name(name: &str) -> Result<(), String> {
    if names::is_dns_label(name) { Ok(()) } else { Err(format!("invalid port name {name:?}")) }
}

/// The name of a protocol, or nothing to have it found out.
pub(super) fn protocol(name: &str) -> Result<(), String> {
    if name.is_empty() || Protocol::parse(name) != Protocol::Auto {
        Ok(())
    } else {
        Err(format!("unsupported protocol {name:?}"))
    }
}

fn no_resolution(entry: &ServiceEntry, spec: &Place<'_>) {
    if !entry.endpoints.is_empty() {
        spec.key("endpoints").error("with resolution NONE there can be no endpoints: the address that the client used is the endpoint");
    }
    if entry.workload_selector.is_some() {
        spec.key("workloadSelector").warning("with resolution NONE the workloads are not used");
    }
}

fn by_dns(entry: &ServiceEntry, spec: &Place<'_>) {
    let resolution = entry.resolution;
    if entry.endpoints.is_empty() {
        spec.key("hosts").each(&entry.hosts, |host, at| {
            if names::fqdn(host).is_err() {
                at.error(format!("without endpoints, the hosts themselves are resolved ({resolution}) and cannot have wildcards"));
            }
        });
    }
    if resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        spec.key("endpoints")
            .error("with resolution DNS_ROUND_ROBIN there can be one endpoint only");
    }
    let ports = port_names(entry);
    spec.key("endpoints").each(&entry.endpoints, |endpoint, at| {
        at.key("address").expect(workload::ip_or_name(&endpoint.address, true));
        names::object_labels(&endpoint.labels, &at.key("labels"));
        workload::ports(&endpoint.ports, Some(&ports), &at.key("ports"));
    });
    let has_tcp = entry.ports.iter().any(|port| Protocol::parse(&port.protocol).is_tcp());
    if !entry.addresses.is_empty() && has_tcp && entry.hosts.len() > 1 {
        spec.key("hosts")
            .warning("several hosts share an address: their TCP connections cannot be told apart");
    }
}

/// Resolution by the host of each request: there must be one, and nothing else to say where requests go.
fn by_request(entry: &ServiceEntry, spec: &Place<'_>) {
    spec.key("hosts").each(&entry.hosts, |host, at| {
        if !host.starts_with("*.") {
            at.error(
                "with resolution DYNAMIC_DNS hosts must have a wildcard: use DNS for a single name",
            );
        }
    });
    if entry.location == Location::MeshInternal {
        spec.key("location").error("resolution DYNAMIC_DNS is for services outside of the mesh");
    }
    let unused = [
        ("endpoints", !entry.endpoints.is_empty()),
        ("addresses", !entry.addresses.is_empty()),
        ("workloadSelector", entry.workload_selector.is_some()),
    ];
    for (field, _) in unused.iter().filter(|(_, present)| *present) {
        spec.key(field).error(format!("with resolution DYNAMIC_DNS there can be no {field}"));
    }
    spec.key("ports").each(&entry.ports, |port, at| {
        let protocol = Protocol::parse(&port.protocol);
        if !protocol.is_http() && !protocol.is_tls() {
            at.key("protocol").error("resolution DYNAMIC_DNS needs a host or server name in each request: HTTP, GRPC or TLS");
        }
    });
}

/// Connections of protocols without hosts cannot be told apart when the service has several.
fn told_apart(entry: &ServiceEntry, spec: &Place<'_>) {
    if entry.resolution == Resolution::None || entry.hosts.len() < 2 {
        return;
    }
    let is_opaque = |protocol: Protocol| !protocol.is_http() && !protocol.is_tls();
    if entry.ports.iter().any(|port| is_opaque(Protocol::parse(&port.protocol))) {
        spec.key("hosts").error(
            "several hosts need ports that are HTTP or TLS, to tell their connections apart",
        );
    }
}
