//! Which services' proxies serve a Gateway, and under which addresses it can be reached.
//!
//! A Gateway that names a service by `spec.addresses` is served by it; any other gets a deployment and a service of its
//! own, made by a controller, whose name follows from the Gateway's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use serin_api::Object;
use serin_api::gateway_api::Gateway;

use super::ServiceView;
use super::class::Class;
use super::condition::{Condition, Refusal, listed};
use super::world::World;

const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
const ACCOUNT_OVERRIDE: &str = "gateway.istio.io/service-account";
const ADDRESS_TYPE: &str = "networking.istio.io/address-type";
const DEPRECATED_SERVICE_TYPE: &str = "networking.istio.io/service-type";
const MANAGED: &str = "gateway.istio.io/managed";
const HOSTNAME: &str = "Hostname";
const IP_ADDRESS: &str = "IPAddress";

/// The services that serve a Gateway.
pub(super) struct Services {
    /// Their host names.
    pub hosts: Vec<String>,
    /// Service account of the proxies; empty when the service is not the Gateway's own.
    pub account: String,
    /// What of the addresses could not be used.
    pub refusal: Option<Refusal>,
}

/// The services that serve `gateway`.
pub(super) fn services(gateway: &Object<Gateway>, class: Class, domain: &str) -> Services {
    let meta = &gateway.meta;
    let host_of = |name: &str| format!("{name}.{}.svc.{domain}", meta.namespace);
    if is_managed(&gateway.spec) {
        let default = class.deployment_name(&meta.name, &gateway.spec.gateway_class_name);
        let annotated = |key: &str| meta.annotations.get(key).filter(|it| !it.is_empty());
        let hosts = vec![host_of(annotated(NAME_OVERRIDE).unwrap_or(&default))];
        let account = annotated(ACCOUNT_OVERRIDE).unwrap_or(&default).clone();
        return Services { hosts, account, refusal: None };
    }
    let (mut hosts, mut skipped) = (Vec::new(), Vec::new());
    for address in &gateway.spec.addresses {
        let value = address.value.as_deref().unwrap_or_default();
        match address.address_type.as_deref() {
            None | Some(HOSTNAME) if value.contains('.') => hosts.push(value.to_owned()),
            None | Some(HOSTNAME) => hosts.push(host_of(value)),
            Some(_) => skipped.push(value),
        }
    }
    let refusal = if !skipped.is_empty() {
        let message = format!("only Hostname is supported, ignoring [{}]", skipped.join(" "));
        Some(Refusal::new("UnsupportedAddress", message))
    } else if meta.annotations.contains_key(DEPRECATED_SERVICE_TYPE) {
        let message = format!(
            "annotation {DEPRECATED_SERVICE_TYPE} is deprecated, use Spec.Infrastructure.Routeability"
        );
        Some(Refusal::new("DeprecatedField", message))
    } else {
        None
    };
    Services { hosts, account: String::new(), refusal }
}

/// Whether a deployment is made for the Gateway: it asks for no address, or for one IP address.
fn is_managed(gateway: &Gateway) -> bool {
    match gateway.addresses.as_slice() {
        [] => true,
        [only] => only.address_type.as_deref().is_none_or(|it| it == IP_ADDRESS),
        _ => false,
    }
}

/// What is known of the services that serve a Gateway.
#[derive(Default)]
pub(super) struct Binding {
    internal: BTreeSet<String>,
    internal_addresses: BTreeSet<String>,
    external: BTreeSet<String>,
    pending: BTreeSet<String>,
    warnings: Vec<String>,
    unusable: bool,
}

/// Looks at the services `hosts` of `namespace` and their `ports`.
pub(super) fn bind(
    world: &World<'_>,
    namespace: &str,
    hosts: &[String],
    ports: &BTreeSet<u32>,
) -> Binding {
    let mut binding = Binding::default();
    for host in hosts {
        match world.registered(host, namespace) {
            Some(service) => ports.iter().for_each(|&port| binding.add(&service, port)),
            None => binding.miss(world, host, namespace),
        }
    }
    binding.warnings.sort();
    binding
}

