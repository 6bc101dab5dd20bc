//! Who the ends of a request are, in the words of Istio's labels.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_routing::model::{Cluster, WorkloadIdentity};

/// What stands for a value that is not known.
pub(crate) const UNKNOWN: &str = "unknown";
/// The revision of a workload that names none.
const LATEST: &str = "latest";
/// Labels that name a workload's service, the first that is there (Istio's canonical service).
const CANONICAL_NAME: [&str; 3] =
    ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
/// Labels that name its revision.
const CANONICAL_REVISION: [&str; 3] =
    ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// One end of a request: a workload as labels tell it. Empty texts are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Name of the workload.
    pub name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The label `app`.
    pub app: Arc<str>,
    /// The label `version`.
    pub version: Arc<str>,
    /// The service it belongs to, by its labels or its name.
    pub canonical_service: Arc<str>,
    /// The revision of that service.
    pub canonical_revision: Arc<str>,
    /// The identity it proved.
    pub principal: Arc<str>,
    /// The Kubernetes cluster it runs in.
    pub cluster: Arc<str>,
    /// Which of a Deployment's templates it was made from (the label `pod-template-hash`). No label of Istio's metrics.
    pub template: Arc<str>,
}

/// The label by which a Deployment tells the pods of its templates apart.
const TEMPLATE: &str = "pod-template-hash";

impl Workload {
    /// What labels say of a workload. One without a name is not known, and neither is anything else of it but its labels.
    pub fn new(identity: &WorkloadIdentity, cluster: &str) -> Self {
        let label = |key: &str| identity.labels.get(key).cloned().unwrap_or_default();
        let first = |keys: &[&str]| {
            let found = keys.iter().find_map(|key| identity.labels.get(*key));
            found.filter(|value| !value.is_empty()).cloned()
        };
        let is_known = !identity.workload.is_empty() || !identity.labels.is_empty();
        if !is_known {
            return Self::default();
        }
        let canonical = first(&CANONICAL_NAME).unwrap_or_else(|| Arc::clone(&identity.workload));
        Self {
            name: Arc::clone(&identity.workload),
            namespace: Arc::clone(&identity.namespace),
            app: label("app"),
            version: label("version"),
            canonical_service: canonical,
            canonical_revision: first(&CANONICAL_REVISION).unwrap_or_else(|| LATEST.into()),
            principal: Arc::default(),
            cluster: cluster.into(),
            template: label(TEMPLATE),
        }
    }

    /// The same with the identity that its certificate in the mesh would show (SPIFFE).
    #[must_use]
    pub fn in_mesh(mut self, trust_domain: &str, service_account: &str) -> Self {
        if !service_account.is_empty() {
            let namespace = &self.namespace;
            let principal = format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}");
            self.principal = principal.into();
        }
        self
    }

    /// The domain in which its identity is known; `None` if it proved none.
    pub fn trust_domain(&self) -> Option<&str> {
        self.principal.strip_prefix("spiffe://")?.split('/').next()
    }
}

/// Where a request went: a service, and the workload that answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The workload.
    pub workload: Workload,
    /// The service's host.
    pub service: Arc<str>,
    /// Its name.
    pub service_name: Arc<str>,
    /// Its namespace.
    pub service_namespace: Arc<str>,
    /// The subset of the service that was asked for. No label of Istio's metrics.
    pub subset: Arc<str>,
}

impl Destination {
    /// A cluster, and the endpoint in it if one was chosen. `mesh_id` names the Kubernetes cluster of known workloads.
    pub fn new(cluster: &Cluster, endpoint: Option<&WorkloadIdentity>, mesh_id: &str) -> Self {
        let workload = endpoint.map(|it| Workload::new(it, mesh_id)).unwrap_or_default();
        // Clusters of no service are told by their own name, as Istio does.
        let service = match &*cluster.service_host {
            "" => Arc::clone(&cluster.name),
            _ => Arc::clone(&cluster.service_host),
        };
        Self {
            workload,
            service_name: service_name(&service, &cluster.service_namespace),
            service,
            service_namespace: Arc::clone(&cluster.service_namespace),
            subset: Arc::clone(&cluster.subset),
        }
    }
}

