//! Workloads: pods, pods that can be expected, and WorkloadEntries, found by name, address and labels.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serin_api::core::{Pod, PodSpec, PodStatus, PodTemplateSpec};
use serin_api::networking::WorkloadEntry;
use serin_api::{Meta, Object, decode};
use serin_routing::model::{EndpointAddress, EndpointTls, Health, WorkloadIdentity};

use super::injection::Injection;
use super::locality::Localities;
use super::{EndpointSource, Workload, topology};
use crate::snapshot::{Objects, Settings};

/// Label by which a workload says whether it takes mutual TLS.
const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";
/// What begins addresses that are paths of Unix sockets.
const UNIX: &str = "unix://";

/// A workload that services may have as an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The workload.
    pub(super) workload: Arc<Workload>,
    /// Where it is known from.
    pub(super) source: EndpointSource,
    /// Where it is reached.
    pub(super) host: HostAddress,
    /// Share among endpoints; 0 for a workload that is declared to have no pods.
    pub(super) weight: u32,
    /// Whether it is ready.
    pub(super) health: Health,
}

/// An address without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostAddress {
    Ip(IpAddr),
    Name(Arc<str>),
    Unix(Arc<str>),
}

impl HostAddress {
    /// An address as objects write it: an IP address, `unix://` and a path, or a name.
    pub(super) fn parse(written: &str) -> Self {
        if let Some(path) = written.strip_prefix(UNIX) {
            return Self::Unix(Arc::from(path));
        }
        written.parse().map_or_else(|_| Self::Name(Arc::from(written)), Self::Ip)
    }

    /// The address with a port.
    pub(super) fn with_port(&self, port: u16) -> EndpointAddress {
        match self {
            Self::Ip(ip) => EndpointAddress::Socket(*ip, port),
            Self::Name(name) => EndpointAddress::Name(Arc::clone(name), port),
            Self::Unix(path) => EndpointAddress::Unix(Arc::clone(path)),
        }
    }
}

/// Every workload.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    list: Vec<Candidate>,
    /// Places in the list by namespace and one label.
    by_label: HashMap<(String, String, String), Vec<usize>>,
    pods_by_name: HashMap<(String, String), usize>,
    by_address: HashMap<IpAddr, usize>,
}

impl Workloads {
    /// The workloads of all objects. Pods that only a template speaks of are among them if `expects_pods`, and pods without
    /// an address.
    pub(super) fn new(objects: &Objects, settings: &Settings) -> Self {
        let reader = PodReader::new(objects, settings);
        let mut workloads = Self::default();
        for entry in &objects.workload_entries {
            let workload = entry_workload(&entry.meta, &entry.spec);
            workloads.add(entry_candidate(workload, &entry.spec, EndpointSource::WorkloadEntry));
        }
        for pod in &objects.pods {
            let Some(candidate) = reader.candidate(pod, settings.expects_pods) else {
                continue;
            };
            let key = (pod.meta.namespace.clone(), pod.meta.name.clone());
            let place = workloads.add(candidate);
            workloads.pods_by_name.insert(key, place);
        }
        if settings.expects_pods {
            workloads.add_expected(objects);
        }
        workloads
    }

    fn add(&mut self, candidate: Candidate) -> usize {
        let place = self.list.len();
        let workload = &candidate.workload;
        let namespace = workload.identity.namespace.to_string();
        for (key, value) in &workload.identity.labels {
            let label = (namespace.clone(), key.to_string(), value.to_string());
            self.by_label.entry(label).or_default().push(place);
        }
        for address in &workload.addresses {
            self.by_address.entry(*address).or_insert(place);
        }
        self.list.push(candidate);
        place
    }

    fn add_expected(&mut self, objects: &Objects) {
        let injection = Injection::new(&objects.namespaces);
        let mut add = |meta: &Meta, template: &PodTemplateSpec, replicas: Option<i32>| {
            let replicas = u32::try_from(replicas.unwrap_or(1)).unwrap_or(0);
            let owned = meta.owner_references.iter().any(|owner| owner.controller);
            if !owned {
                self.add(template_candidate(meta, template, replicas, &injection));
            }
        };
        for it in &objects.deployments {
            add(&it.meta, &it.spec.template, it.spec.replicas);
        }
        for it in &objects.stateful_sets {
            add(&it.meta, &it.spec.template, it.spec.replicas);
        }
        for it in &objects.replica_sets {
            add(&it.meta, &it.spec.template, it.spec.replicas);
        }
        for it in &objects.daemon_sets {
            add(&it.meta, &it.spec.template, None);
        }
        for it in &objects.jobs {
            add(&it.meta, &it.spec.template, it.spec.parallelism);
        }
    }

    /// The workloads of a namespace that carry all these labels, in order. None for no labels.
    pub(super) fn selected<'a>(
        &'a self,
        namespace: &str,
        selector: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Candidate> {
        self.known(namespace, selector).filter(|it| it.weight > 0)
    }

