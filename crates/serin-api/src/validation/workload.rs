//! Rules for WorkloadEntries and WorkloadGroups.

use std::collections::BTreeMap;

use super::gateway::UNIX;
use super::place::Place;
use super::{Rules, headers, names, numbers, service_entry};
use crate::Meta;
use crate::networking::{HttpHealthCheck, ReadinessProbe, WorkloadEntry, WorkloadGroup};

impl Rules for WorkloadEntry {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        endpoint(self, None, true, spec);
    }
}

/// A workload, or an endpoint of a ServiceEntry with ports of these names.
pub(super) fn endpoint(
    entry: &WorkloadEntry,
    service_ports: Option<&[&str]>,
    is_name_allowed: bool,
    at: &Place<'_>,
) {
    let address = at.key("address");
    let socket = entry.address.strip_prefix(UNIX);
    if entry.address.is_empty() {
        if entry.network.is_empty() {
            address.error("an address is required");
            return;
        }
        address.warning(
            "without an address the workload is reached through its network's gateway only",
        );
    } else if let Some(path) = socket {
        address.expect(names::unix_socket(path));
        if !entry.ports.is_empty() {
            at.key("ports").error("a unix domain socket has no ports");
        }
        if service_ports.is_some_and(|ports| ports.len() != 1) {
            at.error("a unix domain socket serves exactly one port of the service");
        }
    } else {
        address.expect(ip_or_name(&entry.address, is_name_allowed));
    }
    ports(&entry.ports, service_ports, &at.key("ports"));
    names::object_labels(&entry.labels, &at.key("labels"));
}

/// The address of an endpoint.
pub(super) fn ip_or_name(address: &str, is_name_allowed: bool) -> Result<(), String> {
    if names::is_ip(address) || (is_name_allowed && names::fqdn(address).is_ok()) {
        Ok(())
    } else if is_name_allowed {
        Err(format!("{address:?} is neither a domain name nor an IP address"))
    } else {
        Err(format!("{address:?} is not an IP address"))
    }
}

/// Ports of an endpoint by the names of the service's ports.
pub(super) fn ports(ports: &BTreeMap<String, u32>, known: Option<&[&str]>, at: &Place<'_>) {
    for (name, number) in ports {
        let at = at.key(name);
        if known.is_some_and(|known| !known.contains(&name.as_str())) {
            at.error(format!("the service has no port {name}"));
        }
        at.expect(service_entry::port_name(name));
        at.expect(numbers::port(*number));
    }
}

impl Rules for WorkloadGroup {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        // What the template lacks comes from each workload.
        if self.template.is_none() {
            spec.key("template").error("a template is required");
        }
        if let Some(metadata) = &self.metadata {
            names::object_labels(&metadata.labels, &spec.key("metadata").key("labels"));
        }
        if let Some(probe) = &self.probe {
            self::probe(probe, &spec.key("probe"));
        }
    }
}

fn probe(probe: &ReadinessProbe, at: &Place<'_>) {
    numbers::not_negative(probe.period_seconds, &at.key("periodSeconds"));
    numbers::not_negative(probe.initial_delay_seconds, &at.key("initialDelaySeconds"));
    numbers::not_negative(probe.timeout_seconds, &at.key("timeoutSeconds"));
    numbers::not_negative(probe.success_threshold, &at.key("successThreshold"));
    numbers::not_negative(probe.failure_threshold, &at.key("failureThreshold"));
    if let Some(check) = &probe.http_get {
        http_get(check, &at.key("httpGet"));
    } else if let Some(check) = &probe.tcp_socket {
        at.key("tcpSocket").key("port").expect(numbers::port(check.port));
    } else if let Some(check) = &probe.exec {
        if check.command.is_empty() {
            at.key("exec").key("command").error("a command is required");
        }
    } else if let Some(check) = &probe.grpc {
        at.key("grpc").key("port").expect(numbers::port(check.port));
    } else {
        at.error("a probe needs one of httpGet, tcpSocket, exec and grpc");
    }
}

fn http_get(check: &HttpHealthCheck, at: &Place<'_>) {
    at.key("port").expect(numbers::port(check.port));
    if !matches!(check.scheme.as_str(), "" | "HTTP" | "HTTPS") {
        at.key("scheme").error("the scheme of a check must be HTTP or HTTPS");
    }
    at.key("httpHeaders").each(&check.http_headers, |header, at| {
        at.key("name").expect(headers::strict_name(&header.name));
    });
}