/// The name of a Kubernetes service; that of any other is its host.
fn service_name(host: &Arc<str>, namespace: &str) -> Arc<str> {
    let of_kubernetes = host.split_once('.').filter(|(_, rest)| {
        let rest = rest.strip_prefix(namespace).filter(|_| !namespace.is_empty());
        rest.is_some_and(|rest| rest.starts_with(".svc."))
    });
    of_kubernetes.map_or_else(|| Arc::clone(host), |(name, _)| name.into())
}

/// A destination's number on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DestinationId(u32);

/// The number on one core of a workload that sends requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceId(u32);

/// What has a number on one core.
pub(crate) trait Numbered {
    type Id: Copy + From<u32> + Into<u32>;
}

impl Numbered for Destination {
    type Id = DestinationId;
}

impl Numbered for Workload {
    type Id = SourceId;
}

impl From<u32> for DestinationId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<DestinationId> for u32 {
    fn from(id: DestinationId) -> Self {
        id.0
    }
}

impl From<u32> for SourceId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<SourceId> for u32 {
    fn from(id: SourceId) -> Self {
        id.0
    }
}

/// The destinations or sources of one core, each once however often it is named.
#[derive(Clone, Debug)]
pub(crate) struct Numbers<T> {
    numbers: BTreeMap<T, u32>,
    list: Vec<T>,
}

impl<T: Numbered + Clone + Default + Ord> Default for Numbers<T> {
    /// Number 0 is what nothing is known of.
    fn default() -> Self {
        let mut numbers = Self { numbers: BTreeMap::new(), list: Vec::new() };
        numbers.intern(T::default());
        numbers
    }
}

impl<T: Numbered + Clone + Ord> Numbers<T> {
    pub(crate) fn intern(&mut self, named: T) -> T::Id {
        if let Some(&number) = self.numbers.get(&named) {
            return number.into();
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(named.clone());
        self.numbers.insert(named, number);
        number.into()
    }

    pub(crate) fn has(&self, named: &T) -> bool {
        self.numbers.contains_key(named)
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, id: T::Id) -> Option<&T> {
        let number: u32 = id.into();
        self.list.get(number as usize)
    }
}

/// A map by small keys of numbers that nobody outside can choose.
pub(crate) type FastMap<K, V> = HashMap<K, V, std::hash::BuildHasherDefault<Mixer>>;

/// Multiplies and rotates; good enough for keys that are no input.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl std::hash::Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use serin_routing::model::Discovery;

    use super::*;

    #[test]
    fn the_canonical_service_is_the_first_label_that_is_there() {
        let check = |labels: &[(&str, &str)], expect: (&str, &str)| {
            let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            let identity = WorkloadIdentity {
                workload: "reviews-v1".into(),
                labels: labels.collect(),
                ..WorkloadIdentity::default()
            };
            let found = Workload::new(&identity, "Kubernetes");
            assert_eq!((&*found.canonical_service, &*found.canonical_revision), expect);
        };
        check(&[], ("reviews-v1", "latest"));
        check(&[("app", "reviews"), ("version", "v1")], ("reviews", "v1"));
        check(
            &[
                ("app", "reviews"),
                ("app.kubernetes.io/name", "shop"),
                ("app.kubernetes.io/version", "2"),
            ],
            ("shop", "2"),
        );
        check(
            &[("service.istio.io/canonical-name", "first"), ("app.kubernetes.io/name", "shop")],
            ("first", "latest"),
        );
    }

    #[test]
    fn a_service_of_kubernetes_has_a_short_name_and_any_other_its_host() {
        let check = |host: &str, namespace: &str, expect: &str| {
            let cluster = Cluster {
                service_host: host.into(),
                service_namespace: namespace.into(),
                ..Cluster::new("c".into(), Discovery::Listed)
            };
            assert_eq!(&*Destination::new(&cluster, None, "").service_name, expect, "{host}");
        };
        check("reviews.default.svc.cluster.local", "default", "reviews");
        check("reviews.other.svc.cluster.local", "default", "reviews.other.svc.cluster.local");
        check("api.example.com", "default", "api.example.com");
        check("", "", "c");
    }
}
