//! How endpoints are spread over slices: at most a hundred each, and with as few and as small changes as possible.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::desired::{Group, is_headless};
use crate::owner;

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";
/// Manages the slices of Services that choose pods.
pub(super) const SELECTED: &str = "endpointslice-controller.k8s.io";
/// Manages the slices that repeat Endpoints written by others.
pub(super) const MIRRORED: &str = "endpointslicemirroring-controller.k8s.io";
/// How many endpoints a slice has at most.
const MOST: usize = 100;

/// A change of a slice.
#[derive(Debug)]
pub(super) enum Write {
    Create(Box<EndpointSlice>),
    Update(Box<EndpointSlice>),
    Delete(Arc<EndpointSlice>),
}

/// What an endpoint is told from others by: its address and what stands behind it.
type Identity = (Vec<String>, Option<String>);

fn identity(endpoint: &Endpoint) -> Identity {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    (endpoint.addresses.clone(), uid)
}

/// The changes that make of the slices that are there those that are wanted.
pub(super) fn plan(
    service: &Service,
    manager: &str,
    groups: Vec<Group>,
    present: &[Arc<EndpointSlice>],
) -> Vec<Write> {
    let labels = labels(service, manager);
    let mut spare: Vec<Arc<EndpointSlice>> = present.to_vec();
    let mut wanted: Vec<EndpointSlice> = Vec::new();
    for group in groups {
        let is_of_group = |slice: &Arc<EndpointSlice>| {
            slice.address_type == group.address_type
                && slice.ports.as_deref().unwrap_or_default() == group.ports
        };
        let (of_group, others) = spare.into_iter().partition(is_of_group);
        spare = others;
        wanted.extend(fill(group, of_group, &mut spare));
    }
    for slice in &mut wanted {
        slice.metadata.labels = Some(labels.clone());
        if slice.metadata.name.is_none() {
            slice.metadata.generate_name = Some(format!("{}-", service.name_any()));
            slice.metadata.namespace.clone_from(&service.metadata.namespace);
            slice.metadata.owner_references = Some(vec![owner::reference(service)]);
        }
    }
    let known: HashMap<_, _> = present.iter().map(|slice| (&slice.metadata.name, slice)).collect();
    let mut writes = Vec::new();
    for slice in wanted {
        match known.get(&slice.metadata.name) {
            None => writes.push(Write::Create(Box::new(slice))),
            Some(old) if ***old != slice => writes.push(Write::Update(Box::new(slice))),
            Some(_) => {}
        }
    }
    writes.extend(spare.into_iter().map(Write::Delete));
    writes
}

/// The slices of a group. Those that are not needed are left in `spare`, or taken from there instead of making new ones.
fn fill(
    group: Group,
    mut present: Vec<Arc<EndpointSlice>>,
    spare: &mut Vec<Arc<EndpointSlice>>,
) -> Vec<EndpointSlice> {
    let mut missing: BTreeMap<Identity, (usize, Endpoint)> = BTreeMap::new();
    for (place, endpoint) in group.endpoints.into_iter().enumerate() {
        missing.insert(identity(&endpoint), (place, endpoint));
    }
    let mut slices: Vec<(bool, EndpointSlice)> = Vec::new();
    present.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
    let empty_is_wanted = missing.is_empty();
    for slice in present {
        let kept: Vec<Endpoint> = slice
            .endpoints
            .iter()
            .filter_map(|endpoint| missing.remove(&identity(endpoint)))
            .map(|(_, endpoint)| endpoint)
            .collect();
        if kept.is_empty() && !(empty_is_wanted && slices.is_empty()) {
            spare.push(slice);
            continue;
        }
        let changed = kept != slice.endpoints;
        slices.push((changed, EndpointSlice { endpoints: kept, ..EndpointSlice::clone(&slice) }));
    }
    let mut missing: Vec<(usize, Endpoint)> = missing.into_values().collect();
    missing.sort_by_key(|(place, _)| *place);
    let mut missing: Vec<Endpoint> = missing.into_iter().map(|(_, endpoint)| endpoint).collect();
    // A slice that changes anyhow takes as many as it can; one that does not, only if that saves a new one.
    for (changed, slice) in &mut slices {
        let room = MOST.saturating_sub(slice.endpoints.len());
        if *changed || (room >= missing.len() && !missing.is_empty()) {
            let rest = missing.split_off(room.min(missing.len()));
            slice.endpoints.append(&mut missing);
            missing = rest;
        }
    }
    let mut all: Vec<EndpointSlice> = slices.into_iter().map(|(_, slice)| slice).collect();
    while !missing.is_empty() || all.is_empty() {
        let rest = missing.split_off(MOST.min(missing.len()));
        let fits = |slice: &Arc<EndpointSlice>| slice.address_type == group.address_type;
        let reused = spare.iter().position(fits).map(|index| spare.remove(index));
        let metadata = reused.map_or_else(ObjectMeta::default, |slice| slice.metadata.clone());
        all.push(EndpointSlice {
            address_type: group.address_type.clone(),
            endpoints: std::mem::replace(&mut missing, rest),
            ports: Some(group.ports.clone()),
            metadata,
        });
    }
    all
}

/// The labels of a Service's slices: its own, and what they are.
fn labels(service: &Service, manager: &str) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.insert(SERVICE_NAME.to_owned(), service.name_any());
    labels.insert(MANAGED_BY.to_owned(), manager.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}