impl Binding {
    fn miss(&mut self, world: &World<'_>, host: &str, namespace: &str) {
        let elsewhere: Vec<_> =
            world.namespaces_of(host).iter().map(|it| format!("{it:?}")).collect();
        self.warnings.push(if elsewhere.is_empty() {
            format!("hostname {host:?} not found")
        } else {
            let elsewhere = elsewhere.join(", ");
            format!("hostname {host:?} not found in namespace {namespace:?}, but it was found in namespace(s) {elsewhere}")
        });
        self.unusable = true;
    }

    fn add(&mut self, service: &ServiceView, port: u32) {
        let host = &service.hostname;
        let has_endpoints =
            |port: &u32| service.endpoint_ports.get(port).is_some_and(|ports| !ports.is_empty());
        if has_endpoints(&port) {
            self.internal.insert(format!("{host}:{port}"));
            self.internal_addresses.extend(service.addresses.iter().cloned());
            if !service.external_addresses.is_empty() {
                self.external.extend(service.external_addresses.iter().cloned());
            } else if service.load_balancer && self.pending.insert(host.clone()) {
                self.warnings.push(format!("address pending for hostname {host:?}"));
            }
        } else if !service.endpoint_ports.keys().any(has_endpoints) {
            self.warnings.push(format!("no instances found for hostname {host:?}"));
        } else {
            self.add_missing_port(service, port);
        }
    }

    fn add_missing_port(&mut self, service: &ServiceView, port: u32) {
        let host = &service.hostname;
        let leads_there = |(_, workload): &(&u32, &BTreeSet<u32>)| workload.contains(&port);
        let hint: Vec<_> = service
            .endpoint_ports
            .iter()
            .filter(leads_there)
            .map(|(port, _)| port.to_string())
            .collect();
        if !hint.is_empty() {
            let hint = hint.join(" ");
            self.warnings.push(format!(
                "port {port} not found for hostname {host:?} (hint: the service port should be specified, not the workload port. Did you mean one of these ports: [{hint}]?)"
            ));
        } else if service.labels.contains_key(MANAGED) && service.ports.contains(&port) {
            // The endpoints of a deployment made for the Gateway follow its service shortly.
            return;
        } else {
            self.warnings.push(format!("port {port} not found for hostname {host:?}"));
        }
        self.unusable = true;
    }

    /// Whether a Gateway with this binding, served by `hosts`, is programmed.
    pub(super) fn programmed(&self, hosts: &[String]) -> Condition {
        let assigned = listed(&self.internal.iter().cloned().collect::<Vec<_>>());
        if hosts.is_empty() {
            let message = "Failed to assign to any requested addresses";
            return Condition::fails("Programmed", "UnsupportedAddress", message);
        }
        if !self.warnings.is_empty() {
            let warnings = self.warnings.join("; ");
            let reason = if self.unusable { "AddressNotUsable" } else { "AddressNotAssigned" };
            let message = if assigned.is_empty() {
                format!("Failed to assign to any requested addresses: {warnings}")
            } else {
                format!(
                    "Assigned to service(s) {assigned}, but failed to assign to all requested addresses: {warnings}"
                )
            };
            return Condition::fails("Programmed", reason, message);
        }
        let message = if assigned.is_empty() {
            "Resource programmed".to_owned()
        } else {
            format!("Resource programmed, assigned to service(s) {assigned}")
        };
        Condition::holds("Programmed", "Programmed", message)
    }

    /// The addresses to report for `gateway`: those from outside, or else those inside of the kind that is wanted.
    pub(super) fn addresses(&self, gateway: &Object<Gateway>, class: Class) -> Vec<Value> {
        let annotated = gateway.meta.annotations.get(ADDRESS_TYPE).map(String::as_str);
        let wanted = annotated.unwrap_or(class.address_type());
        let mut addresses: Vec<&str> = self.external.iter().map(String::as_str).collect();
        if addresses.is_empty() {
            if wanted != HOSTNAME {
                addresses.extend(self.internal_addresses.iter().map(String::as_str));
            }
            if wanted != IP_ADDRESS {
                let hosts =
                    self.internal.iter().filter_map(|it| it.rsplit_once(':')).map(|(host, _)| host);
                for host in hosts.filter(|host| !self.pending.contains(*host)) {
                    if !addresses.contains(&host) {
                        addresses.push(host);
                    }
                }
            }
        }
        addresses.into_iter().map(written).collect()
    }
}

fn written(address: &str) -> Value {
    let kind = if address.parse::<IpAddr>().is_ok() { IP_ADDRESS } else { HOSTNAME };
    json!({"type": kind, "value": address})
}
