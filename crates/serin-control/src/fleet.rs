//! Which proxies there are.
//!
//! Every pod that has an address gets one, whether it is part of the mesh or not; pods on the host's own network have none. Proxies
//! for which the mesh's rules cannot differ share a [`Class`], and with it a model.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serin_api::networking::{HttpMatchRequest, VirtualService};
use serin_routing::model::Locality;
use serin_translate::registry::{self, is_gateway, is_injected, pod_workloads};
use serin_translate::{Proxy, ProxyKind, Snapshot};

use crate::exclude::Exclusions;
use crate::proxy::{ProxyId, Role, Workload};

/// Proxies of pods that get the same model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Those outside of the mesh.
    Plain,
    /// Those in the mesh.
    Mesh {
        view: Arc<View>,
        /// What of the workload's traffic keeps out of the mesh.
        exclusions: Arc<Exclusions>,
    },
}

/// From where a proxy sees the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    is_gateway: bool,
    namespace: String,
    /// Those of the workload's labels that rules ask for; for a gateway all of them, by which Gateways choose it.
    labels: BTreeMap<String, String>,
    /// Of a gateway, which is where its Services say: by them it knows on which ports it listens for theirs.
    addresses: Vec<IpAddr>,
    locality: Locality,
    node: String,
}

impl View {
    /// The proxy that stands for all with this view. That of pods has no address of its own: connections to the workload itself are
    /// delivered by the proxy of whoever makes them.
    pub(crate) fn proxy(&self) -> Proxy {
        let kind = if self.is_gateway { ProxyKind::Gateway } else { ProxyKind::Sidecar };
        Proxy {
            addresses: self.addresses.clone(),
            locality: self.locality.clone(),
            node: self.node.clone(),
            ..Proxy::new(kind, &self.namespace, self.labels.clone())
        }
    }
}

/// A proxy of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) class: Class,
    pub(crate) workload: Arc<Workload>,
}

/// The proxies of pods.
pub(crate) type Fleet = BTreeMap<ProxyId, Member>;

/// Labels of callers.
pub(crate) type Labels = BTreeSet<String>;

/// The proxies of the pods of `node`, or of all nodes, where rules ask for the labels `asked`. What is as in `last` is taken from
/// there.
pub(crate) fn fleet(
    snapshot: &Snapshot,
    asked: &Labels,
    node: Option<&str>,
    last: &Fleet,
) -> Fleet {
    let objects = snapshot.objects();
    let namespaces: HashMap<&str, _> =
        objects.namespaces.iter().map(|it| (it.meta.name.as_str(), &**it)).collect();
    let mut fleet = Fleet::new();
    for (pod, known) in pod_workloads(objects, snapshot.settings()) {
        let is_here = node.is_none_or(|node| pod.spec.node_name == node);
        if !is_here || pod.spec.host_network || known.addresses.is_empty() {
            continue;
        }
        let text = |text: &str| Arc::from(text);
        let id = ProxyId::Pod {
            namespace: text(&pod.meta.namespace),
            name: text(&pod.meta.name),
            uid: text(&pod.meta.uid),
        };
        let injected = is_injected(pod, namespaces.get(pod.meta.namespace.as_str()).copied());
        let is_gateway = injected && is_gateway(pod);
        let class = if injected {
            let view = View {
                is_gateway,
                namespace: pod.meta.namespace.clone(),
                labels: match is_gateway {
                    true => pod.meta.labels.clone(),
                    false => asked_for(asked, &pod.meta.labels),
                },
                addresses: if is_gateway { known.addresses.clone() } else { Vec::new() },
                locality: known.locality.clone(),
                node: pod.spec.node_name.clone(),
            };
            let exclusions = Arc::new(Exclusions::of(&pod.meta.annotations));
            Class::Mesh { view: Arc::new(view), exclusions }
        } else {
            Class::Plain
        };
        let role = match (is_gateway, injected) {
            (true, _) => Role::Gateway,
            (false, true) => Role::Sidecar,
            (false, false) => Role::Plain,
        };
        let member = Member { class, workload: Arc::new(workload(role, &known)) };
        let member = last.get(&id).filter(|last| **last == member).cloned().unwrap_or(member);
        fleet.insert(id, member);
    }
    fleet
}

fn workload(role: Role, known: &registry::Workload) -> Workload {
    Workload {
        role,
        identity: Arc::clone(&known.identity),
        addresses: known.addresses.clone(),
        sockets: Vec::new(),
    }
}

fn asked_for(asked: &Labels, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let asked = labels.iter().filter(|(key, _)| asked.contains(*key));
    asked.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Every label of callers that a rule of the mesh asks for: two workloads of a namespace that do not differ in these have the
/// same rules.
pub(crate) fn labels_asked_for(snapshot: &Snapshot) -> Labels {
    let objects = snapshot.objects();
    let mut keys = BTreeSet::new();
    for rules in &objects.virtual_services {
        of_virtual_service(&rules.spec, &mut keys);
    }
    for sidecar in &objects.sidecars {
        let selector = sidecar.spec.workload_selector.as_ref();
        keys.extend(selector.into_iter().flat_map(|it| it.labels.keys()).map(String::as_str));
    }
    for rule in &objects.destination_rules {
        let selector = rule.spec.workload_selector.as_ref();
        keys.extend(selector.into_iter().flat_map(|it| it.match_labels.keys()).map(String::as_str));
        let policies = rule.spec.subsets.iter().filter_map(|it| it.traffic_policy.as_ref());
        for policy in rule.spec.traffic_policy.iter().chain(policies) {
            let of_ports = policy.port_level_settings.iter().map(|it| &it.load_balancer);
            let balancers = std::iter::once(&policy.load_balancer).chain(of_ports).flatten();
            let localities = balancers.filter_map(|it| it.locality_lb_setting.as_ref());
            keys.extend(localities.flat_map(|it| &it.failover_priority).map(|it| key_of(it)));
        }
    }
    let of_mesh = snapshot.settings().mesh.locality_lb_setting.as_ref();
    keys.extend(of_mesh.into_iter().flat_map(|it| &it.failover_priority).map(|it| key_of(it)));
    keys.into_iter().map(str::to_owned).collect()
}

fn of_virtual_service<'s>(rules: &'s VirtualService, keys: &mut BTreeSet<&'s str>) {
    let http = rules.http.iter().flat_map(|it| &it.matches);
    let labels = http.map(|it: &HttpMatchRequest| &it.source_labels);
    let tls = rules.tls.iter().flat_map(|it| &it.matches).map(|it| &it.source_labels);
    let tcp = rules.tcp.iter().flat_map(|it| &it.matches).map(|it| &it.source_labels);
    keys.extend(labels.chain(tls).chain(tcp).flat_map(BTreeMap::keys).map(String::as_str));
}

/// The label of an entry of a failover priority, which may give a value too: `key=value`.
fn key_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

#[cfg(test)]
mod tests;
