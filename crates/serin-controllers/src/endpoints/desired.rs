//! The endpoints that a Service is to have: its pods' addresses, grouped by the ports that they serve.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods;

/// Endpoints with the same ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// `IPv4`, `IPv6` or `FQDN`.
    pub(super) address_type: String,
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: Vec<Endpoint>,
}

impl Group {
    /// Adds an endpoint to the group with its ports.
    pub(super) fn add(
        groups: &mut Vec<Self>,
        address_type: &str,
        ports: Vec<EndpointPort>,
        endpoint: Endpoint,
    ) {
        let same = |group: &&mut Self| group.address_type == address_type && group.ports == ports;
        match groups.iter_mut().find(same) {
            Some(group) => group.endpoints.push(endpoint),
            None => groups.push(Self {
                address_type: address_type.to_owned(),
                ports,
                endpoints: vec![endpoint],
            }),
        }
    }
}

/// Whether a Service has no address of its own.
pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub(super) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// The groups of a Service, by its pods. There is always one for each kind of address, though it may be empty, so that
/// whoever reads the slices can tell a Service without endpoints from one that was not looked at.
pub(super) fn groups(service: &Service, pods: &[Arc<Pod>]) -> Vec<Group> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone());
    let mut families = families.unwrap_or_default();
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    let mut groups = Vec::new();
    for family in families {
        let mut of_family = Vec::new();
        for pod in pods.iter().filter(|pod| !pods::is_finished(pod)) {
            let Some(address) = address(pod, &family) else { continue };
            let endpoint = endpoint(service, pod, address);
            Group::add(&mut of_family, &family, ports(service, pod), endpoint);
        }
        if of_family.is_empty() {
            of_family.push(Group {
                address_type: family,
                ports: Vec::new(),
                endpoints: Vec::new(),
            });
        }
        groups.append(&mut of_family);
    }
    groups
}

/// The pod's address of a family.
pub(super) fn address(pod: &Pod, family: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let all = status.pod_ips.iter().flatten().map(|it| it.ip.as_str());
    let mut all = all.chain(status.pod_ip.as_deref());
    let fits = |text: &&str| match text.parse() {
        Ok(IpAddr::V4(_)) => family == "IPv4",
        Ok(IpAddr::V6(_)) => family == "IPv6",
        Err(_) => false,
    };
    all.find(fits).map(str::to_owned)
}

fn endpoint(service: &Service, pod: &Pod, address: String) -> Endpoint {
    let (serving, terminating) = (pods::is_ready(pod), pods::is_terminating(pod));
    let ready = publishes_not_ready(service) || (serving && !terminating);
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(target(pod)),
        ..Endpoint::default()
    }
}

/// The pod as the target of an endpoint.
pub(super) fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The name under which a pod is found below the Service's, where it chose one.
pub(super) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let below = spec.subdomain.as_deref() == service.metadata.name.as_deref();
    spec.hostname.clone().filter(|name| below && !name.is_empty())
}

/// The ports of a Service at a pod. A port whose name the pod does not have is not served by it.
pub(super) fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let of_port = |port: &ServicePort| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number(port, pod)?),
            protocol: Some(protocol(port.protocol.as_ref())),
            app_protocol: port.app_protocol.clone(),
        })
    };
    ports.into_iter().flatten().filter_map(of_port).collect()
}

fn protocol(protocol: Option<&String>) -> String {
    protocol.cloned().unwrap_or_else(|| "TCP".to_owned())
}

fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    if name.is_empty() {
        return Some(port.port);
    }
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let ports = containers.flat_map(|it: &Container| it.ports.iter().flatten());
    let wanted = protocol(port.protocol.as_ref());
    let mut fitting = ports
        .filter(|it| it.name.as_ref() == Some(name) && protocol(it.protocol.as_ref()) == wanted);
    fitting.next().map(|it| it.container_port)
}
