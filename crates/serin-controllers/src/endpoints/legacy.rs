//! Endpoints, the older form: one object a Service, with at most a thousand addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::desired;
use super::slices::HEADLESS;
use crate::pods;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MOST: usize = 1000;

/// Whether the object is one that is made here, not one that somebody wrote.
pub(super) fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER)
}

/// The Endpoints of a Service, by its pods.
pub(super) fn endpoints(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let family = families.and_then(|all| all.first()).map_or("IPv4", String::as_str);
    let all = desired::publishes_not_ready(service);
    let none = service.spec.as_ref().is_none_or(|spec| spec.ports.iter().flatten().count() == 0);
    // Subsets come in the order of their ports, addresses in their own.
    let mut subsets: BTreeMap<Vec<(String, i32, String)>, Subset> = BTreeMap::new();
    let mut count = 0;
    for pod in pods.iter().filter(|pod| !pods::is_finished(pod)) {
        let Some(ip) = desired::address(pod, family) else { continue };
        if pods::is_terminating(pod) && !all {
            continue;
        }
        let ports = ports(service, pod);
        if ports.is_empty() && !none {
            continue;
        }
        count += 1;
        if count > MOST {
            continue;
        }
        let address = EndpointAddress {
            ip,
            hostname: desired::hostname(service, pod),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(desired::target(pod)),
        };
        let key = ports.iter().map(|port| {
            let protocol = port.protocol.clone().unwrap_or_default();
            (port.name.clone().unwrap_or_default(), port.port, protocol)
        });
        let subset = subsets.entry(key.collect()).or_insert_with(|| Subset::new(ports));
        let ready = all || pods::is_ready(pod);
        if ready { &mut subset.ready } else { &mut subset.not_ready }.push(address);
    }
    let subsets: Vec<_> = subsets.into_values().map(Subset::finish).collect();
    Endpoints {
        metadata: metadata(service, count > MOST),
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

struct Subset {
    ports: Vec<EndpointPort>,
    ready: Vec<EndpointAddress>,
    not_ready: Vec<EndpointAddress>,
}

impl Subset {
    const fn new(ports: Vec<EndpointPort>) -> Self {
        Self { ports, ready: Vec::new(), not_ready: Vec::new() }
    }

    fn finish(self) -> EndpointSubset {
        let sorted = |mut all: Vec<EndpointAddress>| {
            all.sort_by(|left, right| left.ip.cmp(&right.ip));
            (!all.is_empty()).then_some(all)
        };
        EndpointSubset {
            addresses: sorted(self.ready),
            not_ready_addresses: sorted(self.not_ready),
            ports: (!self.ports.is_empty()).then_some(self.ports),
        }
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = desired::ports(service, pod).into_iter().map(|port| EndpointPort {
        name: port.name.filter(|name| !name.is_empty()),
        port: port.port.unwrap_or(0),
        protocol: port.protocol,
        app_protocol: port.app_protocol,
    });
    ports.collect()
}

fn metadata(service: &Service, too_many: bool) -> ObjectMeta {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if desired::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let annotation = (OVER_CAPACITY.to_owned(), "truncated".to_owned());
    ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: too_many.then(|| BTreeMap::from([annotation])),
        ..ObjectMeta::default()
    }
}

/// The object that is there with what is wanted, if that is something else.
pub(super) fn change(there: &Endpoints, wanted: Endpoints) -> Option<Endpoints> {
    let mut changed = there.clone();
    changed.subsets = wanted.subsets;
    changed.metadata.labels = wanted.metadata.labels;
    let annotations = changed.metadata.annotations.get_or_insert_default();
    annotations.remove(OVER_CAPACITY);
    annotations.extend(wanted.metadata.annotations.unwrap_or_default());
    if annotations.is_empty() {
        changed.metadata.annotations = None;
    }
    (changed != *there).then_some(changed)
}
