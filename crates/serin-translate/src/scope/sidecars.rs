//! Which Sidecar object holds for a workload.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::networking::Sidecar;
use serin_api::{FieldPath, Finding, Object};

use crate::codes;
use crate::proxy::Proxy;

/// Every Sidecar by namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sidecars {
    /// Those with a workload selector first, each group in Istio's order.
    by_namespace: HashMap<String, Vec<Arc<Object<Sidecar>>>>,
    /// The one for namespaces without any.
    root: Option<Arc<Object<Sidecar>>>,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
}

impl Sidecars {
    /// The Sidecars among `objects`, which are in Istio's order.
    pub(crate) fn new(objects: &[Arc<Object<Sidecar>>], root_namespace: &str) -> Self {
        let mut sidecars = Self::default();
        let (selecting, general): (Vec<_>, Vec<_>) =
            objects.iter().partition(|it| it.spec.workload_selector.is_some());
        let mut first_general = HashMap::<&str, &Arc<Object<Sidecar>>>::new();
        for sidecar in general.iter().copied() {
            let first = *first_general.entry(&sidecar.meta.namespace).or_insert(sidecar);
            if !Arc::ptr_eq(first, sidecar) {
                sidecars.findings.push(second(sidecar, first));
            }
        }
        sidecars.root = first_general.get(root_namespace).map(|it| Arc::clone(it));
        for sidecar in selecting.into_iter().chain(general) {
            let list = sidecars.by_namespace.entry(sidecar.meta.namespace.clone()).or_default();
            list.push(Arc::clone(sidecar));
        }
        sidecars
    }

    /// The Sidecar of a proxy: one of its namespace that selects its workload, else the namespace's general one, else the
    /// root namespace's general one.
    pub(crate) fn select(&self, proxy: &Proxy) -> Option<&Arc<Object<Sidecar>>> {
        let selects = |it: &&Arc<Object<Sidecar>>| {
            it.spec
                .workload_selector
                .as_ref()
                .is_none_or(|selector| proxy.has_labels(&selector.labels))
        };
        let own = self.by_namespace.get(&proxy.namespace).map_or(&[][..], Vec::as_slice);
        own.iter().find(selects).or(self.root.as_ref())
    }
}

fn second(sidecar: &Object<Sidecar>, first: &Object<Sidecar>) -> Finding {
    let message = format!(
        "{} already holds for all workloads of the namespace; this one has no effect",
        first.reference()
    );
    codes::SIDECAR_TWICE
        .finding(&sidecar.reference(), FieldPath::spec(), message)
        .with_help("give one of them a workloadSelector, or put their listeners into one object")
        .with_related(&first.reference(), FieldPath::spec(), "the Sidecar that holds")
}
