//! Kubernetes Services and their endpoints.
//!
//! Endpoints come from EndpointSlices; where there are none from an Endpoints object, and among manifests from the pods, or the
//! pods to be expected, that the Service selects. WorkloadEntries that it selects are endpoints too.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use serin_api::core::{self, EndpointConditions, ObjectReference};
use serin_api::values::IntOrString;
use serin_api::{Meta, Object};
use serin_routing::model::{EndpointTls, Health, WorkloadIdentity};

use super::workloads::{Candidate, HostAddress, Workloads};
use super::{
    EndpointSource, Protocol, Resolution, Service, ServiceEndpoint, ServicePort, ServiceRegistry,
    TargetPort, TrafficDistribution, Workload,
};
use crate::host::Host;
use crate::snapshot::{Objects, Settings};
use crate::visibility::Visibility;

/// Annotation that says which namespaces see a Service.
const EXPORT_TO: &str = "networking.istio.io/exportTo";
/// Annotation with the meaning of `spec.trafficDistribution`, for objects that have no such field.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// Label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

type Written = Arc<Object<core::Service>>;

/// The service that a Service declares.
pub(super) fn service(object: &Object<core::Service>, settings: &Settings) -> Service {
    let (meta, spec) = (&object.meta, &object.spec);
    let is_alias = spec.service_type == "ExternalName" && !spec.external_name.is_empty();
    let is_headless = spec.cluster_ip == "None" || spec.cluster_ips.iter().any(|ip| ip == "None");
    let resolution = match (is_headless, is_alias) {
        (true, _) => Resolution::Passthrough,
        (false, true) => Resolution::Alias,
        (false, false) => Resolution::Listed,
    };
    let ips = if spec.cluster_ips.is_empty() {
        std::slice::from_ref(&spec.cluster_ip)
    } else {
        &spec.cluster_ips
    };
    let addresses = ips.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()).map(Into::into).collect();
    let default_export = &settings.mesh.default_service_export_to;
    Service {
        host: Host::of_service(&meta.name, &meta.namespace, &settings.cluster_domain),
        name: Arc::from(meta.name.as_str()),
        namespace: Arc::from(meta.namespace.as_str()),
        object: object.reference(),
        created: meta.creation_timestamp.as_deref().map(Arc::from),
        registry: ServiceRegistry::Kubernetes,
        ports: spec.ports.iter().filter_map(service_port).collect(),
        addresses,
        auto_address: None,
        resolution,
        mesh_external: false,
        visibility: Visibility::new(&export_to(meta), &meta.namespace, default_export),
        labels: meta.labels.clone(),
        selector: spec.selector.clone(),
        subject_alt_names: Vec::new(),
        aliases: Vec::new(),
        external_name: is_alias.then(|| Host::new(&spec.external_name)),
        traffic_distribution: traffic_distribution(spec.traffic_distribution.as_deref(), meta),
        node_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        publish_not_ready: spec.publish_not_ready_addresses,
    }
}

fn service_port(port: &core::ServicePort) -> Option<ServicePort> {
    let number = u16::try_from(port.port).ok().filter(|number| *number > 0)?;
    Some(ServicePort {
        name: Arc::from(port.name.as_str()),
        number,
        protocol: Protocol::of_service_port(
            number,
            &port.name,
            &port.protocol,
            port.app_protocol.as_deref(),
        ),
        target: match &port.target_port {
            Some(IntOrString::String(name)) => Some(TargetPort::Name(Arc::from(name.as_str()))),
            Some(IntOrString::Int(number @ 1..)) => {
                u16::try_from(*number).ok().map(TargetPort::Number)
            }
            _ => None,
        },
    })
}

fn export_to(meta: &Meta) -> Vec<String> {
    let written = meta.annotations.get(EXPORT_TO).filter(|it| !it.is_empty());
    written
        .map(|it| it.split(',').map(|entry| entry.trim().to_owned()).collect())
        .unwrap_or_default()
}