    /// The same with those that are declared to have no pods.
    pub(super) fn known<'a>(
        &'a self,
        namespace: &str,
        selector: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Candidate> {
        let places = |(key, value): (&String, &String)| {
            let label = (namespace.to_owned(), key.clone(), value.clone());
            self.by_label.get(&label).map_or(&[][..], Vec::as_slice)
        };
        let rarest =
            selector.iter().map(places).min_by_key(|places| places.len()).unwrap_or_default();
        rarest.iter().map(|&place| &self.list[place]).filter(|it| it.workload.has_labels(selector))
    }

    /// The pod of this name.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<&Candidate> {
        let place = self.pods_by_name.get(&(namespace.to_owned(), name.to_owned()))?;
        self.list.get(*place)
    }

    /// The workload with this address.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Candidate> {
        self.by_address.get(&address).and_then(|place| self.list.get(*place))
    }
}

/// The pods that have an address and have not ended, each as the workload that it is.
pub fn pod_workloads<'p>(
    objects: &'p Objects,
    settings: &Settings,
) -> impl Iterator<Item = (&'p Arc<Object<Pod>>, Arc<Workload>)> {
    let reader = PodReader::new(objects, settings);
    objects.pods.iter().filter_map(move |pod| Some((pod, reader.candidate(pod, false)?.workload)))
}

/// Reads pods.
struct PodReader<'o> {
    places: Localities,
    injection: Option<Injection<'o>>,
}

impl<'o> PodReader<'o> {
    fn new(objects: &'o Objects, settings: &Settings) -> Self {
        let injection = settings.injects.then(|| Injection::new(&objects.namespaces));
        Self { places: Localities::new(&objects.nodes), injection }
    }

    /// Whether a pod has a proxy.
    fn is_injected(&self, pod: &Object<Pod>) -> bool {
        let Object { meta, spec, .. } = pod;
        Injection::is_injected(spec)
            || self.injection.as_ref().is_some_and(|injection| {
                let asked = (&meta.labels, &meta.annotations);
                injection.would_inject(&meta.namespace, asked, spec)
            })
    }

    fn candidate(&self, pod: &Object<Pod>, expected: bool) -> Option<Candidate> {
        let status: PodStatus = decode(&pod.status).unwrap_or_default();
        if matches!(status.phase.as_str(), "Failed" | "Succeeded") {
            return None;
        }
        let mut addresses: Vec<IpAddr> =
            status.pod_ips.iter().filter_map(|it| it.ip.parse().ok()).collect();
        if let (true, Ok(address)) = (addresses.is_empty(), status.pod_ip.parse()) {
            addresses.push(address);
        }
        let (meta, spec) = (&pod.meta, &pod.spec);
        let host = match addresses.first() {
            Some(address) => HostAddress::Ip(*address),
            None if expected => HostAddress::Name(Arc::from(meta.name.as_str())),
            None => return None,
        };
        let ready = status
            .conditions
            .iter()
            .find(|it| it.condition_type == "Ready")
            .map(|it| it.status == "True");
        let health = if meta.deletion_timestamp.is_some() {
            Health::Draining
        } else if ready.unwrap_or(expected) {
            Health::Healthy
        } else {
            Health::Unhealthy
        };
        let locality = self.places.of_pod(&meta.labels, &spec.node_name);
        let network = network(&meta.labels);
        let workload = Workload {
            identity: Arc::new(WorkloadIdentity {
                workload: workload_name(meta).into(),
                pod: text(&meta.name),
                namespace: text(&meta.namespace),
                service_account: text(account(spec)),
                labels: topology::with_place(&meta.labels, &locality, &network, &spec.node_name),
            }),
            addresses,
            locality,
            network,
            node: text(&spec.node_name),
            tls: tls_mode(&meta.labels).unwrap_or_else(|| tls_of(self.is_injected(pod))),
            hostname: text(if spec.subdomain.is_empty() { "" } else { &spec.hostname }),
            ports: container_ports(spec),
        };
        Some(Candidate {
            workload: Arc::new(workload),
            source: EndpointSource::Pod,
            host,
            weight: 1,
            health,
        })
    }
}

fn template_candidate(
    meta: &Meta,
    template: &PodTemplateSpec,
    replicas: u32,
    injection: &Injection<'_>,
) -> Candidate {
    let (labels, spec) = (&template.metadata.labels, &template.spec);
    let injected =
        || injection.would_inject(&meta.namespace, (labels, &template.metadata.annotations), spec);
    let locality = Localities::of_labels(labels).unwrap_or_default();
    let network = network(labels);
    let workload = Workload {
        identity: Arc::new(WorkloadIdentity {
            workload: text(&meta.name),
            pod: text(&meta.name),
            namespace: text(&meta.namespace),
            service_account: text(account(spec)),
            labels: topology::with_place(labels, &locality, &network, ""),
        }),
        addresses: Vec::new(),
        locality,
        network,
        node: Arc::default(),
        tls: tls_mode(labels).unwrap_or_else(|| tls_of(injected())),
        hostname: Arc::default(),
        ports: container_ports(spec),
    };
    let host = HostAddress::Name(Arc::from(meta.name.as_str()));
    let source = EndpointSource::Template;
    Candidate {
        workload: Arc::new(workload),
        source,
        host,
        weight: replicas,
        health: Health::Healthy,
    }
}

