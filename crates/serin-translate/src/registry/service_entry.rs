//! ServiceEntries: a service for each host, with the endpoints that are listed or selected.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use serin_api::networking::{self, Location, ServiceEntry};
use serin_api::values::WorkloadSelector;
use serin_api::{Meta, Object};
use serin_routing::model::{EndpointTls, Health, WorkloadIdentity};

use super::kubernetes::traffic_distribution;
use super::workloads::{Candidate, HostAddress, Workloads, entry_candidate, entry_workload};
use super::{
    EndpointSource, Protocol, Resolution, Service, ServiceEndpoint, ServicePort, ServiceRegistry,
    TargetPort, Workload,
};
use crate::host::Host;
use crate::snapshot::Settings;
use crate::visibility::Visibility;

/// The services that a ServiceEntry declares, one for each of its hosts.
pub(super) fn services(object: &Object<ServiceEntry>, settings: &Settings) -> Vec<Service> {
    let hosts = object.spec.hosts.iter().map(|host| Host::new(host));
    hosts.map(|host| service(object, host, settings)).collect()
}

fn service(object: &Object<ServiceEntry>, host: Host, settings: &Settings) -> Service {
    let (meta, spec) = (&object.meta, &object.spec);
    let resolution = match spec.resolution {
        networking::Resolution::None => Resolution::Passthrough,
        networking::Resolution::Static => Resolution::Listed,
        networking::Resolution::Dns => Resolution::Dns,
        networking::Resolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        networking::Resolution::DynamicDns => Resolution::DynamicDns,
    };
    let default_export = &settings.mesh.default_service_export_to;
    let selector = spec.workload_selector.as_ref().map(|it| it.labels.clone());
    Service {
        host,
        name: Arc::from(meta.name.as_str()),
        namespace: Arc::from(meta.namespace.as_str()),
        object: object.reference(),
        created: meta.creation_timestamp.as_deref().map(Arc::from),
        registry: ServiceRegistry::ServiceEntry,
        ports: spec.ports.iter().filter_map(service_port).collect(),
        addresses: spec.addresses.iter().filter_map(|it| address(it)).collect(),
        auto_address: None,
        resolution,
        mesh_external: spec.location == Location::MeshExternal,
        visibility: Visibility::new(&spec.export_to, &meta.namespace, default_export),
        labels: meta.labels.clone(),
        selector: selector.unwrap_or_default(),
        subject_alt_names: spec.subject_alt_names.iter().map(|it| Arc::from(it.as_str())).collect(),
        aliases: Vec::new(),
        external_name: None,
        traffic_distribution: traffic_distribution(None, meta),
        node_local: false,
        publish_not_ready: false,
    }
}

/// An address, or a block of them; what is neither, which validation refuses, is passed over.
fn address(written: &str) -> Option<IpNet> {
    written.parse().ok().or_else(|| Some(IpNet::from(written.parse::<std::net::IpAddr>().ok()?)))
}

fn service_port(port: &networking::ServicePort) -> Option<ServicePort> {
    let number = u16::try_from(port.number).ok().filter(|number| *number > 0)?;
    let target = u16::try_from(port.target_port).ok().filter(|number| *number > 0);
    Some(ServicePort {
        name: Arc::from(port.name.as_str()),
        number,
        protocol: Protocol::parse(&port.protocol),
        target: target.map(TargetPort::Number),
    })
}

/// The endpoints of a service that a ServiceEntry declares.
pub(super) fn endpoints(
    object: &Object<ServiceEntry>,
    service: &Service,
    workloads: &Workloads,
    expects_pods: bool,
) -> Vec<ServiceEndpoint> {
    let (meta, spec) = (&object.meta, &object.spec);
    let candidates = match &spec.workload_selector {
        Some(selector) => selected(meta, selector, workloads, expects_pods),
        None => listed(meta, spec, service),
    };
    candidates
        .iter()
        .flat_map(|it| spec.ports.iter().filter_map(|port| on_port(it, port)))
        .collect()
}

/// The endpoints that are written, or the host itself where its name is to be resolved and none are.
fn listed(meta: &Meta, spec: &ServiceEntry, service: &Service) -> Vec<Candidate> {
    let resolves = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    if spec.endpoints.is_empty() && resolves {
        return vec![host_itself(meta, &service.host)];
    }
    let candidate =
        |entry| entry_candidate(entry_workload(meta, entry), entry, EndpointSource::Inline);
    spec.endpoints.iter().map(candidate).collect()
}

fn host_itself(meta: &Meta, host: &Host) -> Candidate {
    let identity = WorkloadIdentity {
        namespace: Arc::from(meta.namespace.as_str()),
        ..WorkloadIdentity::default()
    };
    let workload = Workload {
        identity: Arc::new(identity),
        addresses: Vec::new(),
        locality: Default::default(),
        network: Arc::default(),
        node: Arc::default(),
        tls: EndpointTls::Plain,
        hostname: Arc::default(),
        ports: BTreeMap::new(),
    };
    Candidate {
        workload: Arc::new(workload),
        source: EndpointSource::Inline,
        host: HostAddress::parse(host),
        weight: 1,
        health: Health::Healthy,
    }
}

/// WorkloadEntries and pods of the namespace; pods to be expected where there are neither.
fn selected(
    meta: &Meta,
    selector: &WorkloadSelector,
    workloads: &Workloads,
    expects_pods: bool,
) -> Vec<Candidate> {
    let all = || workloads.selected(&meta.namespace, &selector.labels).cloned();
    let there: Vec<_> = all().filter(|it| it.source != EndpointSource::Template).collect();
    if there.is_empty() && expects_pods { all().collect() } else { there }
}

/// An endpoint's port: its own for the name, else the port's target, else the port itself. Unix sockets have none.
fn on_port(candidate: &Candidate, port: &networking::ServicePort) -> Option<ServiceEndpoint> {
    let mapped = candidate.workload.ports.get(port.name.as_str()).copied();
    let or = |written: u32| u16::try_from(written).ok().filter(|number| *number > 0);
    let number = mapped.or_else(|| or(port.target_port)).or_else(|| or(port.number))?;
    Some(ServiceEndpoint {
        address: candidate.host.with_port(number),
        port_name: Arc::from(port.name.as_str()),
        weight: candidate.weight,
        health: candidate.health,
        source: candidate.source,
        workload: Arc::clone(&candidate.workload),
    })
}