/// The preference that a field, or without it an annotation, asks for.
pub(super) fn traffic_distribution(field: Option<&str>, meta: &Meta) -> TrafficDistribution {
    let annotation = || meta.annotations.get(TRAFFIC_DISTRIBUTION).map(String::as_str);
    match field.or_else(annotation).map(str::to_ascii_lowercase).as_deref() {
        Some("preferclose" | "prefersamezone") => TrafficDistribution::PreferSameZone,
        Some("prefersamenode") => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

/// The lists of endpoints in a snapshot, by Service.
#[derive(Debug)]
pub(super) struct EndpointLists<'a> {
    slices: HashMap<(&'a str, &'a str), Vec<&'a core::EndpointSlice>>,
    lists: HashMap<(&'a str, &'a str), &'a core::Endpoints>,
    workloads: &'a Workloads,
    expects_pods: bool,
}

impl<'a> EndpointLists<'a> {
    pub(super) fn new(objects: &'a Objects, workloads: &'a Workloads, settings: &Settings) -> Self {
        let mut slices = HashMap::<_, Vec<_>>::new();
        for slice in &objects.endpoint_slices {
            if let Some(service) = slice.meta.labels.get(SERVICE_NAME) {
                let key = (slice.meta.namespace.as_str(), service.as_str());
                slices.entry(key).or_default().push(&slice.spec);
            }
        }
        let key =
            |it: &'a Object<core::Endpoints>| (it.meta.namespace.as_str(), it.meta.name.as_str());
        let lists = objects.endpoints.iter().map(|it| (key(it), &it.spec)).collect();
        Self { slices, lists, workloads, expects_pods: settings.expects_pods }
    }

    /// The endpoints of a Service.
    pub(super) fn of(&self, object: &Written) -> Vec<ServiceEndpoint> {
        let key = (object.meta.namespace.as_str(), object.meta.name.as_str());
        let mut endpoints = match (self.slices.get(&key), self.lists.get(&key)) {
            (Some(slices), _) => self.of_slices(slices, key.0),
            (None, Some(list)) => self.of_list(list, key.0),
            (None, None) => self.of_pods(object),
        };
        endpoints.extend(self.selected(object, EndpointSource::WorkloadEntry));
        let mut seen = HashSet::new();
        endpoints.retain(|it| seen.insert((it.address.clone(), Arc::clone(&it.port_name))));
        endpoints
    }

    fn of_slices(&self, slices: &[&core::EndpointSlice], namespace: &str) -> Vec<ServiceEndpoint> {
        let mut found = Vec::new();
        for slice in slices.iter().filter(|slice| slice.address_type != "FQDN") {
            for endpoint in &slice.endpoints {
                let health = health(&endpoint.conditions);
                for ip in endpoint.addresses.iter().filter_map(|it| it.parse().ok()) {
                    let workload = self.workload(endpoint.target_ref.as_ref(), ip, namespace);
                    found.extend(
                        slice.ports.iter().filter_map(|port| listed(port, ip, health, &workload)),
                    );
                }
            }
        }
        found
    }

    fn of_list(&self, list: &core::Endpoints, namespace: &str) -> Vec<ServiceEndpoint> {
        let mut found = Vec::new();
        for subset in &list.subsets {
            let ready = subset.addresses.iter().map(|it| (it, Health::Healthy));
            let not_ready = subset.not_ready_addresses.iter().map(|it| (it, Health::Unhealthy));
            for (address, health) in ready.chain(not_ready) {
                let Ok(ip) = address.ip.parse() else { continue };
                let workload = self.workload(address.target_ref.as_ref(), ip, namespace);
                found.extend(
                    subset.ports.iter().filter_map(|port| listed(port, ip, health, &workload)),
                );
            }
        }
        found
    }

    /// The pods among manifests that a Service selects; where there are none, those to be expected. Where no manifest speaks of
    /// its workloads, they are taken to be declared elsewhere.
    fn of_pods(&self, object: &Written) -> Vec<ServiceEndpoint> {
        if !self.expects_pods {
            return Vec::new();
        }
        let (namespace, selector) = (&object.meta.namespace, &object.spec.selector);
        if self.workloads.known(namespace, selector).next().is_none() {
            return object.spec.ports.iter().filter_map(|port| assumed(object, port)).collect();
        }
        let pods = self.selected(object, EndpointSource::Pod);
        if pods.is_empty() { self.selected(object, EndpointSource::Template) } else { pods }
    }

    fn selected(&self, object: &Written, source: EndpointSource) -> Vec<ServiceEndpoint> {
        let candidates = self.workloads.selected(&object.meta.namespace, &object.spec.selector);
        candidates
            .filter(|it| it.source == source)
            .flat_map(|it| object.spec.ports.iter().filter_map(|port| on_workload(it, port)))
            .collect()
    }

    /// The workload behind a listed address: the pod it refers to, else whatever has the address.
    fn workload(
        &self,
        target: Option<&ObjectReference>,
        ip: IpAddr,
        namespace: &str,
    ) -> Arc<Workload> {
        let is_pod = |target: &&ObjectReference| target.kind == "Pod";
        let of = |target: &ObjectReference| {
            if target.namespace.is_empty() { namespace } else { &target.namespace }.to_owned()
        };
        let by_name = target.filter(is_pod).and_then(|it| self.workloads.pod(&of(it), &it.name));
        let known = by_name.or_else(|| self.workloads.at(ip));
        known.map_or_else(|| Arc::new(unknown(Some(ip), namespace)), |it| Arc::clone(&it.workload))
    }
}

fn unknown(ip: Option<IpAddr>, namespace: &str) -> Workload {
    let identity =
        WorkloadIdentity { namespace: Arc::from(namespace), ..WorkloadIdentity::default() };
    Workload {
        identity: Arc::new(identity),
        addresses: ip.into_iter().collect(),
        locality: Default::default(),
        network: Arc::default(),
        node: Arc::default(),
        tls: EndpointTls::Plain,
        hostname: Arc::default(),
        ports: Default::default(),
    }
}

fn assumed(object: &Written, port: &core::ServicePort) -> Option<ServiceEndpoint> {
    let name = Arc::from(object.meta.name.as_str());
    let number = match port.target_port {
        Some(IntOrString::Int(number @ 1..)) => number,
        _ => port.port,
    };
    Some(ServiceEndpoint {
        address: HostAddress::Name(name).with_port(u16::try_from(number).ok()?),
        port_name: Arc::from(port.name.as_str()),
        weight: 1,
        health: Health::Healthy,
        source: EndpointSource::Assumed,
        workload: Arc::new(unknown(None, &object.meta.namespace)),
    })
}

fn health(conditions: &EndpointConditions) -> Health {
    if conditions.terminating == Some(true) {
        Health::Draining
    } else if conditions.ready.unwrap_or(true) {
        Health::Healthy
    } else {
        Health::Unhealthy
    }
}

fn listed(
    port: &core::EndpointPort,
    ip: IpAddr,
    health: Health,
    workload: &Arc<Workload>,
) -> Option<ServiceEndpoint> {
    let number = u16::try_from(port.port?).ok()?;
    Some(ServiceEndpoint {
        address: HostAddress::Ip(ip).with_port(number),
        port_name: Arc::from(port.name.as_deref().unwrap_or_default()),
        weight: 1,
        health,
        source: EndpointSource::Slice,
        workload: Arc::clone(workload),
    })
}

/// A port of a Service on a workload that it selects; `None` if the workload does not have the port that is named.
fn on_workload(candidate: &Candidate, port: &core::ServicePort) -> Option<ServiceEndpoint> {
    let named = |name: &str| candidate.workload.ports.get(name).copied();
    // A WorkloadEntry names its ports as the Service does.
    let mapped =
        || (candidate.source == EndpointSource::WorkloadEntry).then(|| named(&port.name)).flatten();
    let number = match &port.target_port {
        Some(IntOrString::String(name)) => named(name)?,
        Some(IntOrString::Int(number @ 1..)) => mapped().or_else(|| u16::try_from(*number).ok())?,
        _ => mapped().or_else(|| u16::try_from(port.port).ok())?,
    };
    Some(ServiceEndpoint {
        address: candidate.host.with_port(number),
        port_name: Arc::from(port.name.as_str()),
        weight: candidate.weight,
        health: candidate.health,
        source: candidate.source,
        workload: Arc::clone(&candidate.workload),
    })
}