/// The workload that a WorkloadEntry describes, be it an object of its own or part of a ServiceEntry.
pub(super) fn entry_workload(meta: &Meta, entry: &WorkloadEntry) -> Workload {
    let labels = &entry.labels;
    // One that has an identity is taken to have a proxy.
    let has_identity = !entry.service_account.is_empty();
    let locality = match entry.locality.as_str() {
        "" => Localities::of_labels(labels).unwrap_or_default(),
        written => Localities::parse(written),
    };
    let network = if entry.network.is_empty() { network(labels) } else { text(&entry.network) };
    Workload {
        identity: Arc::new(WorkloadIdentity {
            workload: text(&meta.name),
            pod: Arc::default(),
            namespace: text(&meta.namespace),
            service_account: text(&entry.service_account),
            labels: topology::with_place(labels, &locality, &network, ""),
        }),
        addresses: entry.address.parse().into_iter().collect(),
        locality,
        network,
        node: Arc::default(),
        tls: tls_mode(labels).unwrap_or_else(|| tls_of(has_identity)),
        hostname: Arc::default(),
        ports: ports(entry.ports.iter().map(|(name, port)| (name.as_str(), u64::from(*port)))),
    }
}

/// The workload as services see it.
pub(super) fn entry_candidate(
    workload: Workload,
    entry: &WorkloadEntry,
    source: EndpointSource,
) -> Candidate {
    Candidate {
        workload: Arc::new(workload),
        source,
        host: HostAddress::parse(&entry.address),
        weight: entry.weight.max(1),
        health: Health::Healthy,
    }
}

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn account(spec: &PodSpec) -> &str {
    if spec.service_account_name.is_empty() { "default" } else { &spec.service_account_name }
}

fn network(labels: &BTreeMap<String, String>) -> Arc<str> {
    Arc::from(labels.get("topology.istio.io/network").map_or("", String::as_str))
}

fn tls_mode(labels: &BTreeMap<String, String>) -> Option<EndpointTls> {
    labels.get(TLS_MODE_LABEL).map(|mode| tls_of(mode == "istio"))
}

const fn tls_of(has_proxy: bool) -> EndpointTls {
    if has_proxy { EndpointTls::Mesh } else { EndpointTls::Plain }
}

fn container_ports(spec: &PodSpec) -> BTreeMap<Arc<str>, u16> {
    let all = spec.containers.iter().chain(&spec.init_containers).flat_map(|it| &it.ports);
    ports(all.map(|it| (it.name.as_str(), u64::try_from(it.container_port).unwrap_or(0))))
}

fn ports<'a>(named: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<Arc<str>, u16> {
    let mut ports = BTreeMap::new();
    for (name, number) in named.filter(|(name, _)| !name.is_empty()) {
        if let Ok(number @ 1..) = u16::try_from(number) {
            ports.entry(Arc::from(name)).or_insert(number);
        }
    }
    ports
}

/// The name of what made a pod: its Deployment rather than the ReplicaSet in between, its CronJob rather than the Job
/// (`GetDeployMetaFromPod`).
fn workload_name(pod: &Meta) -> String {
    let Some(owner) = pod.owner_references.iter().find(|owner| owner.controller) else {
        return pod.name.clone();
    };
    let shortened = match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = pod.labels.get("pod-template-hash");
            hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'))
        }
        "Job" => owner.name.rsplit_once('-').and_then(|(name, time)| {
            let is_time =
                matches!(time.len(), 8..=10) && time.bytes().all(|it| it.is_ascii_digit());
            is_time.then_some(name)
        }),
        _ => None,
    };
    shortened.unwrap_or(&owner.name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_api::OwnerReference;

    #[test]
    fn a_pod_is_named_after_its_deployment_or_cron_job() {
        let check = |kind: &str, owner: &str, expect: &str| {
            let owner = OwnerReference {
                kind: kind.to_owned(),
                name: owner.to_owned(),
                controller: true,
                ..OwnerReference::default()
            };
            let labels = BTreeMap::from([("pod-template-hash".to_owned(), "5d4f".to_owned())]);
            let owner_references = vec![owner];
            let pod = Meta { name: "pod".to_owned(), labels, owner_references, ..Meta::default() };
            assert_eq!(workload_name(&pod), expect);
        };
        check("ReplicaSet", "reviews-v1-5d4f", "reviews-v1");
        check("ReplicaSet", "reviews-v1", "reviews-v1");
        check("StatefulSet", "db", "db");
        check("Job", "backup-28012345", "backup");
        check("Job", "backup-once", "backup-once");
        assert_eq!(workload_name(&Meta { name: "alone".to_owned(), ..Meta::default() }), "alone");
    }
}
